//! Reads one setting at a time and puts its name and origin into the error.
use super::{
    ConfigError, duration, layer::FrameLayer, layer::SourceLayer, origin::SettingOrigins,
    output_choice::ProgressStyle, secret,
};
use mattebox_core::codec::Limits;
use mattebox_engine::{
    FrameOptions, FrameSettings, SettingError,
    address::scrub::Scrubber,
    settings::{jpeg_quality, limits},
};
use mattebox_media::source::{CameraSource, InputOption, SourceOptions, SourceSpec};
use std::{
    collections::HashSet, fmt::Display, net::SocketAddr, num::NonZeroUsize, str::FromStr,
    time::Duration,
};

/// The origins of the values, for messages.
pub(super) struct SettingsCheck<'a>(pub(super) &'a SettingOrigins);

impl SettingsCheck<'_> {
    pub(super) fn error(
        &self,
        name: &'static str,
        value: impl Display,
        reason: impl Display,
    ) -> ConfigError {
        let value = value.to_string();
        // A reason often repeats the value.
        let reason = Scrubber::of([&value]).scrub_known(&reason.to_string());
        ConfigError::Value {
            name,
            value: secret::shown(name, &value),
            origin: self.0.of(name),
            reason,
        }
    }
    pub(super) fn given<'t>(
        &self,
        name: &'static str,
        text: &'t Option<String>,
    ) -> Result<&'t str, ConfigError> {
        text.as_deref()
            .ok_or_else(|| ConfigError::Conflict(format!("{name} has no value")))
    }
    pub(super) fn parse<T: FromStr<Err: Display>>(
        &self,
        name: &'static str,
        text: &Option<String>,
    ) -> Result<T, ConfigError> {
        let text = self.given(name, text)?;
        text.parse().map_err(|e| self.error(name, text, e))
    }
    /// A value that may be left out.
    fn parse_given<T: FromStr<Err: Display>>(
        &self,
        name: &'static str,
        text: &Option<String>,
    ) -> Result<Option<T>, ConfigError> {
        match text {
            Some(_) => self.parse(name, text).map(Some),
            None => Ok(None),
        }
    }
    pub(super) fn duration(
        &self,
        name: &'static str,
        text: &Option<String>,
    ) -> Result<Option<Duration>, ConfigError> {
        text.as_deref()
            .map(|t| duration::parse(t).map_err(|e| self.error(name, t, e)))
            .transpose()
    }
    pub(super) fn positive_duration(
        &self,
        name: &'static str,
        text: &Option<String>,
    ) -> Result<Option<Duration>, ConfigError> {
        match self.duration(name, text)? {
            Some(t) if t.is_zero() => {
                Err(self.error(name, t.as_secs(), "it must be longer than nothing"))
            }
            t => Ok(t),
        }
    }
    pub(super) fn integer(
        &self,
        name: &'static str,
        value: Option<i64>,
        from: i64,
        to: i64,
    ) -> Result<Option<i64>, ConfigError> {
        match value {
            Some(v) if !(from..=to).contains(&v) => {
                Err(self.error(name, v, format!("it must be between {from} and {to}")))
            }
            v => Ok(v),
        }
    }
    pub(super) fn jpeg_quality(&self, value: Option<i64>) -> Result<u8, ConfigError> {
        jpeg_quality(value).map_err(|e| self.setting(e))
    }
    /// The settings of frames.
    pub(super) fn frame(
        &self,
        made: &FrameLayer,
        max_megapixels: Option<i64>,
    ) -> Result<FrameSettings, ConfigError> {
        let mut all = serde_json::to_value(made).unwrap_or_default();
        if let Some(all) = all.as_object_mut() {
            all.insert("max_megapixels".to_owned(), max_megapixels.into());
            all.retain(|name, _| FrameOptions::NAMES.contains(&name.as_str()));
        }
        // A layer has the names and types of the options.
        let options: FrameOptions = serde_json::from_value(all)
            .map_err(|e| ConfigError::Conflict(format!("settings of frames: {e}")))?;
        options.check().map_err(|e| self.setting(e))
    }
    fn setting(&self, error: SettingError) -> ConfigError {
        self.error(error.name, error.value, error.reason)
    }
    pub(super) fn shutdown_timeout(&self, text: &Option<String>) -> Result<Duration, ConfigError> {
        Ok(self
            .duration("shutdown_timeout", text)?
            .unwrap_or(Duration::from_secs(10)))
    }
    pub(super) fn limits(&self, max_megapixels: Option<i64>) -> Result<Limits, ConfigError> {
        limits(max_megapixels).map_err(|e| self.setting(e))
    }
    pub(super) fn progress(&self, text: &Option<String>) -> Result<ProgressStyle, ConfigError> {
        match self.given("progress", text)? {
            "auto" => Ok(ProgressStyle::Auto),
            "bar" => Ok(ProgressStyle::Bar),
            "lines" => Ok(ProgressStyle::Lines),
            "none" => Ok(ProgressStyle::None),
            other => Err(self.error("progress", other, "use auto, bar, lines or none")),
        }
    }
    /// An address to serve metrics at. Metrics name the cameras and their state, so the default
    /// address is of this machine.
    pub(super) fn metrics(&self, text: &Option<String>) -> Result<Option<SocketAddr>, ConfigError> {
        let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let address = match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
            Ok(port) => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
            Err(_) => text.parse(),
        };
        address.map(Some).map_err(|_| {
            self.error(
                "metrics",
                text,
                "write ADDRESS:PORT, such as 127.0.0.1:9464, or a port alone",
            )
        })
    }

    pub(super) fn source(&self, l: &SourceLayer) -> Result<SourceOptions, ConfigError> {
        let fps = match l.fps {
            Some(v) if !(v.is_finite() && v > 0.0 && v <= 1000.0) => {
                return Err(self.error("fps", v, "it must be greater than 0 and at most 1000"));
            }
            v => v,
        };
        let deinterlace = match self.given("deinterlace", &l.deinterlace)? {
            "auto" => true,
            "off" => false,
            other => return Err(self.error("deinterlace", other, "use auto or off")),
        };
        let defaults = SourceOptions::default();
        Ok(SourceOptions {
            fps,
            deinterlace,
            max_width: self
                .integer("max_width", l.max_width, 1, 65_535)?
                .map(|w| w as u32),
            repeat: l.repeat.unwrap_or(false),
            realtime: l.realtime.unwrap_or(false),
            start: self.duration("start", &l.start)?,
            duration: self.positive_duration("duration", &l.duration)?,
            stall_timeout: self.positive_duration("stall_timeout", &l.stall_timeout)?,
            connect_timeout: self
                .duration("connect_timeout", &l.connect_timeout)?
                .unwrap_or(defaults.connect_timeout),
            rtsp_transport: self.parse("rtsp_transport", &l.rtsp_transport)?,
            size: self.parse_given("size", &l.size)?,
            input_format: self.parse_given("input_format", &l.input_format)?,
            hwaccel: self.parse("hwaccel", &l.hwaccel)?,
            input_options: self.input_options(l)?,
            limits: self.limits(l.max_megapixels)?,
            ffmpeg: self.given("ffmpeg", &l.ffmpeg)?.into(),
            ..defaults
        })
    }

    fn input_options(&self, l: &SourceLayer) -> Result<Vec<InputOption>, ConfigError> {
        let options = l.input_option.iter().flatten();
        options
            .map(|text| {
                text.parse()
                    .map_err(|e| self.error("input_option", text, e))
            })
            .collect()
    }

    /// Only a camera of this machine has a choice of sizes.
    pub(super) fn size(
        &self,
        source: &SourceOptions,
        cameras: &[CameraSource],
    ) -> Result<(), ConfigError> {
        let is_device = |camera: &CameraSource| matches!(camera.spec, SourceSpec::Device(_));
        match source.size {
            Some(size) if !cameras.iter().any(is_device) => {
                let reason = "only a camera of this machine can be asked for a size: --max-width \
                     makes other sources smaller";
                Err(self.error("size", size, reason))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn threads(&self, l: &FrameLayer) -> Result<NonZeroUsize, ConfigError> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(self
            .integer("threads", l.threads, 1, 1024)?
            .and_then(|n| NonZeroUsize::new(n as usize))
            .unwrap_or(cores))
    }

    /// `NAME=SOURCE`, or a bare source that gets `camera_id` (alone) or cam01, cam02, ... (one of
    /// several).
    pub(super) fn cameras(
        &self,
        source: &Option<Vec<String>>,
        camera_id: &Option<String>,
    ) -> Result<Vec<CameraSource>, ConfigError> {
        let sources = source.as_deref().unwrap_or_default();
        if sources.is_empty() {
            let what = "a file, a URL, a device number, a folder of pictures, lavfi:GRAPH or -";
            return Err(ConfigError::Conflict(format!(
                "no source was given: name {what} (or set VIDEO_SRC)"
            )));
        }
        let camera_id = self.given("camera_id", camera_id)?;
        let mut names = HashSet::new();
        let mut cameras = Vec::with_capacity(sources.len());
        for (i, text) in sources.iter().enumerate() {
            let (name, source) = match split_name(text) {
                Some((name, source)) => (name.to_owned(), source),
                None if sources.len() == 1 => (camera_id.to_owned(), text.as_str()),
                None => (format!("cam{:02}", i + 1), text.as_str()),
            };
            // The error repeats the text as typed: the source with its name, or the name
            // alone.
            let camera: mattebox_core::frame::CameraId = match split_name(text) {
                Some(_) => {
                    let hint = "NAME of NAME=SOURCE is also the name of a folder";
                    name.parse().map_err(|e| {
                        self.error(
                            "source",
                            text,
                            format!("{e} ({hint}; write ./{text} for a file)"),
                        )
                    })?
                }
                None => name
                    .parse()
                    .map_err(|e| self.error("camera_id", &name, e))?,
            };
            let spec = source
                .parse()
                .map_err(|e| self.error("source", source, e))?;
            if !names.insert(camera.clone()) {
                let reason =
                    format!("two sources are named {camera}; give each its own name: NAME=SOURCE");
                return Err(self.error("source", text, reason));
            }
            cameras.push(CameraSource { camera, spec });
        }
        Ok(cameras)
    }
}

/// Splits `NAME=SOURCE`. URLs, filter graphs and existing files may hold a `=` themselves and stay
/// whole.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, source) = text.split_once('=')?;
    (!name.contains([':', '?']) && !std::path::Path::new(text).exists()).then_some((name, source))
}
