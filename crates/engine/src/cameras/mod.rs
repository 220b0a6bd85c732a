//! Cameras as viewers see and change them while they run: state, counts, pictures, settings. The
//! crate `mattebox-server` serves them.
//!
//! # Layout
//!
//! * [`registry`]: all cameras of a process, and the thread that encodes pictures for viewers and
//!   takes a sample of the counts each second.
//! * [`camera`]: one camera: its name, state, settings and last errors.
//! * [`faults`]: the last errors.
//! * [`preview`]: the newest pictures of a camera, encoded once for all viewers.
//! * `preview_queue`: cameras with pictures to encode.
//! * `checkerboard`: a cut-out person over a checkerboard.
//! * `cutout`: a cut-out person in a picture that cannot be transparent.
//! * [`quality`]: an estimate of how good the mattes are.
//! * [`trend`]: frames per second and latency over the last minutes.
pub mod camera;
pub mod checkerboard;
mod cutout;
pub mod faults;
pub mod preview;
mod preview_queue;
pub mod quality;
pub mod registry;
pub mod trend;

pub use camera::Camera;
pub use registry::CameraRegistry;
