//! Processes frames, for every command and binding alike.
//!
//! # Layout
//!
//! * [`settings`]: how a frame is to be processed: fields, defaults, one check, one hash.
//! * [`camera_settings`]: settings of single cameras.
//! * [`models`]: the networks of a process; [`fine`]: the network of the fine matte.
//! * [`background`]: the background of each frame.
//! * [`processor`]: processes a frame: decode, segment, refine, compose, encode.
//! * [`queues`]: the waiting frames of each camera, and the order of cameras.
//! * [`events`]: one struct for each thing that happens to a frame; it counts, logs and traces it.
//! * [`metrics`]: counters for Prometheus; [`watch`]: the progress of cameras.
//! * [`stages`]: CPU time by stage; [`latency`]: the latency of frames.
//! * [`cameras`]: cameras as viewers see and change them.
//! * [`status`]: the condition of a source.
//! * [`troubles`]: the reasons why a process cannot work now.
//! * [`trace`]: the way of each frame as OpenTelemetry spans.
//! * [`address`]: shows addresses without their secrets.
//! * [`stop`]: asks all threads to stop.
//! * [`error`]: errors at the start; [`files`]: reads files up to a limit; [`table`]: plain tables.
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
