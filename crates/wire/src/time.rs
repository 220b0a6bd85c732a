//! The two ways in which records write a time: unix seconds with a fraction, and RFC 3339.
use mattebox_core::frame::Timestamp;

/// The first time that is refused, 9999-01-01T00:00:00Z, in unix microseconds.
const END: i64 = 253_370_764_800_000_000;

/// Reads unix seconds, to the nearest microsecond; `None` before 1970, from 9999 on, and for NaN.
///
/// Seconds as `f64` tell microseconds apart up to 2^33, in the year 2242.
pub(super) fn from_seconds(seconds: f64) -> Option<Timestamp> {
    if !(0.0..END as f64 / 1e6).contains(&seconds) {
        return None;
    }
    // The two parts are converted one by one: a single product would round once more.
    let whole = seconds.trunc();
    let micros = whole as i64 * 1_000_000 + ((seconds - whole) * 1e6).round() as i64;
    Some(Timestamp(micros.min(END - 1)))
}

/// Writes a time as unix seconds, in the way in which Python prints such a float: `1700000000.0`,
/// `1700000000.25`.
pub(super) fn to_seconds(time: Timestamp) -> String {
    let sign = if time.0 < 0 { "-" } else { "" };
    let micros = time.0.unsigned_abs();
    let mut text = format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    while text.ends_with('0') && !text.ends_with(".0") {
        text.pop();
    }
    text
}

/// Reads RFC 3339 with any offset, cut to microseconds; `None` before 1970 and from 9999 on.
pub(super) fn from_rfc3339(text: &str) -> Option<Timestamp> {
    let micros = text.parse::<jiff::Timestamp>().ok()?;
    (0..END)
        .contains(&micros.as_microsecond())
        .then(|| Timestamp(micros.as_microsecond()))
}

/// Writes a time as RFC 3339 in UTC with six digits: `2023-11-14T22:13:20.000000Z`. A time that
/// cannot be written becomes the nearest one that can.
pub(super) fn to_rfc3339(time: Timestamp) -> String {
    let nearest = if time.0 < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    };
    format!(
        "{:.6}",
        jiff::Timestamp::from_microsecond(time.0).unwrap_or(nearest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_are_printed_as_python_prints_them() {
        for (micros, text) in [
            (0, "0.0"),
            (1_700_000_000_000_000, "1700000000.0"),
            (1_700_000_000_123_456, "1700000000.123456"),
            (1_700_000_000_250_000, "1700000000.25"),
            (1_700_000_010_000_010, "1700000010.00001"),
            (-500_000, "-0.5"),
            (i64::MIN, "-9223372036854.775808"),
        ] {
            assert_eq!(to_seconds(Timestamp(micros)), text);
        }
    }

    #[test]
    fn seconds_outside_the_range_are_refused() {
        for seconds in [
            -1e-9,
            -1.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            253_370_764_800.0,
            1e300,
        ] {
            assert_eq!(from_seconds(seconds), None, "{seconds}");
        }
        assert_eq!(from_seconds(0.0), Some(Timestamp(0)));
        assert_eq!(
            from_seconds(253_370_764_799.999_97).map(|time| time.0 / 1_000_000),
            Some(253_370_764_799)
        );
    }

    #[test]
    fn rfc3339_has_any_offset_and_any_precision() {
        for text in [
            "2023-11-14T22:13:20.123456Z",
            "2023-11-14T22:13:20.123456789Z",
            "2023-11-14t22:13:20.123456z",
            "2023-11-15T00:13:20.123456+02:00",
            "2023-11-14T13:43:20.123456-08:30",
        ] {
            assert_eq!(
                from_rfc3339(text),
                Some(Timestamp(1_700_000_000_123_456)),
                "{text}"
            );
        }
        assert_eq!(
            from_rfc3339("2023-11-14T22:13:20Z"),
            Some(Timestamp(1_700_000_000_000_000))
        );
        for text in [
            "",
            "now",
            "1700000000",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-13-14T22:13:20Z",
        ] {
            assert_eq!(from_rfc3339(text), None, "{text}");
        }
        for text in [
            "1969-12-31T23:59:59.999999Z",
            "1970-01-01T00:59:59+01:00",
            "9999-01-01T00:00:00Z",
        ] {
            assert_eq!(from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn any_time_can_be_printed() {
        assert_eq!(
            to_rfc3339(Timestamp(1_700_000_000_000_000)),
            "2023-11-14T22:13:20.000000Z"
        );
        assert!(to_rfc3339(Timestamp(i64::MAX)).starts_with("9999-12-30T"));
        assert!(to_rfc3339(Timestamp(i64::MIN)).starts_with("-009999-"));
    }

    proptest! {
        #[test]
        fn seconds_read_back_to_the_same_microsecond(micros in 0..(1i64 << 33) * 1_000_000) {
            let seconds: f64 = to_seconds(Timestamp(micros)).parse().unwrap();
            prop_assert_eq!(from_seconds(seconds), Some(Timestamp(micros)));
            prop_assert_eq!(from_seconds(micros as f64 / 1e6), Some(Timestamp(micros)));
        }

        #[test]
        fn rfc3339_reads_back_to_the_same_microsecond(micros in 0..END) {
            prop_assert_eq!(from_rfc3339(&to_rfc3339(Timestamp(micros))), Some(Timestamp(micros)));
        }
    }
}
