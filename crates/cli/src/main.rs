//! The `mattebox` binary.
#![deny(clippy::print_stdout, clippy::print_stderr)]
use std::process::ExitCode;

fn main() -> ExitCode {
    mattebox::cli::main(std::env::args_os())
}
