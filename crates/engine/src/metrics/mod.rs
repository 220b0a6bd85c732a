//! Counters, and their metrics for Prometheus.
//!
//! * [`frames`]: the counts of frames, the same in every command.
//! * [`family`]: a metric family: its name, type, labels and help, declared once.
//! * [`registry`]: the families of a process, collected when a scrape asks.
//! * [`monitor`]: the metrics of a command, and the reasons why it is not ready.
//! * [`common`]: families of several commands; [`process`]: families of every process.
pub mod common;
pub mod family;
pub mod frames;
pub mod monitor;
pub mod process;
pub mod registry;

pub use family::{Family, FamilyKind};
pub use frames::{DropReason, DroppedFrames, FrameCounters, FrameCounts, SkipReason};
pub use monitor::Monitor;
pub use registry::{Metrics, Samples};
