//! Choices for the output of a command: the format of pictures, the style of progress.
use mattebox_core::codec::ImageFormat;
use mattebox_media::sink::StdoutFormat;
use mattebox_store::NameTemplate;

/// The format of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Picture files.
    Image(ImageFormat),
    /// A stream on standard output.
    Stdout(StdoutFormat),
}

/// How a run treats frames of its cameras that are in its folders already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierFrames {
    /// No setting decides. In the default folder, frames of runs without `--out` are removed; with
    /// any others the run does not begin.
    Refuse,
    /// They are removed.
    Remove,
    /// They stay, and new frames are numbered above them.
    Append,
    /// They stay, and each file that would be replaced is skipped or an error.
    Keep,
}

/// The file extension of mattes.
pub const MATTES: &str = "png";

/// The names of the files of frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameNames {
    /// Their numbers, with times if the template has them.
    Template(NameTemplate),
    /// The names of their source files.
    Keep,
}

impl FrameNames {
    /// The template of the folder. Frames that keep names use the default folders.
    pub fn template(&self) -> NameTemplate {
        match self {
            FrameNames::Template(names) => names.clone(),
            FrameNames::Keep => NameTemplate::default(),
        }
    }
}

/// The style of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressStyle {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// A bar.
    Bar,
    /// A line every few seconds.
    Lines,
    /// Nothing.
    None,
}
