//! The settings of `mattebox worker`.
use super::{
    ConfigError, Resolved, broker,
    check::SettingsCheck,
    keep::{self, FolderRetention},
    layer::WorkerLayer,
    names,
    origin::SettingOrigin,
    output_choice::ProgressStyle,
    outputs, page, trace,
};
use mattebox_core::compose::BackgroundSpec;
use mattebox_engine::BackgroundChoice;
use mattebox_kafka::settings::{OnGap, OnMissingState, WorkerSettings, WorkerSink, topic_name};
use mattebox_media::sink::SinkSpec;
use mattebox_server::ViewSettings;
use mattebox_store::OnExisting;
use std::{net::SocketAddr, time::Duration};

/// The checked settings of `mattebox worker`.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The settings of the worker.
    pub worker: WorkerSettings,
    /// The address that serves metrics.
    pub metrics: Option<SocketAddr>,
    /// The live page, if there is one.
    pub view: Option<ViewSettings>,
    /// The style of progress.
    pub progress: ProgressStyle,
    /// The old files to remove from the folder.
    pub keeping: Option<FolderRetention>,
}

impl WorkerCommand {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<WorkerLayer>) -> Result<Self, ConfigError> {
        let check = SettingsCheck(&resolved.origins);
        let l = &resolved.layer;
        let made = &resolved.layer.frame;
        if made.format.as_deref() == Some("raw") {
            return Err(check.error("format", "raw", "use png, jpg or webp"));
        }
        let frame = check.frame(made, l.max_megapixels)?;
        if let BackgroundChoice::Spec(background @ BackgroundSpec::Video(_)) = &frame.background {
            let reason = "a worker that goes on after a crash could not tell which of its pictures \
                 comes next: use another background";
            return Err(check.error("background", background, reason));
        }
        let on_existing = check.parse("on_existing", &made.on_existing)?;
        if on_existing == OnExisting::Fail {
            let reason = "after a crash a frame may be made once more, and its file be there: use \
                 overwrite or skip";
            return Err(check.error("on_existing", on_existing, reason));
        }
        let broker = broker::settings(&check, &l.kafka)?;
        let sink = sink(&check, &l.out)?;
        let group = check.given("group", &l.group)?;
        if group.is_empty() {
            return Err(check.error("group", group, "give the consumer group a name"));
        }
        let results = match &sink {
            WorkerSink::Directory(_) => None,
            WorkerSink::Topic(results) => Some(results.as_str()),
        };
        mattebox_kafka::worker::check_names(&broker.topic, group, results)
            .map_err(|reason| check.error("out", l.out.as_deref().unwrap_or_default(), reason))?;
        let dead_share = l.dead_share.unwrap_or(0.5);
        if !(0.0..=1.0).contains(&dead_share) {
            return Err(check.error("dead_share", dead_share, "it must be between 0 and 1"));
        }
        let worker = WorkerSettings {
            group: group.to_owned(),
            broker,
            instance_id: l.instance_id.clone(),
            from: check.parse("from", &l.from)?,
            until_end: match check.given("until", &l.until)? {
                "end" => true,
                "never" => false,
                other => return Err(check.error("until", other, "use end or never")),
            },
            max_age: match l.live {
                Some(true) => check.positive_duration("max_age", &l.max_age)?,
                _ => None,
            },
            forget: page::forget(&check, &l.view)?,
            connect_timeout: check
                .duration("connect_timeout", &l.connect_timeout)?
                .unwrap_or(Duration::from_secs(120)),
            dead_share,
            dead_window: check
                .integer("dead_window", l.dead_window, 1, 1_000_000)?
                .unwrap_or(100) as usize,
            commit_interval: commit_interval(&check, &l.commit_interval, &sink)?,
            // Results in a topic become visible with the commit, so the interval of the user holds.
            bounds_states: matches!(sink, WorkerSink::Directory(_))
                && check.0.of("commit_interval") == SettingOrigin::Default,
            fsync: l.fsync.unwrap_or(false),
            names: names::template(&check, &l.name, "number", true)?,
            sink,
            frame,
            camera_settings: l.camera_settings.as_ref().map(Into::into),
            on_existing,
            on_gap: match check.given("on_gap", &l.on_gap)? {
                "continue" => OnGap::Continue,
                "fail" => OnGap::Fail,
                other => return Err(check.error("on_gap", other, "use continue or fail")),
            },
            on_missing_state: match check.given("on_missing_state", &l.on_missing_state)? {
                "restart" => OnMissingState::Restart,
                "fail" => OnMissingState::Fail,
                other => {
                    return Err(check.error("on_missing_state", other, "use restart or fail"));
                }
            },
            threads: check.threads(made)?,
            trace: trace::settings(&check, &l.trace)?,
            shutdown_timeout: check.shutdown_timeout(&l.messages.shutdown_timeout)?,
        };
        outputs::check_worker(&check, resolved, &worker)?;
        Ok(WorkerCommand {
            keeping: keeping(&check, l, &worker)?,
            worker,
            metrics: check.metrics(&l.metrics)?,
            view: page::settings(&check, &l.view.page)?,
            progress: check.progress(&l.messages.progress)?,
        })
    }
}

