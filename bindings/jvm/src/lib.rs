//! The core of mattebox as a function that Spark runs in its executors.
//!
//! ```text
//! record ─► Java: MatteFunction ─► native ─► engine: wire ─► matte ─► compose ─► file ─► row ─► Java
//!                     └── end of the task ─► engine: what is remembered of the cameras is stored
//! ```
//!
//! # Layout
//!
//! * [`settings`]: what the function is told, as JSON.
//! * [`engine`]: from a record to a file and a row; [`row`]: what became of the record.
//! * [`partition`]: what is remembered of a partition's cameras, from task to task.
//! * `native`: what Java calls.
//! * `java/`: the function itself, and the loader of this library.
pub mod engine;
mod native;
pub mod partition;
pub mod row;
pub mod settings;
