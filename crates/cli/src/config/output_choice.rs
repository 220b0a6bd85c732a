//! Choices of what a command writes: the format of pictures, the style of progress.
use mattebox_core::codec::ImageFormat;
use mattebox_media::sink::StdoutFormat;

/// What a picture is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Picture files.
    Image(ImageFormat),
    /// What standard output carries.
    Stdout(StdoutFormat),
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
