//! Shell completions. The shell asks this program, so they know cameras and topics.
//!
//! `mattebox completions SHELL` prints a script that calls this program with [`VARIABLE`] set and
//! the words so far.
use super::help::{self, HelpLength};
use crate::{
    config::{DeadLettersLayer, Resolved, RunLayer, SettingsLayer, dead_letters},
    output,
};
use clap::Arg;
use clap_complete::{
    ArgValueCandidates, ArgValueCompleter, CompleteEnv, CompletionCandidate, PathCompleter,
    engine::ValueCompleter, env::Shells,
};
use mattebox_engine::stop::Stop;
use mattebox_kafka::client;
use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    path::Path,
    time::Duration,
};

/// Set by the script that asks for completions, to the name of the shell.
const VARIABLE: &str = "MATTEBOX_COMPLETE";

/// How long the Tab key waits for a broker.
const TAB_TIMEOUT: Duration = Duration::from_millis(1500);

/// Settings with few values, or with few ways to begin a value. A test checks that each is
/// accepted.
const VALUES: &[(&str, &[&str])] = &[
    (
        "background",
        &["gray", "blur", "transparent", "image:", "video:"],
    ),
    ("matte", &["soft", "hard", "fine", "fine:always"]),
    ("people", &["all", "nearest", "1", "2"]),
    ("plate", &["auto", "off"]),
    ("format", &["png", "jpg", "webp"]),
    ("on_existing", &["overwrite", "skip", "fail"]),
    ("name", &["number", "keep"]),
    ("deinterlace", &["auto", "off"]),
    ("rtsp_transport", &["auto", "tcp", "udp"]),
    ("hwaccel", &["none", "auto"]),
    ("video_encoder", &["software", "auto"]),
    (
        "video_preset",
        &[
            "ultrafast",
            "superfast",
            "veryfast",
            "faster",
            "fast",
            "medium",
            "slow",
        ],
    ),
    ("simd", &["scalar", "sse4.2", "avx2", "avx512", "neon"]),
    (
        "log_level",
        &["error", "warn", "info", "debug", "trace", "off"],
    ),
    ("log_format", &["text", "json"]),
    ("progress", &["auto", "bar", "lines", "none"]),
    ("wire", &["binary", "json"]),
    ("from", &["earliest", "latest"]),
    ("until", &["end", "never"]),
    ("on_gap", &["continue", "fail"]),
    ("on_missing_state", &["restart", "fail"]),
    (
        "kafka_security",
        &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"],
    ),
    ("kafka_sasl", &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
];

/// Answers a shell that asks for completions; false if none does.
pub(super) fn answer(args: &[OsString]) -> Result<bool, clap::Error> {
    if std::env::var_os(VARIABLE).is_none() {
        return Ok(false);
    }
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(|| help::command(HelpLength::Long).mut_subcommands(completed))
        .var(VARIABLE)
        .try_complete(args.iter().cloned(), here.as_deref())
}

/// Prints the script of a shell.
pub(super) fn print_script(shell: &str) -> anyhow::Result<()> {
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(shell) else {
        anyhow::bail!("no completions for {shell}");
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "mattebox", "mattebox", &program(), &mut script)?;
    let script = String::from_utf8_lossy(&script);
    output::print_bytes(quoting(&script).as_bytes())?;
    Ok(())
}

/// Bash quotes file names only if the script says that they are files. Other shells quote by
/// themselves.
fn quoting(script: &str) -> String {
    const REPLIES: &str = "    elif [[ $_CLAP_COMPLETE_SPACE == false ]]";
    const LOOK: &str = r#"    fi
    local reply
    for reply in "${COMPREPLY[@]}"; do
        [[ -e "$reply" ]] && { compopt -o filenames 2> /dev/null; break; }
    done
    if [[ $_CLAP_COMPLETE_SPACE == false ]]"#;
    script.replacen(REPLIES, LOOK, 1)
}

/// The name by which the script calls this program if PATH finds it, else its path.
fn program() -> String {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_found = std::env::split_paths(&folders).any(|dir| dir.join("mattebox").is_file());
    let path = std::env::current_exe().ok().filter(|_| !is_found);
    path.map_or("mattebox".to_owned(), |path| {
        path.to_string_lossy().into_owned()
    })
}

/// Adds completions to the arguments of a command.
fn completed(command: clap::Command) -> clap::Command {
    command.mut_args(with_values).mut_subcommands(completed)
}

fn with_values(arg: Arg) -> Arg {
    let id = arg.get_id().as_str();
    // clap knows the others by their type; --from of `dead-letters redrive` is a PARTITION:OFFSET.
    let has_values = arg.get_value_parser().possible_values().is_some();
    let is_place = arg
        .get_value_names()
        .is_some_and(|names| names[0].contains(':'));
    if has_values || is_place {
        return arg;
    }
    if let Some((_, values)) = VALUES.iter().find(|(of, _)| *of == id) {
        let values = *values;
        return arg.add(ArgValueCandidates::new(move || {
            values.iter().map(CompletionCandidate::new).collect()
        }));
    }
    match id {
        "topic" | "results" => arg.add(ArgValueCandidates::new(topics)),
        "camera" | "camera_id" => arg.add(ArgValueCandidates::new(cameras)),
        "source" => arg.add(ArgValueCompleter::new(SourceCompleter)),
        _ => arg,
    }
}

/// Files and folders, and the webcams of this machine.
struct SourceCompleter;

impl ValueCompleter for SourceCompleter {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let typed = current.to_string_lossy();
        let devices = super::doctor::webcams().into_iter().filter_map(|path| {
            let number = path.strip_prefix("/dev/video")?.to_owned();
            let help = format!("the camera {path}").into();
            number
                .starts_with(&*typed)
                .then(|| CompletionCandidate::new(number).help(Some(help)))
        });
        let files = PathCompleter::any().complete(current);
        devices.chain(files).collect()
    }
}

