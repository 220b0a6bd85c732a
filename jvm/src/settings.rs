//! What the function is told, as JSON: the last argument of `mattebox(...)` in SQL.
use mattebox_core::{
    codec::{ImageFormat, Limits},
    compose::{Backdrop, Background, BackgroundPicture, BackgroundSpec},
    maker::Recipe,
    matte::MatteMode,
    model::Model,
    simd::SimdLevel,
};
use mattebox_store::{Inputs, OnExisting};
use serde::Deserialize;
use std::{
    fmt::Display,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};
use thiserror::Error;

/// Settings that cannot be used. The text names the setting and says what can.
#[derive(Debug, Error)]
#[error("setting {name}: {problem}")]
pub struct SettingsError {
    name: &'static str,
    problem: String,
}

/// As it is written. What is left out is as in `mattebox worker`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    out: PathBuf,
    group: String,
    #[serde(default)]
    background: Option<String>,
    #[serde(default)]
    matte: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    simd: Option<String>,
    #[serde(default)]
    on_existing: Option<String>,
    #[serde(default = "yes")]
    foreground_cleanup: bool,
    #[serde(default)]
    skip_still: bool,
    #[serde(default = "jpeg_quality")]
    jpeg_quality: u8,
    #[serde(default)]
    max_megapixels: Option<u64>,
    #[serde(default)]
    fsync: bool,
    #[serde(default)]
    picture: bool,
    #[serde(default = "keep")]
    keep: usize,
}

fn yes() -> bool {
    true
}

fn jpeg_quality() -> u8 {
    80
}

fn keep() -> usize {
    2
}

/// Checked, with the files that they name read.
#[derive(Debug)]
pub struct Settings {
    /// The folder of all cameras.
    pub out: PathBuf,
    /// Who reads the topic: what is remembered of cameras is kept under this name.
    pub group: String,
    /// What is made of each frame.
    pub recipe: Recipe,
    /// What stands behind the person.
    pub backdrop: Backdrop,
    /// Larger pictures are dead letters.
    pub limits: Limits,
    /// What happens to a file that is there.
    pub on_existing: OnExisting,
    /// Each file is on the disk before its row is returned.
    pub fsync: bool,
    /// Rows carry the encoded picture too.
    pub picture: bool,
    /// Starts of tasks whose memories are kept, so that Spark can go back to them.
    pub keep: usize,
}

impl Settings {
    /// Reads and checks settings.
    pub fn from_json(json: &str) -> Result<Self, SettingsError> {
        let written: Written = serde_json::from_str(json).map_err(bad("(JSON)"))?;
        let limits = match written.max_megapixels {
            Some(0) => return Err(bad("max_megapixels")("it must be at least 1")),
            Some(millions) => Limits { max_pixels: millions.saturating_mul(1_000_000), ..Limits::default() },
            None => Limits::default(),
        };
        if !(1..=100).contains(&written.jpeg_quality) {
            return Err(bad("jpeg_quality")("it must be between 1 and 100"));
        }
        if written.group.is_empty() {
            return Err(bad("group")("it needs a name"));
        }
        let background: BackgroundSpec = parse("background", written.background.as_deref())?.unwrap_or_default();
        let format = parse("format", written.format.as_deref())?.unwrap_or(ImageFormat::Png);
        if background == BackgroundSpec::Transparent && format == ImageFormat::Jpeg {
            return Err(bad("background")("JPEG files have no transparency: use format png or webp"));
        }
        nothing_read_is_replaced(&written, &background, format)?;
        let on_existing = parse("on_existing", written.on_existing.as_deref())?.unwrap_or(OnExisting::Overwrite);
        if on_existing == OnExisting::Fail {
            return Err(bad("on_existing")("Spark may make a frame once more, and its file be there: use overwrite or skip"));
        }
        Ok(Settings {
            recipe: Recipe {
                model: Arc::new(model(written.model.as_deref())?),
                matte: parse("matte", written.matte.as_deref())?.unwrap_or_default(),
                simd: parse("simd", written.simd.as_deref())?.unwrap_or_else(SimdLevel::best),
                foreground_cleanup: written.foreground_cleanup,
                skip_still: written.skip_still,
                format,
                jpeg_quality: written.jpeg_quality,
            },
            backdrop: backdrop(background, &limits)?,
            limits,
            on_existing,
            fsync: written.fsync,
            picture: written.picture,
            keep: written.keep.max(1),
            out: written.out,
            group: written.group,
        })
    }

