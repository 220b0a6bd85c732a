//! The settings of the function, as JSON: the last argument of `mattebox(...)` in SQL.
use crate::camera_file::FollowedSettings;
use mattebox_core::compose::BackgroundSpec;
use mattebox_engine::{
    BackgroundChoice, CameraSettings, Engine, FrameOptions, FrameSettings, SettingError, StartError,
};
use mattebox_store::{Inputs, NameTemplate, OnExisting, Owner, name_template::NameTemplateError};
use mattebox_wire::PublishTopics;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};
use thiserror::Error;

/// Why a setting cannot be used. The text names the setting and the values that can.
#[derive(Debug, Error)]
#[error("setting {name}: {problem}")]
pub struct SettingsError {
    name: &'static str,
    problem: String,
}

impl From<SettingError> for SettingsError {
    fn from(error: SettingError) -> Self {
        SettingsError {
            name: error.name,
            problem: error.reason,
        }
    }
}

/// The settings of the function alone, unchecked. The others are those of frames.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskOptions {
    out: PathBuf,
    group: String,
    #[serde(default)]
    on_existing: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    fsync: bool,
    #[serde(default)]
    picture: bool,
    #[serde(default = "keep")]
    keep: usize,
    #[serde(default)]
    publish: Option<PublishTopics>,
    #[serde(default)]
    topics: BTreeMap<String, Option<String>>,
    #[serde(default)]
    state_dir: Option<String>,
    #[serde(default)]
    camera_settings: Option<PathBuf>,
}

/// The names of [`TaskOptions`].
const TASK_OPTIONS: [&str; 11] = [
    "out",
    "group",
    "on_existing",
    "name",
    "fsync",
    "picture",
    "keep",
    "publish",
    "topics",
    "state_dir",
    "camera_settings",
];

/// The id of every topic with brokers older than Kafka 2.8.
const NO_TOPIC_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

fn keep() -> usize {
    2
}

/// Checked settings, with the files that they name.
pub struct TaskSettings {
    /// The folder of all cameras.
    pub out: PathBuf,
    /// The name under which camera states are kept.
    pub group: String,
    /// The settings of cameras without own ones. Format, network and limits hold for every camera.
    pub frame: Arc<FrameSettings>,
    /// The settings of each camera.
    pub(crate) cameras: FollowedSettings,
    /// The networks and backgrounds.
    pub engine: Engine,
    /// SHA-256 of the network's file.
    pub model_sha256: String,
    /// The choice for existing files.
    pub on_existing: OnExisting,
    /// The template for names of files.
    pub names: NameTemplate,
    /// Each file is on the disk before its row is returned.
    pub fsync: bool,
    /// Rows have the encoded picture and its headers as columns.
    pub picture: bool,
    /// Rows have the records to publish to these topics.
    pub publish: Option<PublishTopics>,
    /// The number of tasks whose states before them are kept, so that Spark can go back to them.
    pub keep: usize,
    /// The topics that the job reads, with their ids in Kafka, if the job gives them.
    pub topics: BTreeMap<String, Option<String>>,
    /// The folder of camera states beside the checkpoint: any path that Hadoop knows. None: the
    /// states lie in the output folder.
    pub state_dir: Option<String>,
}

impl TaskSettings {
    /// Reads and checks settings.
    pub fn from_json(json: &str) -> Result<Self, SettingsError> {
        let all: Map<String, Value> = serde_json::from_str(json).map_err(bad("(JSON)"))?;
        let (own, frame): (Map<_, _>, Map<_, _>) = all
            .into_iter()
            .partition(|(name, _)| TASK_OPTIONS.contains(&name.as_str()));
        let own: TaskOptions = serde_json::from_value(Value::Object(own)).map_err(bad("(JSON)"))?;
        let frame: FrameOptions =
            serde_json::from_value(Value::Object(frame)).map_err(bad("(JSON)"))?;
        let frame = frame.check()?;
        local("out", &own.out)?;
        if own.group.is_empty() {
            return Err(bad("group")("it needs a name"));
        }
        if own
            .state_dir
            .as_deref()
            .is_some_and(|dir| dir.trim().is_empty())
        {
            return Err(bad("state_dir")("it is empty: give the path of a folder"));
        }
        let names = names(own.name.as_deref())?;
        check_files(&own, &frame, &names)?;
        let on_existing =
            parse("on_existing", own.on_existing.as_deref())?.unwrap_or(OnExisting::Skip);
        if on_existing == OnExisting::Fail {
            return Err(bad("on_existing")(
                "Spark may process a frame twice, and its file then exists: use overwrite or skip",
            ));
        }
        let engine = Engine::new(&frame);
        let networks = engine.models.networks(&frame).map_err(not_here)?;
        engine
            .backgrounds
            .open(&frame.background, &Default::default())
            .map_err(bad("background"))?;
        let file = own.camera_settings.as_deref();
        let cameras = CameraSettings::read(frame.clone(), file, &engine.backgrounds)
            .map_err(|error| bad("camera_settings")(one_line(&error.to_string())))?;
        Ok(TaskSettings {
            cameras: FollowedSettings::new(cameras),
            model_sha256: networks.finder.sha256().to_owned(),
            frame: Arc::new(frame),
            engine,
            on_existing,
            names,
            fsync: own.fsync,
            picture: own.picture,
            publish: own.publish,
            keep: own.keep.max(1),
            topics: own.topics,
            state_dir: own.state_dir,
            out: own.out,
            group: own.group,
        })
    }

