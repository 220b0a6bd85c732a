//! Options of FFmpeg that a person sets for a source.
use mattebox_engine::address::{MASK, option};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// Options that are not passed on, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &["i", "y", "n", "attach", "dump_attachment", "target", "map"],
        "it names a file or an output",
    ),
    (
        &[
            "filter_script",
            "filter_complex_script",
            "vstats_file",
            "passlogfile",
            "sdp_file",
            "progress",
            "pre",
            "fpre",
            "vpre",
            "report",
            "vstats",
        ],
        "it names a file",
    ),
    (
        &["vf", "af", "filter", "filter_complex", "lavfi"],
        "filters are not part of the input",
    ),
    (
        &[
            "v",
            "loglevel",
            "debug_ts",
            "hide_banner",
            "stats",
            "nostats",
            "nostdin",
            "stdin",
        ],
        "it changes FFmpeg's messages, which are read here",
    ),
    (&["f"], "use --input-format"),
    (&["ss"], "use --start"),
    (&["t", "to"], "use --duration"),
    (&["re", "readrate"], "use --realtime"),
    (&["stream_loop"], "use --loop"),
    (&["rtsp_transport"], "use --rtsp-transport"),
    (&["hwaccel"], "use --hwaccel"),
    (&["video_size", "s"], "use --size"),
    (&["input_format"], "use --input-format"),
    (
        &[
            "an",
            "vn",
            "sn",
            "dn",
            "copyts",
            "start_at_zero",
            "shortest",
            "bitexact",
            "autorotate",
            "noautorotate",
            "accurate_seek",
            "noaccurate_seek",
            "ignore_unknown",
            "copy_unknown",
            "benchmark",
            "benchmark_all",
            "dump",
            "hex",
            "xerror",
            "qphist",
            "psnr",
            "find_stream_info",
            "hwaccels",
            "version",
            "L",
            "h",
            "help",
        ],
        "it is a switch, and takes no value",
    ),
];

/// An option for FFmpeg's input: `-NAME VALUE` before `-i`.
#[derive(Clone, PartialEq, Eq)]
pub struct InputOption {
    name: String,
    value: String,
}

impl InputOption {
    /// The option's name, as FFmpeg knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value, which may be a secret.
    pub(super) fn value(&self) -> &str {
        &self.value
    }
}

/// Shows no value that may be a secret.
impl fmt::Display for InputOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = option::is_plain(&self.name, &self.value);
        let value = if is_plain { &self.value } else { MASK };
        write!(f, "{}={value}", self.name)
    }
}

impl fmt::Debug for InputOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputOption({self})")
    }
}

/// Why a text is no [`InputOption`]. The message does not repeat the value.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InputOptionError {
    /// No name, no value, or no `=` between them.
    #[error("write NAME=VALUE, such as fflags=nobuffer")]
    Form,
    /// It has no valid name.
    #[error("an option's name has only letters, digits, _, - and :")]
    Name,
    /// It is not passed on.
    #[error("{name} is not passed on to FFmpeg: {reason}")]
    Refused {
        /// The option.
        name: String,
        /// The reason, or the option to use instead.
        reason: &'static str,
    },
}

impl FromStr for InputOption {
    type Err = InputOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or(InputOptionError::Form)?;
        if name.is_empty() || value.is_empty() {
            return Err(InputOptionError::Form);
        }
        let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':');
        if !name.bytes().all(is_part) || name.starts_with(['-', ':']) || value.contains('\0') {
            return Err(InputOptionError::Name);
        }
        // The part before the colon, as in -filter:v and -c:v:0.
        let option = name.split(':').next().unwrap_or(name);
        let found = REFUSED.iter().find(|(names, _)| names.contains(&option));
        match found {
            Some((_, reason)) => Err(InputOptionError::Refused {
                name: name.to_owned(),
                reason,
            }),
            None => Ok(InputOption {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_a_name_and_a_value() {
        for text in [
            "fflags=nobuffer",
            "headers=X-Key: a=b",
            "c:v=h264_cuvid",
            "probesize=32",
            "user_agent=Me/1.0 (x; y)",
        ] {
            let option: InputOption = text.parse().unwrap();
            assert_eq!(format!("{}={}", option.name(), option.value()), text);
        }
        for (text, words) in [
            ("", "NAME=VALUE"),
            ("fflags", "NAME=VALUE"),
            ("=x", "NAME=VALUE"),
            ("fflags=", "NAME=VALUE"),
            ("-i=x", "only letters"),
            ("a b=x", "only letters"),
            ("../x=y", "only letters"),
            ("i=/etc/passwd", "names a file"),
            ("y=1", "names a file"),
            ("filter:v=movie=x", "filters"),
            ("filter_complex_script=x", "names a file"),
            ("loglevel=quiet", "read here"),
            ("f=mjpeg", "--input-format"),
            ("ss=10", "--start"),
            ("copyts=out.mkv", "takes no value"),
        ] {
            let message = text.parse::<InputOption>().unwrap_err().to_string();
            assert!(message.contains(words), "{text}: {message}");
        }
    }

    #[test]
    fn values_that_may_be_secrets_are_not_shown() {
        let shown = |text: &str| format!("{:?}", text.parse::<InputOption>().unwrap());
        assert_eq!(shown("fflags=nobuffer"), "InputOption(fflags=nobuffer)");
        for text in [
            "headers=Authorization: hunter2",
            "passphrase=hunter2",
            "x=Hunter2",
        ] {
            assert!(!shown(text).to_lowercase().contains("hunter2"), "{text}");
        }
    }
}
