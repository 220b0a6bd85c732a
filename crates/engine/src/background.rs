//! The background of each frame of one camera.
use crate::{BackgroundChoice, FrameSettings, SettingError, address::harmless, files, stop::Stop};
use image::RgbImage;
use mattebox_core::{
    codec::{DecodeError, ImageFormat, Limits},
    compose::{Background, BackgroundPicture, BackgroundSpec, FittedBackground, cover},
    frame::CameraId,
};
use std::{
    error::Error,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use thiserror::Error;

/// Why a background cannot be used.
#[derive(Debug, Error)]
pub enum BackgroundSourceError {
    /// The file of the picture cannot be read.
    #[error("cannot read the background picture {file}: {error}")]
    Unreadable {
        /// Its path, as it may be shown.
        file: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The file cannot be decoded.
    #[error("background picture {file}: {error}")]
    Picture {
        /// Its path, as it may be shown.
        file: String,
        /// The error of the decoder.
        error: DecodeError,
    },
    /// The video cannot be opened, or has no first picture.
    #[error("background video {file}: {error}")]
    Video {
        /// Its path, as it may be shown.
        file: String,
        /// The error of the video.
        error: VideoError,
    },
    /// An open video gives no further picture.
    #[error("background video: {0}")]
    NextPicture(VideoError),
}

/// Why a background video gives no picture. The text does not name the file.
#[derive(Debug, Error)]
pub enum VideoError {
    /// This command has no videos.
    #[error("a video can be the background of `mattebox run` only")]
    OnlyRun,
    /// The video has no picture at all.
    #[error("it has no frame")]
    Empty,
    /// The video ended, although it is to begin again at its end.
    #[error("it ended")]
    Ended,
    /// Its file cannot be opened or decoded.
    #[error("{0}")]
    Source(Box<dyn Error + Send + Sync>),
}

/// Why the background of running cameras cannot be changed.
#[derive(Debug, Error)]
pub enum BackgroundChangeError {
    /// The new background cannot be used.
    #[error(transparent)]
    Unusable(#[from] BackgroundSourceError),
    /// The format of the files cannot hold it.
    #[error("background {background}: {format} has no transparency")]
    NoTransparency {
        /// The new background.
        background: BackgroundSpec,
        /// The format of the files.
        format: ImageFormat,
    },
    /// The output of a camera cannot hold it.
    #[error("background {background}: the output of camera {camera} cannot hold it")]
    Output {
        /// The new background.
        background: BackgroundChoice,
        /// The camera.
        camera: CameraId,
    },
    /// The settings of a single camera contradict it.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl VideoError {
    /// An error of the source that reads the video.
    pub fn source(error: impl Error + Send + Sync + 'static) -> Self {
        VideoError::Source(Box::new(error))
    }
}

/// A video as a background: its pictures one after the other, over and over.
pub trait BackgroundVideo: Send {
    /// The next picture.
    fn next(&mut self, stop: &Stop) -> Result<RgbImage, VideoError>;
}

/// Opens videos as backgrounds.
pub trait VideoOpener: Send + Sync {
    /// Opens a video.
    fn open(&self, path: &Path, stop: &Stop) -> Result<Box<dyn BackgroundVideo>, VideoError>;
}

/// Opens the backgrounds of all cameras of a process. The picture that the settings name is read
/// once: every camera and thread has the same, even if its file changes. Each other picture is read
/// when it is opened.
pub struct BackgroundSources {
    limits: Limits,
    /// `None` where videos cannot be backgrounds.
    videos: Option<Box<dyn VideoOpener>>,
    start: Mutex<StartBackground>,
}

/// The background that the settings name.
struct StartBackground {
    spec: BackgroundSpec,
    /// Its picture, after it was opened.
    picture: Option<Arc<BackgroundPicture>>,
}

impl BackgroundSources {
    /// The background of the settings is read when it is first opened. A picture larger than
    /// `limits` is an error.
    pub(crate) fn new(start: &BackgroundSpec, limits: Limits) -> Self {
        BackgroundSources {
            limits,
            videos: None,
            start: Mutex::new(StartBackground {
                spec: start.clone(),
                picture: None,
            }),
        }
    }

    /// The backgrounds of frames with these settings.
    pub(crate) fn of(settings: &FrameSettings) -> Self {
        let start = match &settings.background {
            BackgroundChoice::Spec(spec) => spec.clone(),
            BackgroundChoice::Upload(_) => BackgroundSpec::default(),
        };
        Self::new(&start, settings.limits)
    }

    /// Allows videos as backgrounds.
    pub(crate) fn with_videos(self, videos: impl VideoOpener + 'static) -> Self {
        BackgroundSources {
            videos: Some(Box::new(videos)),
            ..self
        }
    }

    /// Follows a change of the settings. A background that cannot be opened changes nothing.
    pub fn restart(&self, start: &BackgroundSpec) -> Result<(), BackgroundSourceError> {
        let mut now = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        if now.spec == *start {
            return Ok(());
        }
        // Opens the file now: a bad one is an error here, not in the middle of a camera's frames.
        let picture = match start {
            BackgroundSpec::Image(path) => Some(self.read_picture(path)?),
            BackgroundSpec::Video(path) => {
                self.open_video(path, &Stop::new())?;
                None
            }
            _ => None,
        };
        *now = StartBackground {
            spec: start.clone(),
            picture,
        };
        Ok(())
    }

    /// The background of one camera or thread.
    pub fn open(
        &self,
        choice: &BackgroundChoice,
        stop: &Stop,
    ) -> Result<BackgroundSource, BackgroundSourceError> {
        let plain = |background| Ok(BackgroundSource::Still(FittedBackground::plain(background)));
        let spec = match choice {
            BackgroundChoice::Spec(spec) => spec,
            BackgroundChoice::Upload(picture) => {
                let fitted = FittedBackground::picture(picture.clone());
                return Ok(BackgroundSource::Still(fitted));
            }
        };
        match spec {
            BackgroundSpec::Color(color) => plain(Background::Color(*color)),
            BackgroundSpec::Transparent => plain(Background::Transparent),
            BackgroundSpec::Blur { sigma } => plain(Background::Blur { sigma: *sigma }),
            BackgroundSpec::Image(path) => {
                let picture = self.picture(spec, path)?;
                Ok(BackgroundSource::Still(FittedBackground::picture(picture)))
            }
            BackgroundSpec::Video(path) => self.open_video(path, stop),
        }
    }

    /// A picture; that of the settings is shared.
    fn picture(
        &self,
        spec: &BackgroundSpec,
        path: &Path,
    ) -> Result<Arc<BackgroundPicture>, BackgroundSourceError> {
        let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        let picture = match &start.picture {
            Some(picture) if start.spec == *spec => picture.clone(),
            _ => self.read_picture(path)?,
        };
        if start.spec == *spec {
            start.picture = Some(picture.clone());
        }
        Ok(picture)
    }

    fn read_picture(&self, path: &Path) -> Result<Arc<BackgroundPicture>, BackgroundSourceError> {
        let file = || harmless::path(path);
        let bytes = files::read(path, files::MAX_BINARY).map_err(|error| {
            let file = file();
            BackgroundSourceError::Unreadable { file, error }
        })?;
        BackgroundPicture::open(bytes, &self.limits).map_err(|error| {
            let file = file();
            BackgroundSourceError::Picture { file, error }
        })
    }

    fn open_video(
        &self,
        path: &Path,
        stop: &Stop,
    ) -> Result<BackgroundSource, BackgroundSourceError> {
        let failed = |error| {
            let file = harmless::path(path);
            BackgroundSourceError::Video { file, error }
        };
        let videos = self.videos.as_ref();
        let videos = videos.ok_or_else(|| failed(VideoError::OnlyRun))?;
        let mut video = videos.open(path, stop).map_err(failed)?;
        let first = video.next(stop).map_err(failed)?;
        Ok(BackgroundSource::Video {
            video,
            first: Some(first),
        })
    }
}

/// Supplies the background of one frame after the other, at the frame's size.
pub enum BackgroundSource {
    /// The same for every frame.
    Still(FittedBackground),
    /// A video: each frame gets its next picture.
    Video {
        /// The video.
        video: Box<dyn BackgroundVideo>,
        /// The picture that was read when the video was opened.
        first: Option<RgbImage>,
    },
}

impl BackgroundSource {
    /// The background of the next frame, which is `width` by `height` pixels.
    pub fn next(
        &mut self,
        width: u32,
        height: u32,
        stop: &Stop,
    ) -> Result<Background, BackgroundSourceError> {
        let (video, first) = match self {
            BackgroundSource::Still(fitted) => return Ok(fitted.fit(width, height)),
            BackgroundSource::Video { video, first } => (video, first),
        };
        // The first frame gets the picture that was read when the video was opened.
        let picture = match first.take() {
            Some(first) => first,
            None => video
                .next(stop)
                .map_err(BackgroundSourceError::NextPicture)?,
        };
        let fits = picture.dimensions() == (width, height);
        Ok(Background::Picture(Arc::new(if fits {
            picture
        } else {
            cover(&picture, width, height)
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn picture(color: [u8; 3]) -> RgbImage {
        RgbImage::from_pixel(649, 20, Rgb(color))
    }

    fn color_of(backdrop: &mut BackgroundSource, size: u32) -> [u8; 3] {
        match backdrop.next(size, size, &Stop::new()).unwrap() {
            Background::Picture(picture) => picture.get_pixel(0, 0).0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_cameras_keep_one_picture_when_its_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.png");
        picture([1, 2, 3]).save(&path).unwrap();
        let spec = BackgroundSpec::Image(path.clone());
        let backgrounds = BackgroundSources::new(&spec, Limits::default());
        let open = |spec: &BackgroundSpec| {
            backgrounds
                .open(&BackgroundChoice::Spec(spec.clone()), &Stop::new())
                .unwrap()
        };
        let mut cameras: Vec<_> = (0..8).map(|_| open(&spec)).collect();
        picture([7, 8, 9]).save(&path).unwrap();
        cameras.push(open(&spec));
        for camera in &mut cameras {
            // Often enough that the decoded picture is dropped.
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
    fn a_changed_background_is_read_and_a_missing_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.png");
        picture([4, 5, 6]).save(&path).unwrap();
        let backgrounds = BackgroundSources::new(&BackgroundSpec::default(), Limits::default());
        let missing = BackgroundSpec::Image(folder.path().join("missing.png"));
        assert!(
            backgrounds
                .restart(&missing)
                .unwrap_err()
                .to_string()
                .contains("missing.png")
        );
        assert_eq!(
            backgrounds.start.lock().unwrap().spec,
            BackgroundSpec::default()
        );
        let spec = BackgroundSpec::Image(path);
        backgrounds.restart(&spec).unwrap();
        let mut backdrop = backgrounds
            .open(&BackgroundChoice::Spec(spec), &Stop::new())
            .unwrap();
        assert_eq!(color_of(&mut backdrop, 4), [4, 5, 6]);
    }
}
