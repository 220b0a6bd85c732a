//! What can be seen and changed of cameras while they run: state, numbers, pictures, settings. crate `mattebox-server` serves it.
//!
//! # Layout
//!
//! * [`registry`]: all cameras of a process, and the thread that encodes pictures for viewers and takes the numbers of each second.
//! * [`camera`]: one camera: who it is, how it does, its last errors.
//! * [`faults`]: the last things that went wrong.
//! * [`preview`]: the newest pictures, encoded once for all viewers.
//! * `preview_queue`: the cameras that have pictures to encode.
//! * `checkerboard`: a cut-out person over a checkerboard.
//! * `cutout`: a cut-out person in a picture that cannot be transparent.
//! * [`quality`]: how good the mattes seem.
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
