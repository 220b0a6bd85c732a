//! Frames as the camera of the seed sends them: by a Python client or by this code.
use super::{broker::client::NewRecord, media::repository};
use base64::Engine;
use std::{ops::Range, process::Command};

/// A frame of 320x180, as Python's `json.dumps` writes it.
pub(crate) fn seed_json(camera: &str, frame: u64, ts: f64, jpeg: &[u8]) -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(jpeg);
    format!(
        "{{\"camera_id\": \"{camera}\", \"frame_id\": {frame}, \"ts\": {ts:.6}, \
         \"codec\": \"jpg\", \"width\": 320, \"height\": 180, \"data_b64\": \"{data}\"}}"
    )
}

/// A frame as the seed's camera sends it, in the partition that its key chooses.
pub(crate) fn seed_frame(camera: &str, number: u64, seconds: f64, jpeg: &[u8]) -> NewRecord {
    NewRecord::new(camera, seed_json(camera, number, seconds, jpeg))
}

/// Frames of one life of the seed's camera, ten a second.
pub(crate) fn seed_life(
    camera: &str,
    numbers: Range<u64>,
    begun: f64,
    jpeg: &[u8],
) -> Vec<NewRecord> {
    numbers
        .map(|n| seed_frame(camera, n, begun + n as f64 / 10.0, jpeg))
        .collect()
}

/// Runs one of the scripts in `seed/` with a Python that has a Kafka client, and returns its
/// output.
pub(crate) fn python(script: &str, args: &[&str]) -> String {
    let found = Command::new(repository("scripts/python-client"))
        .output()
        .expect("scripts/python-client runs");
    assert!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    let python = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let done = Command::new(python)
        .arg(repository(&format!("tests/end_to_end/kit/seed/{script}")))
        .args(args)
        .output()
        .expect("Python runs");
    assert!(
        done.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).into_owned()
}
