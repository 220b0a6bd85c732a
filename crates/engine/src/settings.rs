//! How a frame is to be processed: the fields, their defaults, one check, one hash.
//!
//! These are all settings of a camera's frames, for `run`, `worker`, the live page, Spark and
//! Python alike.
use crate::{
    ModelChoice,
    address::{MASK, harmless},
};
use mattebox_core::{
    codec::{ImageFormat, Limits},
    compose::{BackgroundPicture, BackgroundSpec},
    matte::{MatteMode, People, PlateMode},
};
use mattebox_net::SimdLevel;
use serde::Deserialize;
use std::{
    fmt::{self, Display},
    path::Path,
    str::FromStr,
    sync::Arc,
};
use thiserror::Error;

/// The background of a camera's frames.
#[derive(Debug, Clone)]
pub enum BackgroundChoice {
    /// A background that settings can name.
    Spec(BackgroundSpec),
    /// A picture that was uploaded.
    Upload(Arc<BackgroundPicture>),
}

/// Two uploads are equal if they are one object.
impl PartialEq for BackgroundChoice {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (BackgroundChoice::Spec(a), BackgroundChoice::Spec(b)) => a == b,
            (BackgroundChoice::Upload(a), BackgroundChoice::Upload(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl BackgroundChoice {
    /// Whether the result has no background.
    pub fn is_transparent(&self) -> bool {
        matches!(self, BackgroundChoice::Spec(BackgroundSpec::Transparent))
    }

    /// Whether each frame has a different background.
    pub fn is_video(&self) -> bool {
        matches!(self, BackgroundChoice::Spec(BackgroundSpec::Video(_)))
    }
}

/// As in settings, but without folders, which a page need not know.
impl fmt::Display for BackgroundChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackgroundChoice::Upload(picture) => {
                let (width, height) = picture.dimensions();
                let checksum = picture.checksum();
                write!(f, "picture:{width}x{height}-{checksum:08x}")
            }
            BackgroundChoice::Spec(BackgroundSpec::Image(path)) => {
                write!(f, "picture:{}", name(path))
            }
            BackgroundChoice::Spec(BackgroundSpec::Video(path)) => {
                write!(f, "video:{}", name(path))
            }
            BackgroundChoice::Spec(spec) => spec.fmt(f),
        }
    }
}

/// The name of a file without its folder, or the harmless form of an address.
fn name(path: &Path) -> String {
    let shown = harmless::path(path);
    match shown.contains("://") || shown.contains(MASK) {
        true => shown,
        false => path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    }
}

/// How each frame of a camera is to be processed.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameSettings {
    /// The network that finds the person.
    pub model: ModelChoice,
    /// The kind of matte.
    pub matte: MatteMode,
    /// The people that are shown.
    pub people: People,
    /// Whether the room behind the people is learned.
    pub plate: PlateMode,
    /// Whether colour spill of the old room is removed from mixed pixels. A hard matte has none.
    pub foreground_cleanup: bool,
    /// Whether the network skips pictures that are like the one before.
    pub skip_still: bool,
    /// The background.
    pub background: BackgroundChoice,
    /// The format of picture files.
    pub format: ImageFormat,
    /// The quality of JPEG files, 1 to 100.
    pub jpeg_quality: u8,
    /// The vector instructions.
    pub simd: SimdLevel,
    /// Limits: larger pictures are rejected.
    pub limits: Limits,
}

impl Default for FrameSettings {
    fn default() -> Self {
        FrameSettings {
            model: ModelChoice::General,
            matte: MatteMode::Soft,
            people: People::All,
            plate: PlateMode::Auto,
            foreground_cleanup: true,
            skip_still: false,
            background: BackgroundChoice::Spec(BackgroundSpec::default()),
            format: ImageFormat::Png,
            jpeg_quality: 80,
            simd: SimdLevel::best(),
            limits: Limits::default(),
        }
    }
}

impl FrameSettings {
    /// Whether a frame depends on the frames before it.
    pub fn has_state(&self) -> bool {
        self.matte.has_state()
    }

