//! Choices of what a command writes: the format of pictures, the style of progress.
use mattebox_core::codec::ImageFormat;
use mattebox_media::sink::StdoutFormat;
use mattebox_store::NameTemplate;

/// What a picture is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Picture files.
    Image(ImageFormat),
    /// What standard output carries.
    Stdout(StdoutFormat),
}

/// What a run does with the frames that its folders hold of its cameras.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierFrames {
    /// No setting says it. In the default folder, frames of runs without `--out` are removed; all others are a reason not to begin.
    Refuse,
    /// They are removed.
    Remove,
    /// They stay, and new frames are numbered above them.
    Append,
    /// They stay, and each file that would be replaced is skipped or an error.
    Keep,
}

/// How the names of mattes end: they are PNG files.
pub const MATTES: &str = "png";

/// How the files of frames are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameNames {
    /// By their numbers, and maybe by their times.
    Template(NameTemplate),
    /// As the files that they came from.
    Keep,
}

impl FrameNames {
    /// The template of the folder. Frames that keep names are in the usual folders.
    pub fn template(&self) -> NameTemplate {
        match self {
            FrameNames::Template(names) => names.clone(),
            FrameNames::Keep => NameTemplate::default(),
        }
    }
}

/// How progress is shown.
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
