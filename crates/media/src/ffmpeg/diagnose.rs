//! From FFmpeg's messages to ours: the cause of an error, and advice.
use super::log::FfmpegErrors;
use std::process::ExitStatus;

/// The cause of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagnosisKind {
    /// The request cannot work: another try gives the same error.
    Usage,
    /// A service or device does not answer, or not yet.
    Unreachable,
    /// It failed.
    Failed,
}

/// The meaning of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The cause.
    pub kind: DiagnosisKind,
    /// The input does not exist, but may appear later.
    pub may_come: bool,
    /// The error is about the data, and not about the connection.
    pub of_content: bool,
    /// To follow the name of the input or output and a colon. Without secrets.
    pub text: String,
}

/// A part of FFmpeg's message in lower case, and its meaning, with {peer} for the other end. The
/// first entry that fits any kept line wins.
const MEANINGS: &[(&str, DiagnosisKind, &str)] = &[
    (
        "moov atom not found",
        DiagnosisKind::Failed,
        "the file is cut short, its index is missing: copy or record it again",
    ),
    (
        "matches no streams",
        DiagnosisKind::Usage,
        "there is no video in it",
    ),
    (
        "does not contain any stream",
        DiagnosisKind::Usage,
        "there is no video in it",
    ),
    (
        "protocol not found",
        DiagnosisKind::Usage,
        "this FFmpeg does not know the protocol of this address",
    ),
    (
        "unknown input format",
        DiagnosisKind::Usage,
        "this FFmpeg cannot read this kind of device, or the format of --input-format",
    ),
    (
        "461 unsupported transport",
        DiagnosisKind::Unreachable,
        "the server does not support this transport: try --rtsp-transport auto, or udp",
    ),
    (
        "protocol not supported",
        DiagnosisKind::Unreachable,
        "the server does not support this transport: try --rtsp-transport auto, or udp",
    ),
    (
        "nonmatching transport",
        DiagnosisKind::Unreachable,
        "the server does not support this transport: try --rtsp-transport auto, or udp",
    ),
    (
        "unrecognized hwaccel",
        DiagnosisKind::Usage,
        "this FFmpeg does not know the hardware of --hwaccel: `ffmpeg -hwaccels` lists those \
         that it knows",
    ),
    (
        "unrecognized option",
        DiagnosisKind::Usage,
        "this FFmpeg does not know an option of --input-option",
    ),
    (
        "unknown encoder",
        DiagnosisKind::Usage,
        "this FFmpeg was built without the encoder for this format: install a full FFmpeg or \
         choose another format",
    ),
    (
        "401 unauthorized",
        DiagnosisKind::Usage,
        "it wants a user and a password: write them as scheme://user:password@host/",
    ),
    (
        "authorization failed",
        DiagnosisKind::Usage,
        "it wants a user and a password: write them as scheme://user:password@host/",
    ),
    (
        "403 forbidden",
        DiagnosisKind::Usage,
        "access is denied: check the user, the password and the path of the address",
    ),
    (
        "404 not found",
        DiagnosisKind::Usage,
        "the server has nothing under this address: check its path",
    ),
    (
        "connection refused",
        DiagnosisKind::Unreachable,
        "connection refused: is the {peer} on, and are host and port right?",
    ),
    (
        "connection timed out",
        DiagnosisKind::Unreachable,
        "no answer: check the host, the port and the network",
    ),
    (
        "operation timed out",
        DiagnosisKind::Unreachable,
        "no answer: check the host, the port and the network",
    ),
    (
        "no route to host",
        DiagnosisKind::Unreachable,
        "the host cannot be reached: check the network",
    ),
    (
        "network is unreachable",
        DiagnosisKind::Unreachable,
        "the host cannot be reached: check the network",
    ),
    (
        "failed to resolve hostname",
        DiagnosisKind::Unreachable,
        "host not found: check the name",
    ),
    (
        "connection reset",
        DiagnosisKind::Unreachable,
        "the connection was closed from the other side",
    ),
    (
        "broken pipe",
        DiagnosisKind::Unreachable,
        "the connection was closed from the other side",
    ),
    (
        "server returned 5",
        DiagnosisKind::Unreachable,
        "the server reports an internal error",
    ),
    (
        "no such filter",
        DiagnosisKind::Usage,
        "the filter graph names a filter that this FFmpeg does not have",
    ),
    (
        "error initializing filter",
        DiagnosisKind::Usage,
        "the filter graph has a mistake",
    ),
    ("error parsing", DiagnosisKind::Usage, "it has a mistake"),
    // After the entries of filter graphs, which have options too.
    (
        "error setting option",
        DiagnosisKind::Usage,
        "an option of --input-option has a value that FFmpeg does not take",
    ),
    (
        "no space left on device",
        DiagnosisKind::Failed,
        "the disk is full: free some space or choose another place",
    ),
    (
        "file too large",
        DiagnosisKind::Failed,
        "the limit on file size is reached: raise it (ulimit -f) or choose another place",
    ),
    (
        "read-only file system",
        DiagnosisKind::Failed,
        "the file system is read-only: choose another place",
    ),
    (
        "permission denied",
        DiagnosisKind::Usage,
        "permission denied: it must be readable (a source) or writable (an output) for this user",
    ),
    (
        "device or resource busy",
        DiagnosisKind::Failed,
        "the device is in use by another program",
    ),
    (
        "no such device",
        DiagnosisKind::Failed,
        "the device is gone: check its cable",
    ),
    (
        "not a video capture device",
        DiagnosisKind::Usage,
        "it is no camera: a camera often has several devices, try the next number",
    ),
    (
        "no such file or directory",
        DiagnosisKind::Usage,
        "no such file",
    ),
    (
        "invalid data found",
        DiagnosisKind::Usage,
        "not a video, or damaged",
    ),
    (
        "end of file",
        DiagnosisKind::Failed,
        "it ends before the first picture",
    ),
    // Option NAME not found.
    (
        " not found.",
        DiagnosisKind::Usage,
        "this kind of source does not know an option of --input-option",
    ),
];

