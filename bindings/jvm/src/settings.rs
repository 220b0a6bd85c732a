//! What the function is told, as JSON: the last argument of `mattebox(...)` in SQL.
use mattebox_core::{
    codec::{ImageFormat, Limits},
    compose::{Backdrop, Background, BackgroundPicture, BackgroundSpec},
    maker::Recipe,
    matte::MatteMode,
};
use mattebox_net::{Model, SimdLevel};
use mattebox_store::{Inputs, OnExisting};
use serde::Deserialize;
use std::{
    fmt::Display,
    fs,
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
    jpeg_quality: i64,
    #[serde(default)]
    max_megapixels: Option<i64>,
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

fn jpeg_quality() -> i64 {
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
    /// Stands in the headers of every result.
    pub settings_hash: String,
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
            Some(millions @ 1..=4096) => Limits {
                max_pixels: millions.unsigned_abs() * 1_000_000,
                ..Limits::default()
            },
            Some(_) => return Err(bad("max_megapixels")("it must be between 1 and 4096")),
            None => Limits::default(),
        };
        let jpeg_quality = match u8::try_from(written.jpeg_quality) {
            Ok(quality @ 1..=100) => quality,
            _ => return Err(bad("jpeg_quality")("it must be between 1 and 100")),
        };
        local("out", &written.out)?;
        if written.group.is_empty() {
            return Err(bad("group")("it needs a name"));
        }
        let background: BackgroundSpec =
            parse("background", written.background.as_deref())?.unwrap_or_default();
        let format = parse("format", written.format.as_deref())?.unwrap_or(ImageFormat::Png);
        if background == BackgroundSpec::Transparent && format == ImageFormat::Jpeg {
            return Err(bad("background")(
                "JPEG files have no transparency: use format png or webp",
            ));
        }
        nothing_read_is_replaced(&written, &background, format)?;
        let on_existing =
            parse("on_existing", written.on_existing.as_deref())?.unwrap_or(OnExisting::Overwrite);
        if on_existing == OnExisting::Fail {
            return Err(bad("on_existing")(
                "Spark may make a frame once more, and its file be there: use overwrite or skip",
            ));
        }
        let recipe = Recipe {
            model: Arc::new(model(written.model.as_deref())?),
            matte: parse("matte", written.matte.as_deref())?.unwrap_or_default(),
            simd: parse("simd", written.simd.as_deref())?.unwrap_or_else(SimdLevel::best),
            foreground_cleanup: written.foreground_cleanup,
            skip_still: written.skip_still,
            format,
            jpeg_quality,
        };
        Ok(Settings {
            settings_hash: mattebox_wire::settings_hash(&recipe, &background),
            recipe,
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
    move |problem| SettingsError {
        name,
        problem: problem.to_string(),
    }
}

fn parse<T: FromStr<Err: Display>>(
    name: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, SettingsError> {
    text.map(|text| text.parse().map_err(bad(name))).transpose()
}

/// Refuses an output folder where a frame would take the place of the background or the model.
fn nothing_read_is_replaced(
    written: &Written,
    background: &BackgroundSpec,
    format: ImageFormat,
) -> Result<(), SettingsError> {
    let mut reads = Inputs::default();
    if let BackgroundSpec::Image(path) = background {
        reads.add(&"the background".into(), path);
    }
    if let Some(path) = &written.model {
        reads.add(&"the model".into(), Path::new(path));
    }
    match reads.at_frames_below(&written.out, format.extension()) {
        Some((path, input)) => Err(bad("out")(format!(
            "{} would replace {}: use another folder",
            path.display(),
            input.what
        ))),
        None => Ok(()),
    }
}

fn model(name: Option<&str>) -> Result<Model, SettingsError> {
    match name {
        None | Some("" | "general") => Model::general().map_err(bad("model")),
        Some("landscape") => Model::landscape().map_err(bad("model")),
        Some(path) => {
            let bytes = read("model", Path::new(path))?;
            Model::from_bytes(&bytes).map_err(|e| bad("model")(format!("{path}: {e}")))
        }
    }
}

/// A file that every machine needs.
fn read(name: &'static str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    local(name, path)?;
    let cannot = |problem: &dyn Display| {
        bad(name)(format!(
            "cannot read {} on this machine: {problem} (the driver and every executor need it)",
            path.display()
        ))
    };
    // Another kind may have no end.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(cannot(&"it is not a file")),
        Ok(_) => {}
        Err(error) => return Err(cannot(&error)),
    }
    fs::read(path).map_err(|error| cannot(&error))
}

/// Refuses what is not a path of this machine: the file system would take `s3a://bucket/x` for a folder called `s3a:`.
fn local(name: &'static str, path: &Path) -> Result<(), SettingsError> {
    let text = path.to_string_lossy();
    if text.trim().is_empty() {
        return Err(bad(name)("it is empty: give an absolute path"));
    }
    let Some((scheme, _)) = text.split_once(':') else {
        return Ok(());
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if !is_scheme {
        return Ok(());
    }
    Err(bad(name)(format!(
        "{scheme}: is an address, and only paths of a file system of this machine can be used"
    )))
}

fn backdrop(background: BackgroundSpec, limits: &Limits) -> Result<Backdrop, SettingsError> {
    let bad = bad("background");
    Ok(match background {
        BackgroundSpec::Color(color) => Backdrop::plain(Background::Color(color)),
        BackgroundSpec::Transparent => Backdrop::plain(Background::Transparent),
        BackgroundSpec::Blur { sigma } => Backdrop::plain(Background::Blur { sigma }),
        BackgroundSpec::Image(path) => {
            match BackgroundPicture::open(read("background", &path)?, limits) {
                Ok(picture) => Backdrop::picture(picture),
                Err(error) => return Err(bad(format!("{}: {error}", path.display()))),
            }
        }
        BackgroundSpec::Video(_) => {
            return Err(bad(
                "a task that is done again could not tell which of the video's pictures comes next"
                    .to_owned(),
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_in_the_worker() {
        let settings = Settings::from_json(r#"{"out": "/tmp/x", "group": "g"}"#).unwrap();
        assert_eq!(
            (settings.recipe.matte, settings.recipe.format),
            (MatteMode::Soft, ImageFormat::Png)
        );
        assert!(settings.recipe.foreground_cleanup && settings.remembers() && !settings.picture);
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (more, name) in [
            (r#""matte": "none""#, "matte"),
            (r#""background": "video:a.mp4""#, "background"),
            (r#""background": "image:/nowhere/a.png""#, "/nowhere/a.png"),
            (
                r#""background": "transparent", "format": "jpg""#,
                "background",
            ),
            (r#""model": "/nowhere/a.tflite""#, "/nowhere/a.tflite"),
            (r#""model": "/""#, "/ on this machine: it is not a file"),
            (r#""model": "/dev/zero""#, "it is not a file"),
            (r#""model": "hdfs://h/a.tflite""#, "hdfs: is an address"),
            (
                r#""background": "image:https://h/a.png""#,
                "https: is an address",
            ),
            (r#""jpeg_quality": 0"#, "jpeg_quality"),
            (r#""jpeg_quality": 101"#, "between 1 and 100"),
            (r#""jpeg_quality": -300"#, "between 1 and 100"),
            (r#""max_megapixels": 5000"#, "between 1 and 4096"),
            (r#""simd": "mmx""#, "simd"),
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
        let json = serde_json::json!({ "out": out.path(), "group": "g", "background": format!("image:{}", background.display()) });
        let error = Settings::from_json(&json.to_string())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("setting out") && error.contains("the background"),
            "{error}"
        );
    }

    #[test]
    fn an_address_is_no_folder() {
        let open = |out: &str| Settings::from_json(&format!(r#"{{"out": {out:?}, "group": "g"}}"#));
        for out in [
            "s3a://bucket/x",
            "S3A://bucket/x",
            "s3a:bucket",
            "hdfs:/x",
            "file:///tmp/x",
            "c:\\x",
            "topic:matted",
            "",
            " ",
        ] {
            let error = open(out).unwrap_err().to_string();
            assert!(error.contains("setting out: "), "{out}: {error}");
        }
        for out in [
            "/tmp/s3a:",
            "./s3a:",
            "/tmp/2026-01-31T12:00",
            "12:00",
            "a b:c",
        ] {
            assert!(open(out).is_ok(), "{out}");
        }
    }
}
