//! The settings that a found file may hold.
//!
//! mattebox reads `mattebox.toml` in the working directory even if no flag names it, and the file
//! may have arrived with clips of another person. So it may change the look of frames. It may not
//! run a program, open a port to other machines, show the room, choose a secret, or send frames to
//! or fetch them from another machine: those settings count only in a file that `--config` names,
//! in the environment and on the command line. One table has the [`FileTrust`] of every key; a key
//! that is missing there may not stand in a found file.
use mattebox_core::{compose::BackgroundSpec, frame::CameraId};
use mattebox_media::{sink::SinkSpec, source::SourceSpec};
use std::path::{Component, Path};
use toml::Value;

/// The files in which a setting counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum FileTrust {
    /// In every file.
    Any,
    /// In every file, if its value stays on this machine and in this folder. The text is the effect
    /// of any other value.
    Near(fn(&str) -> bool, &'static str),
    /// Only in a file that a flag names. The text is the effect of the setting.
    Named(&'static str),
}
use FileTrust::{Any, Named, Near};

/// Every key of every command.
const TABLE: &[(&str, FileTrust)] = &[
    ("alpha_out", Near(is_near_output, WRITES)),
    ("append", Any),
    ("background", Near(is_near_background, READS)),
    ("buffer_frames", Any),
    ("camera_id", Any),
    (
        "camera_settings",
        Named("it names another file, which can name pictures to show"),
    ),
    ("commit_interval", Any),
    ("connect_timeout", Any),
    ("crf", Any),
    ("dead_share", Any),
    ("dead_window", Any),
    ("deinterlace", Any),
    ("dry_run", Any),
    ("duration", Any),
    ("every", Any),
    ("ffmpeg", Named("it names a program that is run")),
    ("foreground_cleanup", Any),
    ("format", Any),
    ("fps", Any),
    ("frames", Any),
    ("from", Any),
    ("fsync", Any),
    ("group", Any),
    ("hwaccel", Any),
    (
        "input_format",
        Named("it selects a part of FFmpeg, and some parts read other files"),
    ),
    (
        "input_option",
        Named("it can change every FFmpeg option of a source"),
    ),
    ("instance_id", Any),
    ("jpeg_quality", Any),
    (
        "kafka",
        Near(
            are_local_hosts,
            "it sends frames to another machine, or takes them from it",
        ),
    ),
    ("kafka_ca", Named(BROKER)),
    ("kafka_cert", Named(BROKER)),
    ("kafka_key", Named(BROKER)),
    ("kafka_key_password", Named(BROKER)),
    (
        "kafka_option",
        Named("it can change every property of the connection to the broker"),
    ),
    ("kafka_password", Named(BROKER)),
    ("kafka_password_file", Named(BROKER)),
    ("kafka_sasl", Named(BROKER)),
    ("kafka_security", Named(BROKER)),
    ("kafka_username", Named(BROKER)),
    ("keep", Named("it removes files")),
    ("keep_bytes", Named("it removes files")),
    ("live", Any),
    ("log_format", Any),
    ("log_level", Any),
    ("loop", Any),
    ("matte", Any),
    ("max_age", Any),
    ("max_megapixels", Any),
    ("max_viewers", Any),
    ("forget", Any),
    ("max_width", Any),
    ("metrics", Near(is_local_address, LISTENS)),
    (
        "model",
        Near(
            is_built_in,
            "another network can leave the room in the picture",
        ),
    ),
    ("name", Any),
    ("no_audio", Any),
    ("on_existing", Any),
    ("on_gap", Any),
    ("on_missing_state", Any),
    ("once", Any),
    ("otlp", Named("it sends traces of the frames elsewhere")),
    ("otlp_sample", Any),
    ("out", Near(is_near_output, WRITES)),
    ("partitions", Any),
    ("passthrough", Any),
    ("people", Any),
    ("plate", Any),
    ("progress", Any),
    ("realtime", Any),
    ("replication_factor", Any),
    ("results", Any),
    ("rtsp_transport", Any),
    ("segment", Any),
    ("show_raw", Named("it shows the room on the page")),
    ("shutdown_timeout", Any),
    ("simd", Any),
    ("size", Any),
    ("skip_still", Any),
    (
        "source",
        Near(
            is_source_of_pictures,
            "it opens a filter graph, which can read any file",
        ),
    ),
    ("stall_timeout", Any),
    ("start", Any),
    ("threads", Any),
    ("tls_cert", Named(PAGE)),
    ("tls_key", Named(PAGE)),
    ("token", Named(PAGE)),
    ("token_file", Named(PAGE)),
    ("topic", Any),
    ("until", Any),
    ("video_encoder", Any),
    ("video_preset", Any),
    ("view", Near(is_local_address, LISTENS)),
    (
        "view_host",
        Named("it lets pages of other names reach the live page"),
    ),
    ("wire", Any),
];

const WRITES: &str = "it sends the result to an address, or writes a video outside of this folder";
const READS: &str =
    "it opens an address or a filter graph, or shows a video, which can be the room";
const LISTENS: &str = "it opens a port to other machines";
const BROKER: &str = "it is a secret of the connection to the broker, or decides how safe that is";
const PAGE: &str = "it is a secret of the live page";

/// The files in which a key counts.
pub(super) fn of(key: &str) -> FileTrust {
    let found = TABLE.iter().find(|(name, _)| *name == key);
    found.map_or(Named("it may be unsafe"), |(_, trust)| *trust)
}

/// The keys that count only in a file that a flag names, and those of which some values do. For the
/// reference.
#[cfg(test)]
pub(crate) fn restricted() -> (Vec<&'static str>, Vec<(&'static str, &'static str)>) {
    let named = TABLE
        .iter()
        .filter(|(_, trust)| matches!(trust, Named(_)))
        .map(|(name, _)| *name)
        .collect();
    let near = TABLE
        .iter()
        .filter_map(|(name, trust)| {
            if let Near(_, what) = trust {
                Some((*name, *what))
            } else {
                None
            }
        })
        .collect();
    (named, near)
}

/// Why a key with this value does not count in a found file; `None` if it does.
pub(super) fn objection(key: &str, value: &Value) -> Option<&'static str> {
    match of(key) {
        Any => None,
        Named(what) => Some(what),
        Near(is_near, what) => (!texts(value).iter().all(|text| is_near(text))).then_some(what),
    }
}

