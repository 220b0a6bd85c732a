//! The outcome of a frame, as JSON: the records of the Spark job's results topic.
use serde::Serialize;
use serde_json::{
    Serializer,
    ser::{CharEscape, Formatter},
};
use std::io;

/// The outcome of a frame whose file is in place. The fields are those of the JSON object, in its
/// order; a field without a value is left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FrameStatus<'a> {
    /// The camera that took the frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<&'a str>,
    /// The number in the file's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// `written` or `kept`.
    pub status: &'a str,
    /// The existing file that was kept holds other bytes than the frame's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub differs: bool,
    /// The path of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// Bytes of the file.
    pub bytes: usize,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// When the frame was taken, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_us: Option<i64>,
    /// The time from then until the file was in place, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// The topic of the frame's record.
    pub topic: &'a str,
    /// The record's partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
}

impl FrameStatus<'_> {
    /// The header of the record that holds the JSON object.
    pub(super) const HEADER: (&'static str, &'static str) = ("content-type", "application/json");

    /// One JSON object in UTF-8 without white space, as Spark's `to_json` writes it: earlier
    /// versions used that function, and readers that compare texts see no difference.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(256);
        // A struct of texts and numbers can always be written.
        let written = self.serialize(&mut Serializer::with_formatter(&mut json, SparkFormatter));
        debug_assert!(written.is_ok());
        json
    }
}

/// Writes values as Spark (Jackson) does, where serde differs.
struct SparkFormatter;

impl Formatter for SparkFormatter {
    /// Like Java's `Double.toString`: with an exponent below 0.001 and from 10,000,000 on.
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
            return write!(writer, "{value:?}");
        }
        let text = format!("{value:E}");
        match text.split_once('E') {
            Some((digits, exponent)) if !digits.contains('.') => {
                write!(writer, "{digits}.0E{exponent}")
            }
            _ => writer.write_all(text.as_bytes()),
        }
    }

    /// Control characters with upper-case digits, as in `\u001F`.
    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let short: &[u8] = match escape {
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04X}"),
            CharEscape::Quote => br#"\""#,
            CharEscape::ReverseSolidus => br"\\",
            CharEscape::Solidus => br"\/",
            CharEscape::Backspace => br"\b",
            CharEscape::FormFeed => br"\f",
            CharEscape::LineFeed => br"\n",
            CharEscape::CarriageReturn => br"\r",
            CharEscape::Tab => br"\t",
        };
        writer.write_all(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: FrameStatus<'_> = FrameStatus {
        camera: Some("cam01"),
        frame: Some(17),
        status: "written",
        differs: false,
        path: Some("/shared/output/cam01/frame_000017.png"),
        bytes: 91_234,
        width: 640,
        height: 360,
        taken_us: Some(1_769_860_800_123_456),
        latency_ms: Some(412.7),
        topic: "camera_frames",
        partition: 0,
        offset: 17,
    };

    fn json(status: &FrameStatus<'_>) -> String {
        String::from_utf8(status.to_json()).unwrap()
    }

    #[test]
    fn a_status_is_one_object_with_its_fields_in_order() {
        let expected = concat!(
            r#"{"camera":"cam01","frame":17,"status":"written","#,
            r#""path":"/shared/output/cam01/frame_000017.png","bytes":91234,"#,
            r#""width":640,"height":360,"#,
            r#""taken_us":1769860800123456,"latency_ms":412.7,"#,
            r#""topic":"camera_frames","partition":0,"offset":17}"#
        );
        assert_eq!(json(&STATUS), expected);
        let bare = FrameStatus {
            camera: None,
            frame: None,
            path: None,
            taken_us: None,
            latency_ms: None,
            ..STATUS
        };
        let expected = concat!(
            r#"{"status":"written","bytes":91234,"width":640,"height":360,"#,
            r#""topic":"camera_frames","partition":0,"offset":17}"#
        );
        assert_eq!(json(&bare), expected);
        let differs = FrameStatus {
            status: "kept",
            differs: true,
            ..STATUS
        };
        assert!(json(&differs).contains(r#""status":"kept","differs":true,"path""#));
    }

    /// The texts are those of Java 17's `Double.toString`.
    #[test]
    fn numbers_are_written_as_java_does() {
        for (microseconds, expected) in [
            (0_i64, "0.0"),
            (1, "0.001"),
            (-1, "-0.001"),
            (412_700, "412.7"),
            (5_000_000, "5000.0"),
            (9_999_999_999, "9999999.999"),
            (10_000_000_000, "1.0E7"),
            (-10_000_000_000, "-1.0E7"),
            (12_345_678_901, "1.2345678901E7"),
            (1_700_000_000_123_456, "1.700000000123456E12"),
            (-253_370_764_800_000_000, "-2.533707648E14"),
        ] {
            let status = FrameStatus {
                latency_ms: Some(microseconds as f64 / 1000.0),
                ..STATUS
            };
            let json = json(&status);
            assert!(
                json.contains(&format!("\"latency_ms\":{expected},")),
                "{microseconds}: {json}"
            );
        }
    }

    /// The texts are those of `to_json` of Spark 4.2.
    #[test]
    fn texts_are_escaped_as_spark_does() {
        let status = FrameStatus {
            path: Some("\0\u{8}\t\n\u{b}\u{c}\r\u{1f} \"\\/\u{7f}\u{80}\u{2028}é\u{1f600}"),
            ..STATUS
        };
        let expected = concat!(
            r#""path":"\u0000\b\t\n\u000B\f\r\u001F \"\\/"#,
            "\u{7f}\u{80}\u{2028}é\u{1f600}\","
        );
        assert!(json(&status).contains(expected), "{}", json(&status));
    }
}