    /// The owner of the output folder. A job that does not name its topics is known by its group
    /// alone.
    pub(crate) fn owner(&self) -> Owner {
        let topics: Vec<&str> = self.topics.keys().map(String::as_str).collect();
        Owner::Spark {
            topic: match topics[..] {
                [] => "*".to_owned(),
                _ => topics.join(","),
            },
            group: self.group.clone(),
        }
    }

    /// The identity of a topic in the journal of names. Another topic of the same name has another
    /// one: otherwise its offsets would mean the frames of this topic.
    ///
    /// It is the topic's id in Kafka, as the worker writes it. If the job does not give the id, it
    /// is the topic's name with the id of the query, which Spark keeps in the query's checkpoint:
    /// Spark does not continue from a checkpoint whose topic was created again.
    pub(crate) fn topic_identity(&self, topic: &str, query: Option<&str>) -> String {
        let id = self.topics.get(topic).and_then(Option::as_deref);
        match (id.filter(|id| *id != NO_TOPIC_ID), query) {
            (Some(id), _) => id.replace('-', "+").replace('_', "/"),
            (None, Some(query)) => format!("name:{topic}/{query}"),
            (None, None) => format!("name:{topic}"),
        }
    }

    /// Whether rows need the encoded picture, as a column or for the topic of pictures.
    pub(crate) fn needs_picture(&self) -> bool {
        let publish = self.publish.as_ref();
        self.picture || publish.is_some_and(|topics| topics.pictures.is_some())
    }
}

/// The error for a network that the driver or an executor lacks.
fn not_here(error: StartError) -> SettingsError {
    let problem = match error {
        StartError::Model { path, reason } => format!("{path}: {reason}"),
        other => other.to_string(),
    };
    bad("model")(problem)
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

/// Reads the template for names of files. There may be several cameras, so it needs `{camera}`.
fn names(text: Option<&str>) -> Result<NameTemplate, SettingsError> {
    match text {
        None | Some("number") => Ok(NameTemplate::default()),
        Some(text) => {
            let names: NameTemplate = text.parse().map_err(bad("name"))?;
            match names.has_camera() {
                true => Ok(names),
                false => Err(bad("name")(NameTemplateError::no_camera())),
            }
        }
    }
}

/// Joins the lines of a text. From an error of TOML, it leaves out the quoted line.
pub(crate) fn one_line(text: &str) -> String {
    let is_picture = |line: &&str| {
        line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit())
            .starts_with('|')
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .filter(|line| !is_picture(line))
        .collect::<Vec<_>>()
        .join(": ")
}

/// Checks that this machine has the files that the settings name, and that no frame replaces one of
/// them.
fn check_files(
    own: &TaskOptions,
    frame: &FrameSettings,
    names: &NameTemplate,
) -> Result<(), SettingsError> {
    let mut reads = Inputs::default();
    match &frame.background {
        BackgroundChoice::Spec(BackgroundSpec::Image(path)) => {
            readable("background", path)?;
            reads.add(&"the background".into(), path);
        }
        BackgroundChoice::Spec(BackgroundSpec::Video(_)) => {
            return Err(bad("background")(
                "a task that runs again could not tell which picture of the video comes next",
            ));
        }
        _ => {}
    }
    if let Some(path) = frame.model.file() {
        readable("model", path)?;
        reads.add(&"the model".into(), path);
    }
    if let Some(path) = &own.camera_settings {
        readable("camera_settings", path)?;
        reads.add(&"the settings of cameras".into(), path);
    }
    let found = match names.is_default() {
        true => reads.at_frames_below(&own.out, frame.format.extension()),
        false => reads.at_template(&own.out, names),
    };
    match found {
        Some((path, input)) => Err(bad("out")(format!(
            "{} would replace {}: use another folder",
            path.display(),
            input.what
        ))),
        None => Ok(()),
    }
}

/// Refuses a path that this machine cannot read as a file.
fn readable(name: &'static str, path: &Path) -> Result<(), SettingsError> {
    local(name, path)?;
    let cannot = |problem: &dyn Display| {
        bad(name)(format!(
            "cannot read {} on this machine: {problem} (the driver and every executor need it)",
            path.display()
        ))
    };
    // Other kinds of files may have no end.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(cannot(&"it is not a file")),
        Ok(_) => Ok(()),
        Err(error) => Err(cannot(&error)),
    }
}