/// The texts of a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        // The default address of the page, or a value of the wrong type, which is refused
        // elsewhere.
        _ => vec![],
    }
}

/// A path that does not lead out of the working directory.
fn is_inside(text: &str) -> bool {
    Path::new(text)
        .components()
        .all(|part| matches!(part, Component::CurDir | Component::Normal(_)))
}

fn is_near_output(text: &str) -> bool {
    if let Some(topic) = text.strip_prefix("topic:") {
        // The address of the broker has a rule.
        return !topic.contains(['/', ':']);
    }
    match text.parse() {
        // Files in a folder have names that only mattebox gives.
        Ok(SinkSpec::Directory(_)) => !has_protocol(text),
        // A video could replace a file of the user.
        Ok(SinkSpec::Video(path)) => path.to_str().is_some_and(is_inside) && !has_protocol(text),
        Ok(SinkSpec::Stdout | SinkSpec::Nothing) => true,
        Ok(SinkSpec::Url(_)) => false,
        // A text that names no output is refused elsewhere.
        Err(_) => !has_protocol(text),
    }
}

fn is_near_source(text: &str) -> bool {
    match text.parse() {
        Ok(SourceSpec::Path(path)) => !has_protocol(&path.to_string_lossy()),
        Ok(SourceSpec::Device(_) | SourceSpec::Stdin) | Err(_) => true,
        Ok(SourceSpec::Url(_) | SourceSpec::Lavfi(_)) => false,
    }
}

/// A file, a device, or the address of a camera.
fn is_source_of_pictures(text: &str) -> bool {
    let is_fine =
        |text: &str| matches!(text.parse(), Ok(SourceSpec::Url(_))) || is_near_source(text);
    let source = text
        .split_once('=')
        .filter(|(name, _)| name.parse::<CameraId>().is_ok())
        .map_or(text, |(_, source)| source);
    is_fine(source)
}

fn is_near_background(text: &str) -> bool {
    match text.parse() {
        // It may show the room.
        Ok(BackgroundSpec::Video(_)) => false,
        Ok(BackgroundSpec::Image(path)) => path.to_str().is_some_and(is_near_source),
        // A text that is no background is refused elsewhere.
        Ok(
            BackgroundSpec::Color(_) | BackgroundSpec::Transparent | BackgroundSpec::Blur { .. },
        )
        | Err(_) => true,
    }
}

