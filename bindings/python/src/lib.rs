//! The Python module `mattebox._native`: the engine for one stream of frames. What a user sees is
//! in `python/mattebox/`.
#![forbid(unsafe_code)]
use image::RgbImage;
use mattebox_core::{compose::Composed, frame::Timestamp, matte::MatteState};
use mattebox_engine::{
    Engine, FrameInput, FrameOptions, FrameOutcome, FramePicture, FrameProcessor, FrameSettings,
    MattedFrame, Rejection, SettingError, StartError, background::BackgroundSourceError,
    trace::Span,
};
use mattebox_wire::{EncodedPicture, StartAt};
use pyo3::{
    exceptions::{PyOSError, PyRuntimeError, PyValueError},
    prelude::*,
    types::{PyByteArray, PyBytes},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Frames of one camera, in order.
#[pyclass(frozen, module = "mattebox._native")]
struct Stream {
    /// A lock and not Python's own: it is held while Python is free.
    work: Mutex<Work>,
    settings: Arc<FrameSettings>,
}

struct Work {
    processor: FrameProcessor,
    state: MatteState,
}

/// What the frame became: samples, width, height, channels.
type Picture<'py> = (Bound<'py, PyByteArray>, u32, u32, usize);

#[pymethods]
impl Stream {
    /// `options`: those of `FrameOptions`, as a JSON object.
    #[new]
    fn new(options: &str) -> PyResult<Self> {
        let options: FrameOptions =
            serde_json::from_str(options).map_err(|e| PyValueError::new_err(e.to_string()))?;
        let settings = Arc::new(options.check().map_err(setting_error)?);
        let engine = Engine::new(&settings);
        let processor = FrameProcessor::new(&engine, &settings).map_err(start_error)?;
        engine
            .backgrounds
            .open(&settings.background, &Default::default())
            .map_err(background_error)?;
        Ok(Stream {
            work: Mutex::new(Work {
                processor,
                state: MatteState::default(),
            }),
            settings,
        })
    }

    /// Refuses the size of a picture that is too large, before its samples are copied.
    fn check_size(&self, width: u64, height: u64) -> PyResult<()> {
        let limits = self.settings.limits;
        let side = u64::from(limits.max_side);
        if width > side || height > side || width.saturating_mul(height) > limits.max_pixels {
            return Err(PyValueError::new_err(format!(
                "the picture is too large: {width}x{height}, at most {side} a side and {} million \
                 pixels",
                limits.max_pixels / 1_000_000
            )));
        }
        Ok(())
    }

    /// The next frame with its new background: width times height times 3 samples in, 3 or 4
    /// channels out.
    fn process<'py>(
        &self,
        py: Python<'py>,
        rgb: &[u8],
        width: u32,
        height: u32,
        time_us: i64,
    ) -> PyResult<Picture<'py>> {
        let composed = py.detach(|| {
            let picture = self.picture(rgb, width, height)?;
            self.frame(FramePicture::Decoded(&picture), time_us, |matted| {
                Ok(matted.take_composed(Composed::default()))
            })
        })?;
        let channels = match composed {
            Composed::Rgba(_) => 4,
            Composed::Rgb(_) => 3,
        };
        let (width, height) = composed.dimensions();
        let samples = PyByteArray::new(py, composed.as_raw());
        Ok((samples, width, height, channels))
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
        let alpha = py.detach(|| {
            let picture = self.picture(rgb, width, height)?;
            self.frame(FramePicture::Decoded(&picture), time_us, |matted| {
                Ok(matted.alpha().as_raw().clone())
            })
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
        let encoded = py.detach(|| {
            let picture = FramePicture::Encoded(EncodedPicture::Bytes(bytes));
            self.frame(picture, time_us, |matted| {
                matted.encode().map(<[u8]>::to_vec)
            })
        })?;
        Ok(PyBytes::new(py, &encoded))
    }

    /// What is remembered between two frames, as bytes.
    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.lock().state.to_bytes())
    }

    /// Goes on from what was remembered.
    fn set_state(&self, bytes: &[u8]) -> PyResult<()> {
        let state =
            MatteState::from_bytes(bytes).map_err(|e| PyValueError::new_err(e.to_string()))?;
        self.lock().state = state;
        Ok(())
    }

    /// Forgets all frames so far.
    fn reset(&self) {
        self.lock().state = MatteState::default();
    }
}

impl Stream {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn picture(&self, rgb: &[u8], width: u32, height: u32) -> PyResult<RgbImage> {
        self.check_size(width.into(), height.into())?;
        let problem = || {
            PyValueError::new_err(format!(
                "{} bytes are no RGB picture of {width}x{height}",
                rgb.len()
            ))
        };
        if rgb.is_empty() || rgb.len() as u64 != 3 * u64::from(width) * u64::from(height) {
            return Err(problem());
        }
        RgbImage::from_raw(width, height, rgb.to_vec()).ok_or_else(problem)
    }

    fn frame<R>(
        &self,
        picture: FramePicture<'_>,
        time_us: i64,
        finish: impl FnOnce(&mut MattedFrame<'_>) -> Result<R, Rejection>,
    ) -> PyResult<R> {
        let mut work = self.lock();
        let Work { processor, state } = &mut *work;
        let frame = FrameInput {
            settings: &self.settings,
            picture,
            time: Timestamp(time_us),
            state,
            background: None,
            span: &Span::default(),
        };
        match processor.process(frame, finish) {
            FrameOutcome::Matted(made) => {
                made.map_err(|rejection| PyRuntimeError::new_err(rejection.message))
            }
            FrameOutcome::Rejected(rejection) => Err(PyValueError::new_err(rejection.message)),
            FrameOutcome::Panicked => Err(PyRuntimeError::new_err(Rejection::internal().message)),
        }
    }
}

/// Where a reader of a topic begins: `earliest`, `latest`, or unix milliseconds in digits.
#[pyfunction]
fn start_at(text: &str) -> PyResult<String> {
    let start: StartAt = text
        .parse()
        .map_err(|e: mattebox_wire::StartAtError| PyValueError::new_err(e.to_string()))?;
    Ok(match start {
        StartAt::Earliest => "earliest".to_owned(),
        StartAt::Latest => "latest".to_owned(),
        StartAt::Time(milliseconds) => milliseconds.to_string(),
    })
}

fn setting_error(error: SettingError) -> PyErr {
    PyValueError::new_err(format!("{}: {}", error.name, error.reason))
}

/// A network that cannot be read is the file system's fault; one that is none, the caller's.
fn start_error(error: StartError) -> PyErr {
    match &error {
        StartError::Model { path, .. } if !std::path::Path::new(path).is_file() => {
            PyOSError::new_err(error.to_string())
        }
        _ => PyValueError::new_err(error.to_string()),
    }
}

fn background_error(error: BackgroundSourceError) -> PyErr {
    match &error {
        BackgroundSourceError::Unreadable { .. } => PyOSError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Stream>()?;
    module.add_function(wrap_pyfunction!(start_at, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