/// Refuses a text that is not a path of this machine: the file system would take `s3a://bucket/x`
/// for a folder called `s3a:`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_worker() {
        let settings = TaskSettings::from_json(r#"{"out": "/tmp/x", "group": "g"}"#).unwrap();
        assert_eq!(*settings.frame, FrameSettings::default());
        assert!(settings.frame.has_state() && !settings.picture);
        assert!(settings.publish.is_none() && !settings.needs_picture());
        assert_eq!(settings.on_existing, OnExisting::Skip);
    }

    #[test]
    fn a_topics_identity_is_its_id_or_else_its_name_and_the_query() {
        let open = |topics: &str| {
            let json = format!(r#"{{"out": "/tmp/x", "group": "g", "topics": {topics}}}"#);
            TaskSettings::from_json(&json).unwrap()
        };
        let told = open(r#"{"t": "a-b_c", "old": "AAAAAAAAAAAAAAAAAAAAAA", "new": null}"#);
        for (topic, query, identity) in [
            ("t", Some("q"), "a+b/c"),
            ("t", None, "a+b/c"),
            ("old", Some("q"), "name:old/q"),
            ("new", Some("q"), "name:new/q"),
            ("another", None, "name:another"),
        ] {
            assert_eq!(told.topic_identity(topic, query), identity);
        }
        let owner = |topic: &str| Owner::Spark {
            topic: topic.to_owned(),
            group: "g".to_owned(),
        };
        assert_eq!(told.owner(), owner("new,old,t"));
        assert_eq!(open("{}").owner(), owner("*"));
    }

    #[test]
    fn topics_are_read_with_their_sizes() {
        let open = |publish: &str| {
            TaskSettings::from_json(&format!(
                r#"{{"out": "/tmp/x", "group": "g", "publish": {publish}}}"#
            ))
        };
        let bare = open(r#"{"results": "r", "dead": "d", "max_dead_bytes": 7}"#).unwrap();
        let topics = bare.publish.as_ref().unwrap();
        assert_eq!((topics.dead.as_str(), topics.max_dead_bytes), ("d", 7));
        assert!(topics.pictures.is_none() && !bare.needs_picture());
        let pictures = open(
            r#"{"results": "r", "dead": "d", "max_dead_bytes": 0,
                "pictures": {"topic": "p", "max_bytes": 9}}"#,
        )
        .unwrap();
        assert!(pictures.needs_picture() && !pictures.picture);
        for wrong in [
            r#"{"results": "r"}"#,
            r#"{"results": "r", "dead": "d", "max_dead_bytes": -1}"#,
            r#"{"results": "r", "dead": "d", "max_dead_bytes": 7, "more": 1}"#,
        ] {
            assert!(open(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn errors_name_the_setting_or_the_file() {
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
            (r#""name": "frame_{number}""#, "{camera} is missing"),
            (r#""name": "{camera}/{day}""#, "{minute}"),
            (r#""state_dir": " ""#, "state_dir"),
            (
                r#""camera_settings": "/nowhere/a.toml""#,
                "camera_settings: cannot read /nowhere/a.toml on this machine",
            ),
            (
                r#""camera_settings": "s3a://b/a.toml""#,
                "camera_settings: s3a: is an address",
            ),
            (r#""colour": "gray""#, "colour"),
        ] {
            let json = format!(r#"{{"out": "/tmp/x", "group": "g", {more}}}"#);
            let error = TaskSettings::from_json(&json).err().unwrap().to_string();
            assert!(error.contains(name), "{json}: {error}");
        }
    }

    #[test]
    fn a_file_of_cameras_that_cannot_be_used_is_an_error_of_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cameras.toml");
        let json = serde_json::json!({ "out": "/tmp/x", "group": "g", "camera_settings": file });
        for (text, said) in [
            ("[door]\nmatte = \"fuzzy\"", "(camera door)"),
            (
                "[door]\nmodel = \"landscape\"",
                "line 2, column 1: unknown field `model`",
            ),
            ("[door]\nbackground = \"gray", "line 2, column "),
            ("[door]\nbackground = \"image:/nowhere/a.png\"", "[door]: "),
            ("[door]\nbackground = \"video:a.mp4\"", "[door]: "),
        ] {
            fs::write(&file, text).unwrap();
            let error = TaskSettings::from_json(&json.to_string()).err().unwrap();
            let error = error.to_string();
            let begin = format!(
                "setting camera_settings: the settings of cameras in {}",
                file.display()
            );
            assert!(error.starts_with(&begin) && error.contains(said), "{error}");
            assert!(!error.contains(['\n', '|']), "{error}");
        }
    }

    #[test]
    fn a_frame_does_not_replace_the_background() {
        let out = tempfile::tempdir().unwrap();
        let background = out.path().join("cam01/frame_000000.png");
        std::fs::create_dir(out.path().join("cam01")).unwrap();
        std::fs::write(&background, b"x").unwrap();
        let background = format!("image:{}", background.display());
        let json = serde_json::json!({ "out": out.path(), "group": "g", "background": background });
        let error = TaskSettings::from_json(&json.to_string())
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("setting out") && error.contains("the background"),
            "{error}"
        );
    }

    #[test]
    fn an_address_is_no_folder() {
        let open =
            |out: &str| TaskSettings::from_json(&format!(r#"{{"out": {out:?}, "group": "g"}}"#));
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
            let error = open(out).err().unwrap().to_string();
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