/// The topics of the broker. The words so far, the environment or the settings file name it.
fn topics() -> Vec<CompletionCandidate> {
    let names = || -> Option<Vec<String>> {
        let broker = dead_letters::settings(&settings::<DeadLettersLayer>(&["--kafka"])?)
            .ok()?
            .broker;
        let admin = client::connect(&broker, TAB_TIMEOUT, &Stop::new()).ok()?;
        let all = client::metadata(&admin, None, TAB_TIMEOUT).ok()?;
        let names = all.topics().iter().map(|topic| topic.name().to_owned());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with("__")).collect();
        names.sort();
        Some(names)
    };
    let names = names().unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The cameras that the settings file names, and those that have a folder in the output.
fn cameras() -> Vec<CompletionCandidate> {
    let Some(settings) = settings::<RunLayer>(&["--out", "-o"]) else {
        return vec![];
    };
    let layer = settings.layer;
    let sources = layer.source.into_iter().flatten();
    let named = sources.filter_map(|source| {
        let (name, _) = source.split_once('=')?;
        name.parse::<mattebox_core::frame::CameraId>().ok()?;
        Some(name.to_owned())
    });
    let mut names: BTreeSet<_> = named.collect();
    let folder = layer.out.unwrap_or_default();
    let entries = std::fs::read_dir(Path::new(&folder)).into_iter().flatten();
    let folders = entries.flatten().filter(|e| e.path().is_dir());
    names.extend(folders.map(|e| e.file_name().to_string_lossy().into_owned()));
    names.retain(|name| !name.starts_with('.'));
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The settings in force in the working directory, with those of the given flags that are typed
/// already.
fn settings<L: SettingsLayer>(flags: &[&str]) -> Option<Resolved<L>> {
    let words: Vec<_> = std::env::args().collect();
    let mut typed = Vec::new();
    for flag in flags {
        let value = words.iter().enumerate().find_map(|(i, word)| {
            let joined = word.strip_prefix(&format!("{flag}=")).map(str::to_owned);
            joined.or_else(|| words.get(i + 1).filter(|_| word == flag).cloned())
        });
        typed.extend(value.map(|value| format!("{flag}={value}")));
    }
    let command = L::augment_args(clap::Command::new(L::COMMAND).no_binary_name(true));
    let matches = command.clone().try_get_matches_from(typed).ok()?;
    let given = L::from_arg_matches(&matches).ok()?;
    let file = std::env::var_os("MATTEBOX_CONFIG");
    Resolved::new(&given, &matches, &command, file.as_deref().map(Path::new)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::worker::WorkerCommand;
    use crate::config::{CameraLayer, RunSettings, WorkerLayer, camera::CameraCommand};

    fn resolved<L: SettingsLayer>(args: &[String]) -> Option<Resolved<L>> {
        let command = L::augment_args(clap::Command::new(L::COMMAND).no_binary_name(true));
        let matches = command.clone().try_get_matches_from(args).ok()?;
        let given = L::from_arg_matches(&matches).expect("what clap took");
        let resolved = Resolved::new(&given, &matches, &command, None).expect("settings");
        resolved.check_messages().expect("a level and a format");
        Some(resolved)
    }

    #[test]
    fn every_value_that_is_offered_is_accepted() {
        let picture = tempfile::Builder::new()
            .prefix("a")
            .suffix(".png")
            .tempfile();
        let picture = picture.expect("a file");
        let place = picture.path().to_string_lossy().into_owned();
        for (id, values) in VALUES {
            for value in *values {
                let value = match value.strip_suffix(':') {
                    Some(_) => format!("{value}{place}"),
                    None => (*value).to_owned(),
                };
                let flag = format!("--{}={value}", id.replace('_', "-"));
                let args = [flag.clone()];
                // Only pictures keep their names.
                let with_source = [flag.clone(), place.clone()];
                let run = resolved::<RunLayer>(&with_source);
                let camera = resolved::<CameraLayer>(&with_source);
                let worker = resolved::<WorkerLayer>(&args);
                assert!(
                    run.is_some() || camera.is_some() || worker.is_some(),
                    "{flag} is a flag of no command"
                );
                let accepted = run.is_some_and(|r| RunSettings::new(&r).is_ok())
                    || camera.is_some_and(|r| CameraCommand::new(&r).is_ok())
                    || worker.is_some_and(|r| WorkerCommand::new(&r).is_ok());
                let needs_more = matches!(*id, "simd" | "kafka_security" | "kafka_sasl");
                assert!(accepted || needs_more, "{flag} is refused");
            }
        }
    }
}
