//! What a child of a test inherits from whoever runs the tests: as little as possible, so that the
//! tests say the same under nohup, in the background, behind a proxy, in another language, and with
//! settings of mattebox in the environment.
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::{
    env, fs,
    process::Command,
    sync::{Arc, Once, atomic::AtomicBool},
};

/// The variables without which programs are not found, or that say where files of the tests may be.
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

/// A signal that this process ignores, as nohup asks, is ignored by its children too. One that it
/// handles is not: exec takes the handler away, and what is left is the signal's default. So it is
/// handled here from now on, by nothing.
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
