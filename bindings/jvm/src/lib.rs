//! The core of mattebox as a function that Spark runs in its executors.
//!
//! ```text
//! record ─► Java: MatteFunction ─► native ─► engine: wire ─► decode ─► name ─► matte ─► compose ─┐
//!                  │                            Java ◄── row ◄── file ◄─────────────────────────┘
//!                  └── end of the task ─► engine: the states of the cameras are stored
//! ```
//!
//! # Layout
//!
//! * [`settings`]: the settings of the function, as JSON.
//! * [`engine`]: from a record to a file and a row; [`row`]: the outcome of a record.
//! * [`partition`]: the states of a partition's cameras, from task to task; `camera`: one camera,
//!   and the names of its frames.
//! * [`state_objects`]: these states as objects beside the query's checkpoint, which Java reads and
//!   writes.
//! * `camera_file`: the settings of single cameras, from a file that may change while tasks run.
//! * `out_folder`: the output folder and its owner.
//! * `native`: the functions that Java calls.
//! * `java/`: the function itself, and the loader of this library.
mod camera;
mod camera_file;
pub mod engine;
mod native;
mod out_folder;
pub mod partition;
pub mod row;
pub mod settings;
pub mod state_objects;
