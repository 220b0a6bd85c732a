//! A process that is killed while it writes leaves no half file under a final name, and its
//! temporary files are removed.
#![cfg(unix)]
use mattebox_core::frame::{CameraId, FrameNumber, Timestamp};
use mattebox_store::{FrameDir, OnExisting};
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The folder of the process that is to be killed.
const VICTIM: &str = "MATTEBOX_TEST_VICTIM";
/// Bytes of a file; each byte of file `n` is `n % 251`.
const LENGTH: usize = 3_000_000;

fn open(root: &Path) -> FrameDir {
    FrameDir::open(root, &"cam".parse::<CameraId>().unwrap()).unwrap()
}

fn bytes(number: u64) -> Vec<u8> {
    vec![(number % 251) as u8; LENGTH]
}

/// Not a test but the process that is killed. Writes 40 frames over and over from two threads.
#[test]
fn victim() {
    let Some(root) = env::var_os(VICTIM) else {
        return;
    };
    let dir = open(Path::new(&root));
    thread::scope(|scope| {
        for half in 0..2 {
            let dir = &dir;
            scope.spawn(move || {
                for number in (half..40).step_by(2).cycle() {
                    dir.write(
                        FrameNumber(number),
                        Timestamp(0),
                        "bin",
                        &bytes(number),
                        OnExisting::Overwrite,
                    )
                    .unwrap();
                }
            });
        }
    });
}

#[test]
fn every_file_under_a_final_name_is_whole_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let mut leftovers = 0;
    for round in 0..5u64 {
        let mut victim = Command::new(env::current_exe().unwrap())
            .args(["--exact", "victim"])
            .env(VICTIM, root.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let first = root.path().join("cam/frame_000000.bin");
        let begun = Instant::now();
        while !first.exists() && begun.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(30 + 7 * round));
        victim.kill().unwrap();
        victim.wait().unwrap();

        let mut whole = 0;
        let mut temporary = 0;
        for entry in fs::read_dir(root.path().join("cam")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            match name
                .strip_prefix("frame_")
                .and_then(|rest| rest.strip_suffix(".bin"))
            {
                Some(number) => {
                    assert!(
                        fs::read(entry.path()).unwrap() == bytes(number.parse().unwrap()),
                        "{name} is not whole"
                    );
                    whole += 1;
                }
                None => {
                    assert!(name.starts_with('.'), "{name} is neither final nor hidden");
                    temporary += 1;
                }
            }
        }
        assert!(whole > 0);
        leftovers += temporary;
        open(root.path());
        let hidden = fs::read_dir(root.path().join("cam"))
            .unwrap()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with('.')
            });
        assert_eq!(
            hidden.count(),
            0,
            "the next process that opens the folder removes the temporary files"
        );
    }
    assert!(
        leftovers > 0,
        "in none of five rounds was a write interrupted"
    );
}
