//! Measures a folder with many frames: opening it, finding the highest number, and one round of
//! retention that removes nothing. `cargo run --release -p mattebox-store --example folders 400000`
use mattebox_core::frame::{CameraId, FrameNumber, Timestamp};
use mattebox_store::{
    FolderClaim, FrameDir, FrameTree, NameTemplate, Owner, Retention, retention::Pruner,
};
use std::{
    error::Error,
    fs,
    io::{self, Write},
    time::{Duration, Instant, SystemTime},
};

/// 2026-01-01T00:00:00Z.
const BEGIN_US: i64 = 1_767_225_600_000_000;
/// Ten frames per second.
const INTERVAL_US: i64 = 100_000;
const TEMPLATES: [&str; 2] = [
    "{camera}/frame_{number}",
    "{camera}/{date}/{hour}/frame_{number}",
];

fn main() -> Result<(), Box<dyn Error>> {
    let files = std::env::args().nth(1).unwrap_or("400000".to_owned());
    let files: u64 = files.parse()?;
    let camera: CameraId = "cam01".parse()?;
    for template in TEMPLATES {
        let root = tempfile::tempdir_in(".")?;
        let names: NameTemplate = template.parse()?;
        let owner = Owner::Run {
            default_folder: false,
        };
        FolderClaim::take(root.path(), &owner)?.names(&names)?;
        let dir = FrameDir::open_named(root.path(), &camera, &names)?;
        for number in 0..files {
            let time = Timestamp(BEGIN_US + number as i64 * INTERVAL_US);
            let path = dir.path(FrameNumber(number), time, "png");
            if number % 36_000 == 0
                && let Some(folder) = path.parent()
            {
                fs::create_dir_all(folder)?;
            }
            fs::write(path, b"x")?;
        }
        let began = Instant::now();
        FrameDir::open_named(root.path(), &camera, &names)?;
        let open = began.elapsed();
        let began = Instant::now();
        let highest = FrameTree::new(root.path(), &names).highest(&camera)?;
        let find = began.elapsed();
        assert_eq!(highest, Some(FrameNumber(files - 1)));
        let round = |retention, now, wanted| -> Result<Duration, Box<dyn Error>> {
            let began = Instant::now();
            let round = Pruner::new(root.path(), retention, false).round(now, &|| false)?;
            assert_eq!(round.files(), wanted);
            Ok(began.elapsed())
        };
        let now = SystemTime::now();
        let keep = Retention {
            keep: Some(Duration::from_secs(86_400)),
            keep_bytes: Some(u64::MAX),
        };
        let nothing = round(keep, now, 0)?;
        let keep = Retention {
            keep: Some(Duration::ZERO),
            keep_bytes: None,
        };
        let all = round(keep, now + Duration::from_secs(1), files)?;
        writeln!(
            io::stdout(),
            "{template}: open {open:.1?}, highest {find:.1?}, round {nothing:.1?}, remove all \
             {all:.1?}"
        )?;
    }
    Ok(())
}
