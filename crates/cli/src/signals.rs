//! Ctrl-C and SIGTERM: the first finishes the last frames, the second stops at once.
use crate::exit::Exit;
use mattebox_engine::stop::Stop;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{io, process, thread, time::Duration};

/// The time to clean up temporary files and child processes before the process ends.
const CLEAN_UP: Duration = Duration::from_secs(2);

/// Listens from now on. The first signal sets `stop`; a second one, or the end of `drain`, sets
/// `abort`, and soon after it the process ends in any case.
pub fn listen(stop: Stop, abort: Stop, drain: Duration) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut wait = signals.forever();
            if wait.next().is_none() {
                return;
            }
            tracing::info!("finishing the last frames (Ctrl-C again to stop now)");
            stop.stop();
            let deadline = abort.clone();
            thread::spawn(move || {
                if !deadline.wait(drain) {
                    tracing::warn!(
                        "the last frames took longer than {drain:?}: stopping without them"
                    );
                    end(&deadline);
                }
            });
            if wait.next().is_some() {
                end(&abort);
            }
        })?;
    Ok(())
}

/// Whether this process was started with SIGHUP ignored, as `nohup` does.
pub fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// Acts like the first SIGTERM, with its deadline.
pub fn ask_to_stop() {
    if let Err(error) = signal_hook::low_level::raise(SIGTERM) {
        tracing::error!("cannot stop: {error}");
    }
}

/// Calls `act` on every SIGHUP.
pub fn on_hangup(mut act: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP])?;
    thread::Builder::new()
        .name("hangup".to_owned())
        .spawn(move || signals.forever().for_each(|_| act()))?;
    Ok(())
}

fn end(abort: &Stop) -> ! {
    abort.stop();
    thread::sleep(CLEAN_UP);
    process::exit(i32::from(Exit::Stopped.number()))
}