/// Results in a topic become visible with the commit. Files are in place before, so their states
/// can be stored less often.
fn commit_interval(
    check: &SettingsCheck<'_>,
    text: &Option<String>,
    sink: &WorkerSink,
) -> Result<Duration, ConfigError> {
    let given = check.positive_duration("commit_interval", text)?;
    let is_asked = check.0.of("commit_interval") != SettingOrigin::Default;
    Ok(match (given.filter(|_| is_asked), sink) {
        (Some(interval), _) => interval,
        (None, WorkerSink::Topic(_)) => Duration::from_millis(500),
        (None, WorkerSink::Directory(_)) => given.unwrap_or(Duration::from_secs(2)),
    })
}

/// Only files can be removed, and only files have names.
fn keeping(
    check: &SettingsCheck<'_>,
    l: &WorkerLayer,
    worker: &WorkerSettings,
) -> Result<Option<FolderRetention>, ConfigError> {
    let sink = match &worker.sink {
        WorkerSink::Directory(root) => SinkSpec::Directory(root.clone()),
        WorkerSink::Topic(_) if !worker.names.is_default() => {
            let reason = "only files in a folder have names: give one (--out)";
            return Err(check.error("name", &worker.names, reason));
        }
        WorkerSink::Topic(_) => SinkSpec::Nothing,
    };
    keep::of_run(check, &l.keep, &sink, false, None, &[])
}

fn sink(check: &SettingsCheck<'_>, out: &Option<String>) -> Result<WorkerSink, ConfigError> {
    let text = check.given("out", out)?;
    if let Some(topic) = text.strip_prefix("topic:") {
        topic_name(topic).map_err(|reason| check.error("out", text, reason))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};
    use mattebox_wire::StartAt;

    fn settings(args: &[&str]) -> Result<WorkerCommand, ConfigError> {
        let command = WorkerLayer::augment_args(clap::Command::new("worker").no_binary_name(true));
        let matches = command.clone().try_get_matches_from(args).unwrap();
        let given = WorkerLayer::from_arg_matches(&matches).unwrap();
        WorkerCommand::new(&Resolved::new(&given, &matches, &command, None)?)
    }

    #[test]
    fn frames_have_the_defaults_of_every_command() {
        let frame = settings(&[]).unwrap().worker.frame;
        assert_eq!(frame, mattebox_engine::FrameSettings::default());
    }

    #[test]
    fn where_it_begins_is_read_as_everywhere() {
        let from = |args: &[&str]| settings(args).unwrap().worker.from;
        assert_eq!(from(&[]), StartAt::Earliest);
        let time = StartAt::Time(1_700_000_000_000);
        assert_eq!(from(&["--from", "1700000000"]), time);
    }

    #[test]
    fn results_go_to_a_folder_or_a_topic() {
        assert_eq!(
            settings(&[]).unwrap().worker.sink,
            WorkerSink::Directory("output".into())
        );
        assert_eq!(
            settings(&["-o", "topic:results"]).unwrap().worker.sink,
            WorkerSink::Topic("results".into())
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_name_and_reason() {
        for (args, words) in [
            (&["-o", "topic:camera_frames"][..], ["out", "come from"]),
            (&["-o", "topic:a/b"], ["out", "allowed"]),
            (&["--topic", "frames.dead"], ["topic", "dead letters"]),
            (&["-o", "x.mp4"], ["out", "mattebox run"]),
            (&["--from", "yesterday"], ["from", "earliest"]),
            (&["--until", "noon"], ["until", "never"]),
            (&["--background", "video:x.mp4"], ["background", "another"]),
            (&["--on-existing", "fail"], ["--on-existing", "skip"]),
            (&["--dead-share", "2"], ["--dead-share", "between"]),
            (&["--commit-interval", "0"], ["--commit-interval", "longer"]),
            (&["--name", "keep"], ["name", "{minute}"]),
            (
                &["--name", "frame_{number}"],
                ["{camera} is missing", "{minute}"],
            ),
            (&["--keep", "0"], ["keep", "longer"]),
            (&["--keep-bytes", "many"], ["--keep-bytes", "50GB"]),
            (&["--keep", "7d", "-o", "topic:x"], ["keep", "--out"]),
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
