//! What stands behind each frame of one camera.
use crate::{
    source::{self, Source, SourceOptions},
    stop::Stop,
};
use image::RgbImage;
use mattebox_core::{
    codec::{self, Limits},
    compose::{Background, BackgroundSpec, cover},
};
use std::{path::Path, sync::Arc};

/// Supplies the background of one frame after the other, at the frame's size.
pub(crate) struct Backdrop {
    kind: Kind,
    /// The last picture that was fitted: it stays while the frames keep their size and the picture does not change.
    fitted: Option<Arc<RgbImage>>,
}

enum Kind {
    /// Needs no picture.
    Plain(Background),
    Picture(Arc<RgbImage>),
    Video {
        source: Box<dyn Source>,
        last: Option<RgbImage>,
    },
}

impl Backdrop {
    /// Opens the file that the background needs, if it needs one. The message of an error names the file.
    pub(crate) fn open(spec: &BackgroundSpec, options: &SourceOptions, stop: &Stop) -> Result<Self, String> {
        let kind = match spec {
            BackgroundSpec::Color(c) => Kind::Plain(Background::Color(*c)),
            BackgroundSpec::Transparent => Kind::Plain(Background::Transparent),
            BackgroundSpec::Blur { sigma } => Kind::Plain(Background::Blur { sigma: *sigma }),
            BackgroundSpec::Image(path) => Kind::Picture(Arc::new(read_picture(path, &options.limits)?)),
            BackgroundSpec::Video(path) => {
                let describe = |e: &dyn std::fmt::Display| format!("background video {}: {e}", path.display());
                let spec = path.to_string_lossy().parse().map_err(|e| describe(&e))?;
                // The whole video, over and over, at its own rate: the options are those of the camera only in how to read.
                let options = SourceOptions {
                    repeat: true,
                    fps: None,
                    start: None,
                    duration: None,
                    realtime: false,
                    max_width: None,
                    ..options.clone()
                };
                let mut source = source::open(&spec, &options, stop).map_err(|e| describe(&e))?;
                let first = source.next(stop).map_err(|e| describe(&e))?;
                let last = Some(first.ok_or_else(|| describe(&"it has no frame"))?.picture);
                Kind::Video { source, last }
            }
        };
        Ok(Backdrop { kind, fitted: None })
    }

    /// The background of the next frame, which is `width` by `height`.
    pub(crate) fn next(&mut self, width: u32, height: u32, stop: &Stop) -> Result<Background, String> {
        let picture = match &mut self.kind {
            Kind::Plain(background) => return Ok(background.clone()),
            Kind::Picture(picture) => match &self.fitted {
                Some(fitted) if fitted.dimensions() == (width, height) => fitted.clone(),
                _ => Arc::new(cover(picture, width, height)),
            },
            Kind::Video { source, last } => {
                // The frame that was read at opening belongs to the first frame.
                let frame = match last.take() {
                    Some(first) => first,
                    None => match source.next(stop).map_err(|e| format!("background video: {e}"))? {
                        Some(next) => next.picture,
                        None => return Err("the background video ended".to_owned()),
                    },
                };
                if frame.dimensions() == (width, height) { Arc::new(frame) } else { Arc::new(cover(&frame, width, height)) }
            }
        };
        self.fitted = Some(picture.clone());
        Ok(Background::Picture(picture))
    }
}

fn read_picture(path: &Path, limits: &Limits) -> Result<RgbImage, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("cannot read the background picture {}: {e}", path.display()))?;
    codec::decode(&bytes, limits).map_err(|e| format!("background picture {}: {e}", path.display()))
}
