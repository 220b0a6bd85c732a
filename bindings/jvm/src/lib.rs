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
//! * [`settings`]: what the function is told, as JSON.
//! * [`engine`]: from a record to a file and a row; [`row`]: what became of the record.
//! * [`partition`]: what is remembered of a partition's cameras, from task to task; `camera`: one
//!   of them, and what its frames are called.
//! * [`state_objects`]: the same as objects beside the query's checkpoint, which Java reads and
//!   writes.
//! * `camera_file`: the settings of single cameras, whose file may change while tasks run.
//! * `out_folder`: the output folder, and whose it is.
//! * `native`: what Java calls.
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
