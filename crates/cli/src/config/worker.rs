//! The checked settings of `mattebox worker`.
use super::{
    ConfigError, Resolved,
    broker::{BrokerSettings, topic_name},
    check::Check,
    layer::WorkerLayer,
    outputs,
    settings::*,
    trace::TraceSettings,
    view::ViewSettings,
};
use crate::sink::SinkSpec;
use mattebox_core::{
    codec::{ImageFormat, Limits},
    compose::BackgroundSpec,
    matte::MatteMode,
};
use mattebox_net::SimdLevel;
use mattebox_store::OnExisting;
use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

/// Where a worker's results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerSink {
    /// A folder with one for each camera in it.
    Directory(PathBuf),
    /// A topic of this name.
    Topic(String),
}

/// Where a group without an offset begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the oldest record that is there.
    Earliest,
    /// With what comes next.
    Latest,
    /// With the first record of this time or later, in unix milliseconds.
    Time(i64),
}

/// Everything `mattebox worker` needs to know.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Where frames come from.
    pub broker: BrokerSettings,
    /// The consumer group.
    pub group: String,
    /// A name that this worker keeps over restarts.
    pub instance_id: Option<String>,
    /// Where it begins.
    pub from: From,
    /// It stops when it has done what was there at its start.
    pub until_end: bool,
    /// Older frames are skipped.
    pub max_age: Option<Duration>,
    /// Larger pictures are dead letters.
    pub limits: Limits,
    /// How long to try to reach the broker at the start.
    pub connect_timeout: Duration,
    /// A warning is given when more than this share of a camera's last records is dead.
    pub dead_share: f64,
    /// How many records that looks at.
    pub dead_window: usize,
    /// How often offsets are committed.
    pub commit_interval: Duration,
    /// Files are on the disk before their offsets are committed.
    pub fsync: bool,
    /// Where results go.
    pub sink: WorkerSink,
    /// What stands behind the person.
    pub background: BackgroundSpec,
    /// Which matte.
    pub matte: MatteMode,
    /// Whether the old room's light is taken out of the edge.
    pub foreground_cleanup: bool,
    /// Whether the network is spared frames like the one before.
    pub skip_still: bool,
    /// The format of pictures.
    pub format: ImageFormat,
    /// Of JPEG pictures, 1 to 100.
    pub jpeg_quality: u8,
    /// What happens to a file that is there.
    pub on_existing: OnExisting,
    /// Which network.
    pub model: ModelChoice,
    /// Threads that work on frames.
    pub threads: NonZeroUsize,
    /// Vector instructions.
    pub simd: SimdLevel,
    /// Where numbers are served.
    pub metrics: Option<SocketAddr>,
    /// Where traces go, if anywhere.
    pub trace: Option<TraceSettings>,
    /// The live page, if there is one.
    pub view: Option<ViewSettings>,
    /// How long frames on their way may take after the first signal.
    pub shutdown_timeout: Duration,
    /// How progress is shown.
    pub progress: ProgressStyle,
}

impl WorkerSettings {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<WorkerLayer>) -> Result<Self, ConfigError> {
        let check = Check(&resolved.origins);
        let l = &resolved.layer;
        let made = &resolved.layer.made;
        let background: BackgroundSpec = check.parse("background", &made.background)?;
        if let BackgroundSpec::Video(_) = background {
            let reason = "a worker that goes on after a crash could not tell which of its pictures comes next: use another background";
            return Err(check.error("background", &background, reason));
        }
        let format = match made.format.as_deref() {
            Some("raw") => return Err(check.error("format", "raw", "use png, jpg or webp")),
            _ => check.parse("format", &made.format)?,
        };
        check.transparency(&background, format)?;
        let on_existing = check.parse("on_existing", &made.on_existing)?;
        if on_existing == OnExisting::Fail {
            let reason = "after a crash a frame may be made once more, and its file be there: use overwrite or skip";
            return Err(check.error("on_existing", on_existing, reason));
        }
        let broker = BrokerSettings::new(&check, &l.kafka)?;
        let sink = sink(&check, &l.out, &broker.topic)?;
        let group = check.given("group", &l.group)?;
        if group.is_empty() {
            return Err(check.error("group", group, "give the consumer group a name"));
        }
        let dead_share = l.dead_share.unwrap_or(0.5);
        if !(0.0..=1.0).contains(&dead_share) {
            return Err(check.error("dead_share", dead_share, "it must be between 0 and 1"));
        }
        let settings = WorkerSettings {
            group: group.to_owned(),
            broker,
            instance_id: l.instance_id.clone(),
            from: from(&check, &l.from)?,
            until_end: match check.given("until", &l.until)? {
                "end" => true,
                "never" => false,
                other => return Err(check.error("until", other, "use end or never")),
            },
            max_age: match l.live {
                Some(true) => check.positive_span("max_age", &l.max_age)?,
                _ => None,
            },
            limits: check.limits(l.max_megapixels)?,
            connect_timeout: check
                .span("connect_timeout", &l.connect_timeout)?
                .unwrap_or(Duration::from_secs(120)),
            dead_share,
            dead_window: check
                .integer("dead_window", l.dead_window, 1, 1_000_000)?
                .unwrap_or(100) as usize,
            commit_interval: check
                .positive_span("commit_interval", &l.commit_interval)?
                .unwrap_or(Duration::from_millis(500)),
            fsync: l.fsync.unwrap_or(false),
            sink,
            background,
            matte: check.parse("matte", &made.matte)?,
            foreground_cleanup: made.foreground_cleanup.unwrap_or(true),
            skip_still: made.skip_still.unwrap_or(false),
            format,
            jpeg_quality: check.jpeg_quality(made.jpeg_quality)?,
            on_existing,
            model: ModelChoice::named(made.model.as_deref()),
            threads: check.threads(made)?,
            simd: check.simd(made)?,
            metrics: check.metrics(&l.metrics)?,
            trace: TraceSettings::new(&check, &l.trace)?,
            view: ViewSettings::new(&check, &l.view)?,
            shutdown_timeout: check.shutdown_timeout(&l.say.shutdown_timeout)?,
            progress: check.progress(&l.say.progress)?,
        };
        outputs::check_worker(&check, resolved, &settings)?;
        Ok(settings)
    }
}

