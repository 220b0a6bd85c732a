//! The Python module `mattebox._native`: the core's tools for one stream of frames. What a user sees is in `python/mattebox/`.
use image::RgbImage;
use mattebox_core::{
    codec::{Decoder, ImageFormat, Limits},
    compose::{Backdrop, Background, BackgroundPicture, BackgroundSpec, Composed},
    frame::Timestamp,
    maker::{Maker, Recipe},
    matte::{MatteMode, MatteState},
};
use mattebox_net::{Model, SimdLevel};
use pyo3::{
    exceptions::{PyOSError, PyRuntimeError, PyValueError},
    prelude::*,
    types::{PyByteArray, PyBytes},
};
use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

/// Frames of one camera, in order.
#[pyclass(frozen, module = "mattebox._native")]
struct Stream {
    /// A lock and not Python's own: it is held while Python is free.
    work: Mutex<Work>,
    size_limits: Limits,
}

struct Work {
    maker: Maker,
    backdrop: Backdrop,
    decoder: Decoder,
    state: MatteState,
    picture: RgbImage,
}

/// What the frame became: samples, width, height, channels.
type Picture<'py> = (Bound<'py, PyByteArray>, u32, u32, usize);

#[pymethods]
impl Stream {
    #[new]
    #[pyo3(signature = (model, background, matte, format, jpeg_quality, foreground_cleanup, simd))]
    fn new(
        model: Option<&str>,
        background: &str,
        matte: &str,
        format: &str,
        jpeg_quality: u8,
        foreground_cleanup: bool,
        simd: Option<&str>,
    ) -> PyResult<Self> {
        let simd = simd
            .map(str::parse)
            .transpose()
            .map_err(wrong)?
            .unwrap_or_else(SimdLevel::best);
        let matte: MatteMode = matte.parse().map_err(wrong)?;
        let format: ImageFormat = format.parse().map_err(wrong)?;
        let size_limits = Limits::default();
        if !(1..=100).contains(&jpeg_quality) {
            return Err(wrong("jpeg_quality must be between 1 and 100"));
        }
        let recipe = Recipe {
            model: Arc::new(self::model(model)?),
            matte,
            simd,
            foreground_cleanup,
            skip_still: false,
            format,
            jpeg_quality,
        };
        let work = Work {
            maker: Maker::new(&recipe).map_err(wrong)?,
            backdrop: backdrop(background, &size_limits)?,
            decoder: Decoder::default(),
            state: MatteState::default(),
            picture: RgbImage::default(),
        };
        Ok(Stream {
            work: Mutex::new(work),
            size_limits,
        })
    }

    /// The next frame with its new background: width times height times 3 samples in, 3 or 4 channels out.
    fn process<'py>(
        &self,
        py: Python<'py>,
        rgb: &[u8],
        width: u32,
        height: u32,
        time_us: i64,
    ) -> PyResult<Picture<'py>> {
        let (bytes, width, height, channels) = py.detach(|| -> PyResult<_> {
            let mut work = self.lock();
            work.take(rgb, width, height)?;
            work.compose(Timestamp(time_us));
            let picture = work.maker.picture();
            let channels = if matches!(picture, Composed::Rgba(_)) {
                4
            } else {
                3
            };
            let (width, height) = picture.dimensions();
            Ok((picture.as_raw().to_vec(), width, height, channels))
        })?;
        Ok((PyByteArray::new(py, &bytes), width, height, channels))
    }

    /// The next frame's matte: one sample for each pixel.
    fn alpha<'py>(
        &self,
        py: Python<'py>,
        rgb: &[u8],
        width: u32,
        height: u32,
        time_us: i64,
    ) -> PyResult<Bound<'py, PyByteArray>> {
        let alpha = py.detach(|| -> PyResult<_> {
            let mut work = self.lock();
            work.take(rgb, width, height)?;
            work.segment(Timestamp(time_us));
            Ok(work.maker.alpha().as_raw().clone())
        })?;
        Ok(PyByteArray::new(py, &alpha))
    }

    /// The next frame as an encoded picture (JPEG, PNG or WebP) in, and an encoded picture out.
    fn process_encoded<'py>(
        &self,
        py: Python<'py>,
        bytes: &[u8],
        time_us: i64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let encoded = py.detach(|| -> PyResult<_> {
            let mut work = self.lock();
            let Work {
                decoder, picture, ..
            } = &mut *work;
            decoder
                .decode_into(bytes, &self.size_limits, picture)
                .map_err(wrong)?;
            work.compose(Timestamp(time_us));
            work.maker
                .encode()
                .map(<[u8]>::to_vec)
                .map_err(|e| PyRuntimeError::new_err(e.to_string()))
        })?;
        Ok(PyBytes::new(py, &encoded))
    }

    /// What is remembered between two frames, as bytes.
    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.lock().state.to_bytes())
    }

    /// Goes on from what was remembered.
    fn set_state(&self, bytes: &[u8]) -> PyResult<()> {
        self.lock().state = MatteState::from_bytes(bytes).map_err(wrong)?;
        Ok(())
    }

    /// Forgets all frames so far.
    fn reset(&self) {
        self.lock().state = MatteState::default();
    }
}

