//! Frames as `mattebox camera` writes them with `--wire binary`.
use super::broker::client::NewRecord;

/// A frame of a camera, with its session where it has one, taken at `seconds` since 1970.
pub(crate) fn binary_frame(
    camera: &str,
    session: Option<&str>,
    number: u64,
    seconds: f64,
    jpeg: &[u8],
) -> NewRecord {
    let taken = jiff::Timestamp::from_microsecond((seconds * 1e6) as i64).expect("a time");
    let id = format!("{camera}/{}/{number}", session.unwrap_or("-"));
    let record = NewRecord::new(camera, jpeg)
        .header("ce_specversion", "1.0")
        .header("ce_id", id)
        .header("ce_source", format!("mattebox/camera/{camera}"))
        .header("ce_type", "mattebox.frame.v1")
        .header("ce_time", taken.to_string())
        .header("content-type", "image/jpeg")
        .header("ce_sequence", number.to_string());
    match session {
        Some(session) => record.header("ce_session", session),
        None => record,
    }
}
