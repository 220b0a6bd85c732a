//! What happens to one frame, whoever brings it.
//!
//! # Layout
//!
//! * [`settings`]: what is asked of each frame: fields, defaults, one check, one hash.
//! * [`camera_settings`]: settings of single cameras.
//! * [`models`]: the networks of a process; [`fine`]: the one of the fine matte; [`background`]: what stands behind each frame.
//! * [`processor`]: processes a frame: decode, segment, refine, compose, encode.
//! * [`queues`]: the frames of each camera that wait, and whose turn it is.
//! * [`events`]: what can happen to a frame: each counts, logs and traces itself.
//! * [`metrics`]: counters, and how Prometheus reads them; [`watch`]: how far cameras have come.
//! * [`stages`]: what each step costs; [`latency`]: how long frames take.
//! * [`cameras`]: what can be seen and changed of cameras while they run.
//! * [`status`]: how a source is doing.
//! * [`troubles`]: what keeps a process from its work at the moment.
//! * [`trace`]: the way of each frame as OpenTelemetry spans.
//! * [`address`]: addresses, and what may be shown of them.
//! * [`stop`]: how everything is asked to stop.
//! * [`error`]: why nothing can begin; [`table`]: how sums are printed.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
pub mod address;
pub mod background;
pub mod camera_settings;
pub mod cameras;
pub mod error;
pub mod events;
pub mod files;
pub mod fine;
pub mod latency;
pub mod metrics;
pub mod models;
pub mod processor;
pub mod queues;
pub mod settings;
pub mod stages;
pub mod status;
pub mod stop;
pub mod table;
pub mod trace;
pub mod troubles;
pub mod watch;

pub use camera_settings::CameraSettings;
pub use error::{CameraFailure, ErrorDomain, StartError};
pub use models::{LoadedModel, ModelChoice, ModelRegistry, Networks};
pub use processor::{
    Engine, FrameInput, FrameOutcome, FramePicture, FrameProcessor, MattedFrame, Rejection,
    StateAccess,
};
pub use settings::{BackgroundChoice, FrameOptions, FrameSettings, SettingError};
pub use watch::Watch;