impl Stream {
    fn lock(&self) -> std::sync::MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    fn take(&mut self, rgb: &[u8], width: u32, height: u32) -> PyResult<()> {
        let problem = || {
            wrong(format!(
                "{} bytes are no RGB picture of {width}x{height}",
                rgb.len()
            ))
        };
        if rgb.is_empty() || rgb.len() as u64 != 3 * u64::from(width) * u64::from(height) {
            return Err(problem());
        }
        let mut samples = std::mem::take(&mut self.picture).into_raw();
        samples.clear();
        samples.extend_from_slice(rgb);
        self.picture = RgbImage::from_raw(width, height, samples).ok_or_else(problem)?;
        Ok(())
    }

    fn segment(&mut self, time: Timestamp) {
        let Work {
            maker,
            state,
            picture,
            ..
        } = self;
        maker.segment(picture, time, state);
        maker.refine(picture);
    }

    fn compose(&mut self, time: Timestamp) {
        self.segment(time);
        let (width, height) = self.picture.dimensions();
        let background = self.backdrop.fit(width, height);
        self.maker.compose(&self.picture, &background, None);
    }
}

fn wrong(problem: impl Display) -> PyErr {
    PyValueError::new_err(problem.to_string())
}

fn read(path: &str, what: &str) -> PyResult<Vec<u8>> {
    std::fs::read(path)
        .map_err(|e| PyOSError::new_err(format!("cannot read the {what} {path}: {e}")))
}

fn model(name: Option<&str>) -> PyResult<Model> {
    match name {
        None | Some("general") => Model::general().map_err(wrong),
        Some("landscape") => Model::landscape().map_err(wrong),
        Some(path) => {
            Model::from_bytes(&read(path, "model")?).map_err(|e| wrong(format!("{path}: {e}")))
        }
    }
}

fn backdrop(text: &str, limits: &Limits) -> PyResult<Backdrop> {
    Ok(match text.parse::<BackgroundSpec>().map_err(wrong)? {
        BackgroundSpec::Color(color) => Backdrop::plain(Background::Color(color)),
        BackgroundSpec::Transparent => Backdrop::plain(Background::Transparent),
        BackgroundSpec::Blur { sigma } => Backdrop::plain(Background::Blur { sigma }),
        BackgroundSpec::Image(path) => {
            let path = path.to_string_lossy();
            let picture = BackgroundPicture::open(read(&path, "background picture")?, limits)
                .map_err(|e| wrong(format!("{path}: {e}")))?;
            Backdrop::picture(picture)
        }
        BackgroundSpec::Video(_) => {
            return Err(wrong("a video as a background is for `mattebox run` only"));
        }
    })
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Stream>()?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
