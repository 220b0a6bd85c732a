//! The `mattebox` binary.
fn main() {}
