//! What can be seen and changed of cameras while they run: state, numbers, pictures, settings. [`crate::http`] serves it.
//!
//! # Layout
//!
//! * [`studio`]: all cameras of a process, and the thread that encodes pictures for viewers and takes the numbers of each second.
//! * [`camera`]: one camera: who it is, how it does, its last errors.
//! * [`look`]: what is made of a camera's frames, as it can be changed while it runs.
//! * [`shots`]: the newest pictures, encoded once for all viewers.
//! * `checkerboard`: a cut-out person over a checkerboard.
//! * [`quality`]: how good the mattes seem.
//! * [`trend`]: frames per second and latency over the last minutes.
pub mod camera;
pub(crate) mod checkerboard;
pub mod look;
pub mod quality;
pub mod shots;
pub mod studio;
pub mod trend;

pub use camera::Camera;
pub use look::{Behind, Look, Treatment};
pub use studio::Studio;