    /// Whether both are equal except for the background.
    pub fn is_same_but_background(&self, other: &FrameSettings) -> bool {
        let FrameSettings { background, .. } = other;
        *other
            == FrameSettings {
                background: background.clone(),
                ..self.clone()
            }
    }

    /// A hash that differs for results of different settings: eight hexadecimal digits. `None` with
    /// an uploaded background, which has no name.
    pub fn hash(&self) -> Option<String> {
        let BackgroundChoice::Spec(background) = &self.background else {
            return None;
        };
        let FrameSettings {
            matte,
            people,
            plate,
            foreground_cleanup,
            skip_still,
            format,
            jpeg_quality,
            ..
        } = self;
        let mut text = format!(
            "{matte} {background} {foreground_cleanup} {skip_still} {format} {jpeg_quality}"
        );
        // Defaults are left out, so that hashes of earlier versions stay the same.
        if *people != People::All {
            text += &format!(" people {people}");
        }
        if *plate != PlateMode::Auto {
            text += &format!(" plate {plate}");
        }
        // Results name their network by its SHA-256, which does not depend on the range.
        if let ModelChoice::Onnx {
            range: Some(range), ..
        } = &self.model
        {
            text += &format!(" {range}");
        }
        Some(format!("{:08x}", crc32fast::hash(text.as_bytes())))
    }
}

/// Settings of frames as a person or a program writes them. Missing ones have their default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FrameOptions {
    /// See [`ModelChoice::named`].
    pub model: Option<String>,
    /// See [`MatteMode`].
    pub matte: Option<String>,
    /// See [`People`].
    pub people: Option<String>,
    /// See [`PlateMode`].
    pub plate: Option<String>,
    /// See [`FrameSettings::foreground_cleanup`].
    pub foreground_cleanup: Option<bool>,
    /// See [`FrameSettings::skip_still`].
    pub skip_still: Option<bool>,
    /// See [`BackgroundSpec`].
    pub background: Option<String>,
    /// `png`, `jpg` or `webp`.
    pub format: Option<String>,
    /// 1 to 100.
    pub jpeg_quality: Option<i64>,
    /// See [`SimdLevel`].
    pub simd: Option<String>,
    /// The largest picture that is decoded, in millions of pixels, 1 to 4096.
    pub max_megapixels: Option<i64>,
}

/// A setting that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("setting {name}: {reason}")]
pub struct SettingError {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// The problem, with the values that are allowed.
    pub reason: String,
}

impl SettingError {
    /// An error of the setting `name` with this `value`.
    pub fn new(name: &'static str, value: impl Display, reason: impl Display) -> Self {
        SettingError {
            name,
            value: value.to_string(),
            reason: reason.to_string(),
        }
    }
}

impl FrameOptions {
    /// The names of all options in settings files, JSON and Python.
    pub const NAMES: [&str; 11] = [
        "model",
        "matte",
        "people",
        "plate",
        "foreground_cleanup",
        "skip_still",
        "background",
        "format",
        "jpeg_quality",
        "simd",
        "max_megapixels",
    ];

    /// Checks every value. The error is about the first that cannot be used.
    pub fn check(&self) -> Result<FrameSettings, SettingError> {
        let default = FrameSettings::default();
        let background = parse("background", &self.background)?.unwrap_or_default();
        let format = parse("format", &self.format)?.unwrap_or(default.format);
        if background == BackgroundSpec::Transparent && !format.has_alpha() {
            let reason = "it has no transparency; use png or webp with --background transparent";
            return Err(SettingError::new("format", format, reason));
        }
        let simd = parse("simd", &self.simd)?.unwrap_or(default.simd);
        simd.level()
            .map_err(|e| SettingError::new("simd", simd, e))?;
        Ok(FrameSettings {
            model: ModelChoice::named(self.model.as_deref()),
            matte: parse("matte", &self.matte)?.unwrap_or(default.matte),
            people: parse("people", &self.people)?.unwrap_or(default.people),
            plate: parse("plate", &self.plate)?.unwrap_or(default.plate),
            foreground_cleanup: self
                .foreground_cleanup
                .unwrap_or(default.foreground_cleanup),
            skip_still: self.skip_still.unwrap_or(default.skip_still),
            background: BackgroundChoice::Spec(background),
            format,
            jpeg_quality: jpeg_quality(self.jpeg_quality)?,
            simd,
            limits: limits(self.max_megapixels)?,
        })
    }
}