/// Whether FFmpeg could take a path for an address: `concat:`, `http:`.
fn has_protocol(text: &str) -> bool {
    let scheme = text
        .split([':', ','])
        .next()
        .filter(|scheme| scheme.len() < text.len());
    let is_scheme = |scheme: &str| {
        scheme.len() > 1
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    scheme.is_some_and(|scheme| {
        is_scheme(scheme) && !scheme.starts_with(|c: char| c.is_ascii_digit())
    })
}

fn is_built_in(text: &str) -> bool {
    matches!(text, "" | "general" | "landscape")
}

fn are_local_hosts(text: &str) -> bool {
    text.split(',').all(|host| {
        let host = host.trim();
        is_local_host(host.rsplit_once(':').map_or(host, |(host, _)| host))
    })
}

fn is_local_host(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// `ADDRESS:PORT`, a port alone, `true` or `false`. Any other text is refused elsewhere.
fn is_local_address(text: &str) -> bool {
    let port = text.strip_prefix(':').unwrap_or(text);
    matches!(text, "" | "true" | "false")
        || port.bytes().all(|b| b.is_ascii_digit())
        || text
            .rsplit_once(':')
            .is_some_and(|(host, _)| is_local_host(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layer;

    #[test]
    fn every_key_of_every_command_has_its_trust() {
        for (command, keys) in layer::commands() {
            for key in keys {
                let known = TABLE.iter().any(|(name, _)| *name == key);
                assert!(
                    known,
                    "{key} of {command}: say in config/trust.rs whether a file that was found may \
                     hold it"
                );
            }
        }
        for (name, _) in TABLE {
            assert!(
                layer::commands()
                    .iter()
                    .any(|(_, keys)| keys.iter().any(|key| key == name)),
                "{name} is no key any more"
            );
        }
    }

    #[test]
    fn a_value_that_stays_here_is_told_from_one_that_does_not() {
        let text = |value: &str| Value::String(value.to_owned());
        for (key, near, far) in [
            (
                "view",
                &[
                    "true",
                    "9480",
                    ":9480",
                    "127.0.0.1:1",
                    "[::1]:1",
                    "localhost:1",
                ][..],
                &["0.0.0.0:1", "[::]:1", "10.0.0.5:1"][..],
            ),
            ("metrics", &["9464"], &["0.0.0.0:9464", "192.168.0.1:1"]),
            (
                "kafka",
                &["localhost:9092", "127.0.0.1:1,[::1]:2"],
                &[
                    "broker:9092",
                    "localhost:1,evil:2",
                    "localhost.evil:1",
                    "u@localhost:1@x:2",
                ],
            ),
            (
                "out",
                &[
                    "output",
                    "/data/output",
                    "../x",
                    "a/b.mp4",
                    "-",
                    "none",
                    "topic:matted",
                    "out-{camera}.mp4",
                ],
                &[
                    "rtmp://h/live/key",
                    "srt://h:1",
                    "/data/a.mp4",
                    "a/../../b.mp4",
                    "file:///tmp/a.mp4",
                    "tee:a|b",
                ],
            ),
            (
                "alpha_out",
                &["mattes", "/data/mattes"],
                &["s3://b/x", "srt://h:1"],
            ),
            (
                "source",
                &[
                    "clip.mp4",
                    "0",
                    "photos/",
                    "-",
                    "door=clip.mp4",
                    "12:30.mp4",
                    "rtsp://h/1?a=b",
                    "door=http://h/a",
                ],
                &[
                    "lavfi:movie=/x",
                    "door=lavfi:movie=/x",
                    "concat:http://h/a",
                    "subfile,,start,0,end,9,,:/etc/passwd",
                    "http:h",
                ],
            ),
            (
                "background",
                &["gray", "blur:3", "image:a.jpg"],
                &[
                    "video:a.mp4",
                    "VIDEO:a.mp4",
                    "video:0",
                    "video:rtsp://h/1",
                    "image:http://h/a",
                    "video:lavfi:movie=x",
                ],
            ),
            ("model", &["landscape"], &["x.tflite"]),
        ] {
            for value in near {
                assert_eq!(objection(key, &text(value)), None, "{key} = {value}");
            }
            for value in far {
                assert!(objection(key, &text(value)).is_some(), "{key} = {value}");
            }
        }
        let two = Value::Array(vec![text("a.mp4"), text("lavfi:movie=/x")]);
        assert!(objection("source", &two).is_some());
        assert!(objection("a_key_to_come", &text("x")).is_some());
    }
}
