//! Durable output: where files go, and how each is written whole or not at all.
//!
//! # Layout
//!
//! * [`frame_dir`]: the folder of one camera's pictures, `OUT/<camera>/frame_000000.png` and so on;
//!   [`frame_dirs`]: those of many cameras.
//! * [`name_template`]: the names of frames' files; [`frame_tree`]: finds the frames below a folder
//!   by their names; [`folder_names`]: the template of a folder.
//! * [`retention`]: removes old files; `removed`: the highest numbers of removed files.
//!   [`recordings`]: the numbered files of a recording.
//! * [`pending`]: a file that is being written, under a hidden name until it is whole.
//! * [`unfinished`]: a recording that is being written, under a visible name until it is whole.
//! * [`camera_state`]: the state of a camera between two frames, as bytes; [`state_store`]: its
//!   versions, `OUT/.state/<camera>/`.
//! * [`owner`]: who writes into a folder, one at a time.
//! * [`journal`]: the block of names that each session of a camera has.
//! * [`inputs`]: the files that a command reads, so that it overwrites none of them.
//! * [`error`]: errors of paths, with advice.
#![forbid(unsafe_code)]

pub mod camera_state;
pub mod error;
pub mod folder_names;
pub mod frame_dir;
pub mod frame_dirs;
pub mod frame_tree;
pub mod inputs;
pub mod journal;
pub mod name_template;
pub mod owner;
pub mod pending;
pub mod recordings;
mod removed;
pub mod retention;
pub mod state_store;
pub mod unfinished;

pub use camera_state::{CameraState, CameraStateError};
pub use error::StoreError;
pub use frame_dir::FrameDir;
pub use frame_dirs::FrameDirs;
pub use frame_tree::FrameTree;
pub use inputs::{Inputs, ResolvedPath, without_detour};
pub use name_template::NameTemplate;
pub use owner::{FolderClaim, Owner, OwnerError};
pub use pending::{OnExisting, Outcome, PendingFile};
pub use retention::Retention;
pub use state_store::{GroupPartition, StateStore, StoredState};
pub use unfinished::UnfinishedFile;
