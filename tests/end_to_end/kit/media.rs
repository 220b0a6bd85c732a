//! The sample clip, FFmpeg, and sources of the library.
use super::environment::shield;
use mattebox_engine::stop::Stop;
use mattebox_media::source::{self, Source, SourceError, SourceOptions, SourcePicture};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The sample clip: 75 frames of 640x360 at 25 per second.
pub(crate) fn sample() -> String {
    repository("samples/person.mp4")
}

/// A path in the repository.
pub(crate) fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
        .to_string_lossy()
        .into_owned()
}

/// Runs FFmpeg to make the input of a test, and returns its path. The arguments are separated by
/// spaces; `{sample}` is the sample clip.
pub(crate) fn ffmpeg(arguments: &str, output: &Path) -> PathBuf {
    let words = arguments.split_whitespace();
    let mut words: Vec<_> = words.map(|w| w.replace("{sample}", &sample())).collect();
    words.push(output.to_str().expect("a path that is text").to_owned());
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    run_ffmpeg(Path::new("."), &words);
    output.to_owned()
}

/// Runs FFmpeg in a folder. Its failure fails the test, with its messages.
pub(crate) fn run_ffmpeg(folder: &Path, args: &[&str]) {
    let output = shield(&mut Command::new("ffmpeg"))
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
        .args(args)
        .current_dir(folder)
        .output()
        .expect("ffmpeg runs");
    assert!(
        output.status.success(),
        "ffmpeg {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Writes a program, with the help of another process. A file that this process has open for
/// writing is also open in a child that another test starts at that moment, and the kernel does not
/// run a program that is open for writing.
pub(crate) fn executable(path: &Path, text: &str) {
    let mut shell = Command::new("sh")
        .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut input = shell.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("sh reads");
    drop(input);
    assert!(shell.wait().expect("its status").success());
}

/// Opens a source; a failure fails the test.
pub(crate) fn open(spec: &str, options: &SourceOptions) -> Box<dyn Source> {
    try_open(spec, options).unwrap()
}

/// Opens a source.
pub(crate) fn try_open(
    spec: &str,
    options: &SourceOptions,
) -> Result<Box<dyn Source>, SourceError> {
    source::open(&spec.parse().unwrap(), options, &Stop::new())
}

/// All pictures to the end.
pub(crate) fn collect(source: &mut dyn Source) -> Vec<SourcePicture> {
    let stop = Stop::new();
    std::iter::from_fn(|| source.next(&stop).unwrap()).collect()
}

/// The error that opening or reading gives.
pub(crate) fn error_of(spec: &str, options: &SourceOptions) -> SourceError {
    let mut source = match try_open(spec, options) {
        Ok(source) => source,
        Err(error) => return error,
    };
    let stop = Stop::new();
    loop {
        match source.next(&stop) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("{spec} ended without an error"),
            Err(error) => return error,
        }
    }
}
