//! Durable output: where files go and how they get there whole.
//!
//! # Layout
//!
//! * [`frame_dir`]: the folder of one camera's pictures, `OUT/<camera>/frame_000000.png` and so on; [`frame_dirs`]: those of many cameras.
//! * [`pending`]: a file that is being written, under a hidden name until it is whole.
//! * [`memory`]: what is remembered of a camera between two frames, as bytes; [`memory_dir`]: its versions, `OUT/.state/<camera>/`.
//! * [`inputs`]: what a command reads, so that nothing it writes takes its place.
//! * [`error`]: what can go wrong with a path, and what to do about it.
#![forbid(unsafe_code)]

pub mod error;
pub mod frame_dir;
pub mod frame_dirs;
pub mod inputs;
pub mod memory;
pub mod memory_dir;
pub mod pending;

pub use error::StoreError;
pub use frame_dir::FrameDir;
pub use frame_dirs::FrameDirs;
pub use inputs::{Inputs, Place, without_detour};
pub use memory::{Memory, MemoryError};
pub use memory_dir::{MemoryDir, Recalled, Stream};
pub use pending::{OnExisting, Outcome, PendingFile};
