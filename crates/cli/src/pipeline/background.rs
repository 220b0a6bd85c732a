//! What stands behind each frame of one camera.
use crate::{
    address::harmless,
    live::Behind,
    source::{self, Source, SourceOptions, status::Status},
    stop::Stop,
};
use image::RgbImage;
use mattebox_core::compose::{self, Background, BackgroundPicture, BackgroundSpec, cover};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Opens the backgrounds of all cameras of a process. The picture that the settings name is read once: it stays the same for
/// every camera and thread, whatever becomes of its file. Other pictures are shared as long as a camera has them.
pub(crate) struct Backgrounds {
    options: SourceOptions,
    start: Mutex<Start>,
}

/// What the settings name.
struct Start {
    spec: BackgroundSpec,
    /// If it is a picture and was opened.
    picture: Option<Arc<BackgroundPicture>>,
}

impl Backgrounds {
    /// What the settings name is read when it is opened first.
    pub(crate) fn new(start: &BackgroundSpec, options: SourceOptions) -> Self {
        Backgrounds {
            options,
            start: Mutex::new(Start {
                spec: start.clone(),
                picture: None,
            }),
        }
    }

    /// The settings name another background now. One that cannot be had changes nothing.
    pub(crate) fn restart(&self, start: &BackgroundSpec) -> Result<(), String> {
        let mut now = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        if now.spec == *start {
            return Ok(());
        }
        // Whether its file can be used shows here, and not in the middle of a camera's frames.
        let picture = match start {
            BackgroundSpec::Image(path) => Some(read_picture(path, &self.options)?),
            BackgroundSpec::Video(path) => {
                Backdrop::open_video(path, &self.options, &Stop::new())?;
                None
            }
            _ => None,
        };
        *now = Start {
            spec: start.clone(),
            picture,
        };
        Ok(())
    }

    /// What a look asks for, for one camera or thread. The message of an error names the file.
    pub(crate) fn open(&self, behind: &Behind, stop: &Stop) -> Result<Backdrop, String> {
        let still = |backdrop| Ok(Backdrop::Still(backdrop));
        let spec = match behind {
            Behind::Spec(spec) => spec,
            Behind::Upload(picture) => return still(compose::Backdrop::picture(picture.clone())),
        };
        match spec {
            BackgroundSpec::Color(c) => still(compose::Backdrop::plain(Background::Color(*c))),
            BackgroundSpec::Transparent => still(compose::Backdrop::plain(Background::Transparent)),
            BackgroundSpec::Blur { sigma } => {
                still(compose::Backdrop::plain(Background::Blur { sigma: *sigma }))
            }
            BackgroundSpec::Image(path) => {
                let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
                let picture = match &start.picture {
                    Some(picture) if start.spec == *spec => picture.clone(),
                    _ => read_picture(path, &self.options)?,
                };
                if start.spec == *spec {
                    start.picture = Some(picture.clone());
                }
                still(compose::Backdrop::picture(picture))
            }
            BackgroundSpec::Video(path) => Backdrop::open_video(path, &self.options, stop),
        }
    }
}

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
    /// Opens a video. The message of an error names it.
    fn open_video(path: &Path, options: &SourceOptions, stop: &Stop) -> Result<Self, String> {
        let describe =
            |e: &dyn std::fmt::Display| format!("background video {}: {e}", harmless::path(path));
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
            keep_trying: false,
            ..options.clone()
        };
        let mut source = source::open(&spec, &options, stop).map_err(|e| describe(&e))?;
        let first = source.next(stop).map_err(|e| describe(&e))?;
        let first = Some(first.ok_or_else(|| describe(&"it has no frame"))?.picture);
        Ok(Backdrop::Video { source, first })
    }

    /// The background of the next frame, which is `width` by `height`.
    pub(crate) fn next(
        &mut self,
        width: u32,
        height: u32,
        stop: &Stop,
    ) -> Result<Background, String> {
        let (source, first) = match self {
            Backdrop::Still(backdrop) => return Ok(backdrop.fit(width, height)),
            Backdrop::Video { source, first } => (source, first),
        };
        // The picture that was read at the opening belongs to the first frame.
        let picture = match first.take() {
            Some(first) => first,
            None => match source
                .next(stop)
                .map_err(|e| format!("background video: {e}"))?
            {
                Some(next) => next.picture,
                None => return Err("the background video ended".to_owned()),
            },
        };
        let fits = picture.dimensions() == (width, height);
        Ok(Background::Picture(Arc::new(if fits {
            picture
        } else {
            cover(&picture, width, height)
        })))
    }
}

fn read_picture(path: &Path, options: &SourceOptions) -> Result<Arc<BackgroundPicture>, String> {
    let bytes = std::fs::read(path).map_err(|e| {
        format!(
            "cannot read the background picture {}: {e}",
            harmless::path(path)
        )
    })?;
    BackgroundPicture::open(bytes, &options.limits)
        .map_err(|e| format!("background picture {}: {e}", harmless::path(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn picture(color: [u8; 3]) -> RgbImage {
        RgbImage::from_pixel(649, 20, Rgb(color))
    }

    fn color_of(backdrop: &mut Backdrop, size: u32) -> [u8; 3] {
        match backdrop.next(size, size, &Stop::new()).unwrap() {
            Background::Picture(picture) => picture.get_pixel(0, 0).0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn cameras_have_one_picture_and_it_stays_when_its_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.png");
        picture([1, 2, 3]).save(&path).unwrap();
        let spec = BackgroundSpec::Image(path.clone());
        let backgrounds = Backgrounds::new(&spec, SourceOptions::default());
        let open = |spec: &BackgroundSpec| {
            backgrounds
                .open(&Behind::Spec(spec.clone()), &Stop::new())
                .unwrap()
        };
        let mut cameras: Vec<_> = (0..8).map(|_| open(&spec)).collect();
        picture([7, 8, 9]).save(&path).unwrap();
        cameras.push(open(&spec));
        for camera in &mut cameras {
            // Often enough for the decoded picture to go.
            (0..10).for_each(|_| assert_eq!(color_of(camera, 16), [1, 2, 3]));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(color_of(&mut open(&spec), 8), [1, 2, 3]);
        let start = backgrounds.start.lock().unwrap().picture.clone().unwrap();
        assert_eq!(
            start.decodes(),
            2,
            "once for nine cameras, and once for another size later"
        );
    }

    #[test]
    fn another_background_of_the_settings_is_read_and_one_that_is_missing_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.png");
        picture([4, 5, 6]).save(&path).unwrap();
        let backgrounds = Backgrounds::new(&BackgroundSpec::default(), SourceOptions::default());
        let missing = BackgroundSpec::Image(folder.path().join("missing.png"));
        assert!(
            backgrounds
                .restart(&missing)
                .unwrap_err()
                .contains("missing.png")
        );
        assert_eq!(
            backgrounds.start.lock().unwrap().spec,
            BackgroundSpec::default()
        );
        let spec = BackgroundSpec::Image(path);
        backgrounds.restart(&spec).unwrap();
        let mut backdrop = backgrounds.open(&Behind::Spec(spec), &Stop::new()).unwrap();
        assert_eq!(color_of(&mut backdrop, 4), [4, 5, 6]);
    }
}
