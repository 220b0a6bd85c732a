//! Durable output: where files go and how they get there whole.
//!
//! # Layout
//!
//! * [`frame_dir`]: the folder of one camera's pictures, `OUT/<camera>/frame_000000.png` and so on; [`frame_dirs`]: those of many cameras.
//! * [`pending`]: a file that is being written, under a hidden name until it is whole.
//! * [`unfinished`]: a recording that is being written, under a visible name until it is whole.
//! * [`camera_state`]: what is remembered of a camera between two frames, as bytes; [`state_store`]: its versions, `OUT/.state/<camera>/`.
//! * [`owner`]: who writes into a folder, one at a time.
//! * [`journal`]: which block of names each session of a camera has.
//! * [`inputs`]: what a command reads, so that nothing it writes takes its place.
//! * [`error`]: what can go wrong with a path, and what to do about it.
#![forbid(unsafe_code)]

pub mod camera_state;
pub mod error;
pub mod frame_dir;
pub mod frame_dirs;
pub mod inputs;
pub mod journal;
pub mod owner;
pub mod pending;
pub mod state_store;
pub mod unfinished;

pub use camera_state::{CameraState, CameraStateError};
pub use error::StoreError;
pub use frame_dir::FrameDir;
pub use frame_dirs::FrameDirs;
pub use inputs::{Inputs, Place, without_detour};
pub use owner::{FolderClaim, Owner, OwnerError};
pub use pending::{OnExisting, Outcome, PendingFile};
pub use state_store::{StateStore, StoredState, Stream};
pub use unfinished::UnfinishedFile;
