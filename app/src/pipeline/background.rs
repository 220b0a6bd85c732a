//! What stands behind each frame of one camera.
use crate::{
    address::harmless,
    live::Behind,
    source::{self, Source, SourceOptions, status::Status},
    stop::Stop,
};
use image::RgbImage;
use mattebox_core::{
    codec::{self, Limits},
    compose::{self, Background, BackgroundSpec, cover},
};
use std::{path::Path, sync::Arc};

/// Supplies the background of one frame after the other, at the frame's size.
pub(crate) enum Backdrop {
    /// Always the same.
    Still(compose::Backdrop),
    /// A video's next picture for each frame.
    Video {
        source: Box<dyn Source>,
        /// The picture that was read at the opening.
        first: Option<RgbImage>,
    },
}

impl Backdrop {
    /// What a look asks for.
    pub(crate) fn behind(behind: &Behind, options: &SourceOptions, stop: &Stop) -> Result<Self, String> {
        match behind {
            Behind::Spec(spec) => Self::open(spec, options, stop),
            Behind::Upload(picture) => Ok(Backdrop::Still(compose::Backdrop::picture(picture.clone()))),
        }
    }

    /// Opens the file that the background needs, if it needs one. The message of an error names the file.
    pub(crate) fn open(spec: &BackgroundSpec, options: &SourceOptions, stop: &Stop) -> Result<Self, String> {
        let plain = |background| Backdrop::Still(compose::Backdrop::plain(background));
        Ok(match spec {
            BackgroundSpec::Color(c) => plain(Background::Color(*c)),
            BackgroundSpec::Transparent => plain(Background::Transparent),
            BackgroundSpec::Blur { sigma } => plain(Background::Blur { sigma: *sigma }),
            BackgroundSpec::Image(path) => {
                Backdrop::Still(compose::Backdrop::picture(Arc::new(read_picture(path, &options.limits)?)))
            }
            BackgroundSpec::Video(path) => {
                let describe = |e: &dyn std::fmt::Display| format!("background video {}: {e}", harmless::path(path));
                let spec = path.to_string_lossy().parse().map_err(|e| describe(&e))?;
                // The whole video, over and over, at its own rate: the options are those of the camera only in how to read.
                let options = SourceOptions {
                    repeat: true,
                    fps: None,
                    start: None,
                    duration: None,
                    realtime: false,
                    max_width: None,
                    status: Status::default(),
                    ..options.clone()
                };
                let mut source = source::open(&spec, &options, stop).map_err(|e| describe(&e))?;
                let first = source.next(stop).map_err(|e| describe(&e))?;
                let first = Some(first.ok_or_else(|| describe(&"it has no frame"))?.picture);
                Backdrop::Video { source, first }
            }
        })
    }

    /// The background of the next frame, which is `width` by `height`.
    pub(crate) fn next(&mut self, width: u32, height: u32, stop: &Stop) -> Result<Background, String> {
        let (source, first) = match self {
            Backdrop::Still(backdrop) => return Ok(backdrop.fit(width, height)),
            Backdrop::Video { source, first } => (source, first),
        };
        // The picture that was read at the opening belongs to the first frame.
        let picture = match first.take() {
            Some(first) => first,
            None => match source.next(stop).map_err(|e| format!("background video: {e}"))? {
                Some(next) => next.picture,
                None => return Err("the background video ended".to_owned()),
            },
        };
        let fits = picture.dimensions() == (width, height);
        Ok(Background::Picture(Arc::new(if fits { picture } else { cover(&picture, width, height) })))
    }
}

fn read_picture(path: &Path, limits: &Limits) -> Result<RgbImage, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("cannot read the background picture {}: {e}", harmless::path(path)))?;
    codec::decode(&bytes, limits).map_err(|e| format!("background picture {}: {e}", harmless::path(path)))
}