/// The entries for an input that does not exist but may appear later: a camera that starts, a
/// server whose camera is off.
const MAY_COME: &[&str] = &[
    "404 not found",
    "no such file or directory",
    "no such device",
    "matches no streams",
    "does not contain any stream",
    "invalid data found",
];

/// The entries that may disappear if FFmpeg reads more data first.
const OF_CONTENT: &[&str] = &[
    "matches no streams",
    "does not contain any stream",
    "invalid data found",
    "end of file",
];

/// Beginnings of lines that do not tell the problem.
const EMPTY_MESSAGES: &[&str] = &[
    "Conversion failed",
    "Error opening input file",
    "Error opening output file",
    "Did you mean",
    "Nothing was written",
    "Task finished with error",
    "Terminating thread",
    "Could not write header for output",
    "Error initializing output stream",
];

/// The meaning of the last errors of a child that read a source.
pub fn diagnose(errors: &FfmpegErrors, status: Option<ExitStatus>) -> Diagnosis {
    diagnose_with("camera", errors, status)
}

/// The meaning of the last errors of a child that wrote an output.
pub fn diagnose_output(errors: &FfmpegErrors, status: Option<ExitStatus>) -> Diagnosis {
    diagnose_with("server", errors, status)
}

/// `peer` is the word for the other end.
fn diagnose_with(peer: &str, errors: &FfmpegErrors, status: Option<ExitStatus>) -> Diagnosis {
    for (words, kind, meaning) in MEANINGS {
        if let Some(line) = errors
            .lines()
            .iter()
            .rev()
            .find(|line| line.to_lowercase().contains(words))
        {
            let may_come = MAY_COME.contains(words);
            let of_content = OF_CONTENT.contains(words);
            let meaning = meaning.replace("{peer}", peer);
            let text = format!("{meaning} (FFmpeg: {})", errors.shown(line));
            return Diagnosis {
                kind: *kind,
                may_come,
                of_content,
                text,
            };
        }
    }
    let text = match (last_message(errors), status) {
        (Some(line), _) => format!("FFmpeg: {line}"),
        (None, Some(status)) => format!("FFmpeg ended without a message ({status})"),
        (None, None) => "FFmpeg ended without a message".to_owned(),
    };
    Diagnosis {
        of_content: true,
        ..Diagnosis::new(DiagnosisKind::Failed, text)
    }
}

impl Diagnosis {
    /// A diagnosis without these two properties.
    pub fn new(kind: DiagnosisKind, text: String) -> Self {
        Diagnosis {
            kind,
            may_come: false,
            of_content: false,
            text,
        }
    }
}

/// The first error, without secrets: with a single encoder, later errors only follow from it.
pub fn first_message(errors: &FfmpegErrors) -> Option<String> {
    let mut said = errors.lines().iter().filter(|line| !line.is_empty());
    said.next().map(|line| errors.shown(line))
}

/// The last error that tells a problem, without secrets.
pub fn last_message(errors: &FfmpegErrors) -> Option<String> {
    let tells_a_problem = |line: &&String| {
        !line.is_empty() && !EMPTY_MESSAGES.iter().any(|empty| line.starts_with(empty))
    };
    errors
        .lines()
        .iter()
        .rfind(tells_a_problem)
        .map(|line| errors.shown(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> FfmpegErrors {
        FfmpegErrors::of(lines, "rtsp://me:hunter2@cam/1?token=hunter3")
    }

    #[test]
    fn the_telling_line_wins_over_what_follows_it() {
        let errors = lines(&[
            "moov atom not found",
            "file:a.mp4: Invalid data found when processing input",
        ]);
        let found = diagnose(&errors, None);
        assert!(
            found.text.contains("cut short") && found.text.contains("moov atom"),
            "{}",
            found.text
        );
        let errors = lines(&[
            "Connection to tcp://h:1 failed: Connection refused",
            "Error opening input files: Connection refused",
        ]);
        assert_eq!(diagnose(&errors, None).kind, DiagnosisKind::Unreachable);
    }

    #[test]
    fn every_special_entry_is_a_known_message() {
        let known = |words: &&str| MEANINGS.iter().any(|(known, _, _)| known == words);
        assert!(MAY_COME.iter().chain(OF_CONTENT).all(known));
    }

    #[test]
    fn unknown_messages_are_passed_on() {
        let errors = lines(&["the moon is full", "Conversion failed!"]);
        let found = diagnose(&errors, None);
        assert_eq!(
            (found.kind, found.text.as_str()),
            (DiagnosisKind::Failed, "FFmpeg: the moon is full")
        );
        assert!(
            diagnose(&FfmpegErrors::default(), None)
                .text
                .contains("without a message")
        );
    }

    #[test]
    fn secrets_are_not_repeated() {
        let errors = lines(&[
            "Connection to rtsp://me:hunter2@cam/1?token=hunter3 failed: Connection refused \
             (hunter3)",
        ]);
        let text = diagnose(&errors, None).text;
        assert!(
            !text.contains("hunter") && text.contains("rtsp://***@cam/1?*** failed"),
            "{text}"
        );
        assert!(!format!("{errors:?}").contains("hunter"));
    }
}