    /// Whether frames depend on the frames before them.
    pub fn remembers(&self) -> bool {
        self.recipe.matte == MatteMode::Soft
    }
}

fn bad<E: Display>(name: &'static str) -> impl FnOnce(E) -> SettingsError {
    move |problem| SettingsError { name, problem: problem.to_string() }
}

fn parse<T: FromStr<Err: Display>>(name: &'static str, text: Option<&str>) -> Result<Option<T>, SettingsError> {
    text.map(|text| text.parse().map_err(bad(name))).transpose()
}

/// Refuses an output folder where a frame would take the place of the background or the model.
fn nothing_read_is_replaced(written: &Written, background: &BackgroundSpec, format: ImageFormat) -> Result<(), SettingsError> {
    let mut reads = Inputs::default();
    if let BackgroundSpec::Image(path) = background {
        reads.add(&"the background".into(), path);
    }
    if let Some(path) = &written.model {
        reads.add(&"the model".into(), Path::new(path));
    }
    match reads.at_frames_below(&written.out, format.extension()) {
        Some((path, input)) => Err(bad("out")(format!("{} would replace {}: use another folder", path.display(), input.what))),
        None => Ok(()),
    }
}

fn model(name: Option<&str>) -> Result<Model, SettingsError> {
    match name {
        None | Some("" | "general") => Model::general().map_err(bad("model")),
        Some("landscape") => Model::landscape().map_err(bad("model")),
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|e| bad("model")(format!("cannot read {path} on this machine: {e}")))?;
            Model::from_bytes(&bytes).map_err(|e| bad("model")(format!("{path}: {e}")))
        }
    }
}

fn backdrop(background: BackgroundSpec, limits: &Limits) -> Result<Backdrop, SettingsError> {
    let bad = bad("background");
    Ok(match background {
        BackgroundSpec::Color(color) => Backdrop::plain(Background::Color(color)),
        BackgroundSpec::Transparent => Backdrop::plain(Background::Transparent),
        BackgroundSpec::Blur { sigma } => Backdrop::plain(Background::Blur { sigma }),
        BackgroundSpec::Image(path) => {
            let name = path.display();
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) => return Err(bad(format!("cannot read {name} on this machine: {error}"))),
            };
            match BackgroundPicture::open(bytes, limits) {
                Ok(picture) => Backdrop::picture(picture),
                Err(error) => return Err(bad(format!("{name}: {error}"))),
            }
        }
        BackgroundSpec::Video(_) => {
            return Err(bad("a task that is done again could not tell which of the video's pictures comes next".to_owned()));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_in_the_worker() {
        let settings = Settings::from_json(r#"{"out": "/tmp/x", "group": "g"}"#).unwrap();
        assert_eq!((settings.recipe.matte, settings.recipe.format), (MatteMode::Soft, ImageFormat::Png));
        assert!(settings.recipe.foreground_cleanup && settings.remembers() && !settings.picture);
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (more, name) in [
            (r#""matte": "none""#, "matte"),
            (r#""background": "video:a.mp4""#, "background"),
            (r#""background": "image:/nowhere/a.png""#, "/nowhere/a.png"),
            (r#""background": "transparent", "format": "jpg""#, "background"),
            (r#""model": "/nowhere/a.tflite""#, "/nowhere/a.tflite"),
            (r#""jpeg_quality": 0"#, "jpeg_quality"),
            (r#""on_existing": "fail""#, "on_existing"),
            (r#""colour": "gray""#, "colour"),
        ] {
            let json = format!(r#"{{"out": "/tmp/x", "group": "g", {more}}}"#);
            let error = Settings::from_json(&json).unwrap_err().to_string();
            assert!(error.contains(name), "{json}: {error}");
        }
    }

    #[test]
    fn a_frame_does_not_take_the_place_of_the_background() {
        let out = tempfile::tempdir().unwrap();
        let background = out.path().join("cam01/frame_000000.png");
        std::fs::create_dir(out.path().join("cam01")).unwrap();
        std::fs::write(&background, b"x").unwrap();
        let json =
            serde_json::json!({ "out": out.path(), "group": "g", "background": format!("image:{}", background.display()) });
        let error = Settings::from_json(&json.to_string()).unwrap_err().to_string();
        assert!(error.contains("setting out") && error.contains("the background"), "{error}");
    }
}
