//! The environment that a child of a test inherits: as little as possible, so that the tests give
//! the same results under nohup, in the background, behind a proxy, in another language, and with
//! settings of mattebox in the environment.
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::{
    env, fs,
    process::Command,
    sync::{Arc, Once, atomic::AtomicBool},
};

/// The variables that programs need to be found, or that name folders for the files of tests.
const KEPT: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "LLVM_PROFILE_FILE",
    "SystemRoot",
];

/// Gives a command the few variables that it needs, and signals that end it as usual.
pub(crate) fn shield(command: &mut Command) -> &mut Command {
    static ONCE: Once = Once::new();
    ONCE.call_once(handle_ignored_signals);
    command.env_clear();
    command.envs(
        KEPT.iter()
            .filter_map(|name| Some((name, env::var_os(name)?))),
    )
}

/// If this process ignores a signal, as under nohup, its children ignore it too. If it handles the
/// signal, exec resets it to its default. So an empty handler is set here.
fn handle_ignored_signals() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        if mask.unwrap_or(0) & (1 << (signal - 1)) != 0 {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
                .expect("a signal that can be handled");
        }
    }
}
