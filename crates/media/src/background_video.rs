//! Videos as backgrounds.
use crate::source::{self, Source, SourceOptions};
use image::RgbImage;
use mattebox_engine::{
    background::{BackgroundVideo, VideoError, VideoOpener},
    status::Status,
    stop::Stop,
};
use std::path::Path;

/// Opens videos with FFmpeg.
pub struct BackgroundVideos {
    options: SourceOptions,
}

impl BackgroundVideos {
    /// Takes from the camera's options only how to read. A background is the whole video, over and
    /// over, at its own rate.
    pub fn new(options: &SourceOptions) -> Self {
        BackgroundVideos {
            options: SourceOptions {
                repeat: true,
                fps: None,
                start: None,
                duration: None,
                realtime: false,
                max_width: None,
                status: Status::default(),
                keep_trying: false,
                size: None,
                input_format: None,
                input_options: Vec::new(),
                ..options.clone()
            },
        }
    }
}

impl VideoOpener for BackgroundVideos {
    fn open(&self, path: &Path, stop: &Stop) -> Result<Box<dyn BackgroundVideo>, VideoError> {
        let spec = path.to_string_lossy().parse().map_err(VideoError::source)?;
        let options = SourceOptions {
            status: Status::default(),
            ..self.options.clone()
        };
        let source = source::open(&spec, &options, stop).map_err(VideoError::source)?;
        Ok(Box::new(LoopedVideo {
            source,
            has_begun: false,
        }))
    }
}

/// A video that begins again at its end.
struct LoopedVideo {
    source: Box<dyn Source>,
    has_begun: bool,
}

impl BackgroundVideo for LoopedVideo {
    fn next(&mut self, stop: &Stop) -> Result<RgbImage, VideoError> {
        let has_begun = std::mem::replace(&mut self.has_begun, true);
        match self.source.next(stop).map_err(VideoError::source)? {
            Some(next) => Ok(next.picture),
            None if has_begun => Err(VideoError::Ended),
            None => Err(VideoError::Empty),
        }
    }
}
