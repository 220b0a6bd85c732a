//! Durable output: where files go and how they get there whole.
//!
//! # Layout
//!
//! * [`frame_dir`]: the folder of one camera's pictures, `OUT/<camera>/frame_000000.png` and so on;
//!   [`frame_dirs`]: those of many cameras.
//! * [`name_template`]: how frames' files are called; [`frame_tree`]: the frames below a folder,
//!   found by their names; [`folder_names`]: the template of a folder.
//! * [`retention`]: removes old files; `removed`: the highest numbers among those. [`recordings`]:
//!   the numbered files of a recording.
//! * [`pending`]: a file that is being written, under a hidden name until it is whole.
//! * [`unfinished`]: a recording that is being written, under a visible name until it is whole.
//! * [`camera_state`]: what is remembered of a camera between two frames, as bytes;
//!   [`state_store`]: its versions, `OUT/.state/<camera>/`.
//! * [`owner`]: who writes into a folder, one at a time.
//! * [`journal`]: which block of names each session of a camera has.
//! * [`inputs`]: what a command reads, so that nothing it writes takes its place.
//! * [`error`]: what can go wrong with a path, and what to do about it.
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
