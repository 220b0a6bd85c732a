//! Durable output: where files go and how they get there whole.
//!
//! # Layout
#![forbid(unsafe_code)]