fn sink(check: &Check<'_>, out: &Option<String>, frames: &str) -> Result<WorkerSink, ConfigError> {
    let text = check.given("out", out)?;
    if let Some(topic) = text.strip_prefix("topic:") {
        topic_name(topic).map_err(|reason| check.error("out", text, reason))?;
        if topic == frames {
            return Err(check.error(
                "out",
                text,
                "results cannot go to the topic that the frames come from",
            ));
        }
        return Ok(WorkerSink::Topic(topic.to_owned()));
    }
    match check.parse("out", out)? {
        SinkSpec::Directory(path) => Ok(WorkerSink::Directory(path)),
        other => Err(check.error(
            "out",
            other,
            "a worker writes to a folder or to topic:NAME; for a video use mattebox run",
        )),
    }
}

fn from(check: &Check<'_>, text: &Option<String>) -> Result<From, ConfigError> {
    match check.given("from", text)? {
        "earliest" => Ok(From::Earliest),
        "latest" => Ok(From::Latest),
        text => {
            let seconds = text
                .parse::<f64>()
                .ok()
                .filter(|s| (0.0..1e11).contains(s))
                .map(|s| (s * 1e3) as i64);
            let time = || {
                text.parse::<jiff::Timestamp>()
                    .ok()
                    .map(jiff::Timestamp::as_millisecond)
            };
            let wanted =
                "use earliest, latest, a time such as 2026-01-31T12:00:00Z, or unix seconds";
            seconds
                .or_else(time)
                .map(From::Time)
                .ok_or_else(|| check.error("from", text, wanted))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    fn settings(args: &[&str]) -> Result<WorkerSettings, ConfigError> {
        let command = WorkerLayer::augment_args(clap::Command::new("worker").no_binary_name(true));
        let matches = command.clone().try_get_matches_from(args).unwrap();
        let given = WorkerLayer::from_arg_matches(&matches).unwrap();
        WorkerSettings::new(&Resolved::new(&given, &matches, &command, None)?)
    }

    #[test]
    fn where_it_begins_can_be_said_in_every_way() {
        let from = |text: &str| settings(&["--from", text]).unwrap().from;
        assert_eq!(from("earliest"), From::Earliest);
        assert_eq!(from("latest"), From::Latest);
        assert_eq!(from("1700000000"), From::Time(1_700_000_000_000));
        assert_eq!(from("2023-11-14T22:13:20Z"), From::Time(1_700_000_000_000));
        assert_eq!(settings(&[]).unwrap().from, From::Earliest);
    }

    #[test]
    fn results_go_to_a_folder_or_a_topic() {
        assert_eq!(
            settings(&[]).unwrap().sink,
            WorkerSink::Directory("output".into())
        );
        assert_eq!(
            settings(&["-o", "topic:results"]).unwrap().sink,
            WorkerSink::Topic("results".into())
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_name_and_reason() {
        for (args, words) in [
            (&["-o", "topic:camera_frames"][..], ["out", "come from"]),
            (&["-o", "topic:a/b"], ["out", "allowed"]),
            (&["-o", "x.mp4"], ["out", "mattebox run"]),
            (&["--from", "yesterday"], ["from", "earliest"]),
            (&["--until", "noon"], ["until", "never"]),
            (&["--background", "video:x.mp4"], ["background", "another"]),
            (&["--on-existing", "fail"], ["on_existing", "skip"]),
            (&["--dead-share", "2"], ["dead_share", "between"]),
            (&["--commit-interval", "0"], ["commit_interval", "longer"]),
            (&["--metrics", "everywhere"], ["metrics", "ADDRESS:PORT"]),
        ] {
            let error = settings(args)
                .expect_err(&format!("{args:?} was accepted"))
                .to_string();
            assert!(
                words.iter().all(|word| error.contains(word)),
                "{args:?}: {error}"
            );
        }
    }
}