/// The quality of JPEG pictures.
pub fn jpeg_quality(value: Option<i64>) -> Result<u8, SettingError> {
    let given = integer("jpeg_quality", value, 1..=100)?;
    Ok(given
        .and_then(|quality| u8::try_from(quality).ok())
        .unwrap_or(FrameSettings::default().jpeg_quality))
}

/// The limits for this many millions of pixels.
pub fn limits(max_megapixels: Option<i64>) -> Result<Limits, SettingError> {
    let default = Limits::default();
    Ok(match integer("max_megapixels", max_megapixels, 1..=4096)? {
        Some(millions) => Limits {
            max_pixels: millions.unsigned_abs() * 1_000_000,
            ..default
        },
        None => default,
    })
}

pub(crate) fn parse<T: FromStr<Err: Display>>(
    name: &'static str,
    text: &Option<String>,
) -> Result<Option<T>, SettingError> {
    text.as_deref()
        .map(|text| text.parse().map_err(|e| SettingError::new(name, text, e)))
        .transpose()
}

fn integer(
    name: &'static str,
    value: Option<i64>,
    range: std::ops::RangeInclusive<i64>,
) -> Result<Option<i64>, SettingError> {
    match value {
        Some(value) if !range.contains(&value) => {
            let reason = format!("it must be between {} and {}", range.start(), range.end());
            Err(SettingError::new(name, value, reason))
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_options_have_their_default() {
        let settings = FrameOptions::default().check().unwrap();
        assert_eq!(settings, FrameSettings::default());
        assert_eq!(settings.limits.max_pixels, 64_000_000);
    }

    #[test]
    fn an_error_has_the_name_and_value_of_the_setting() {
        let refused = |options: FrameOptions| {
            let error = options.check().unwrap_err();
            (error.name, error.value)
        };
        let quality = FrameOptions {
            jpeg_quality: Some(-300),
            ..FrameOptions::default()
        };
        assert_eq!(refused(quality), ("jpeg_quality", "-300".to_owned()));
        let transparent = FrameOptions {
            background: Some("transparent".to_owned()),
            format: Some("jpg".to_owned()),
            ..FrameOptions::default()
        };
        assert_eq!(refused(transparent), ("format", "jpg".to_owned()));
        let matte = FrameOptions {
            matte: Some("none".to_owned()),
            ..FrameOptions::default()
        };
        assert_eq!(refused(matte).0, "matte");
        let megapixels = FrameOptions {
            max_megapixels: Some(5000),
            ..FrameOptions::default()
        };
        assert_eq!(refused(megapixels).0, "max_megapixels");
    }

    #[test]
    fn every_name_is_an_option_and_no_other_is() {
        let all: serde_json::Map<_, _> = FrameOptions::NAMES
            .iter()
            .map(|name| ((*name).to_owned(), serde_json::Value::Null))
            .collect();
        let read = serde_json::from_value::<FrameOptions>(all.into());
        assert!(read.is_ok(), "{read:?}");
        let error = serde_json::from_str::<FrameOptions>(r#"{"colour": 1}"#).unwrap_err();
        let known = error.to_string().matches('`').count() / 2 - 1;
        assert_eq!(known, FrameOptions::NAMES.len(), "{error}");
    }

    #[test]
    fn different_settings_have_different_hashes() {
        let settings = FrameSettings::default();
        let hard = FrameSettings {
            matte: MatteMode::Hard,
            ..settings.clone()
        };
        // Results have it in their headers, so it must not change.
        assert_eq!(settings.hash().as_deref(), Some("c888e0e9"));
        assert_ne!(settings.hash(), hard.hash());
        let [known, named] = ["x.onnx", "x.onnx:0..1"].map(|model| FrameSettings {
            model: ModelChoice::named(Some(model)),
            ..settings.clone()
        });
        assert_eq!(settings.hash(), known.hash());
        assert_ne!(settings.hash(), named.hash());
    }
}
