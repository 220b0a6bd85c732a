//! The `mattebox` binary.
use std::process::ExitCode;

fn main() -> ExitCode {
    mattebox::cli::main(std::env::args_os())
}
