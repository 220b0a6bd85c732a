//! The names of frames' files: `{camera}/frame_{number}`, or with folders for days and hours.
//!
//! One value both makes a frame's path and recognises the paths of frames, so that the two always
//! agree. Two frames never get one path: `{camera}` is a folder, and no digit follows the number.
use crate::frame_dir::EXTENSIONS;
use jiff::{civil::DateTime, tz::TimeZone};
use mattebox_core::frame::{CameraId, FrameNumber, Timestamp};
use std::{fmt, path::Path, str::FromStr, sync::Arc};
use thiserror::Error;

/// The default template.
const DEFAULT: &str = "{camera}/frame_{number}";
/// The day of frames whose time is implausible.
const UNDATED: &str = "undated";
/// Plausible times in unix seconds: from 2000-01-01 on, before 2100-01-01.
const TRUE_SECONDS: std::ops::Range<i64> = 946_684_800..4_102_444_800;
/// The fewest digits of a number.
const DIGITS: usize = 6;
/// The longest template, in bytes.
const MAX_LEN: usize = 200;

/// The end of every message about a template.
const FIELDS: &str = "the fields are {camera}, {number} (with at least six digits), {date} \
    (2026-01-31), {hour} and {minute} (UTC), as in {camera}/{date}/{hour}/frame_{number}";

/// Why a text is not a [`NameTemplate`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}; {FIELDS}")]
pub struct NameTemplateError(String);

impl NameTemplateError {
    /// For a template without folders for cameras.
    pub fn no_camera() -> Self {
        NameTemplateError("{camera} is missing: there may be several cameras".to_owned())
    }
}

/// The names of frames' files, without their extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate(Arc<Template>);

#[derive(Debug, PartialEq, Eq)]
struct Template {
    text: String,
    segments: Vec<Segment>,
}

/// The part of a template between two slashes.
#[derive(Debug, PartialEq, Eq)]
struct Segment(Vec<TemplatePart>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplatePart {
    Text(String),
    Camera,
    Date,
    Hour,
    Minute,
    Number,
}

/// The fields of a frame that its path tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PathFields {
    pub(crate) camera: Option<CameraId>,
    pub(crate) number: Option<FrameNumber>,
    pub(crate) time: PathTime,
}

/// The minute of a frame, as far as its path tells it. A frame without a date counts as the oldest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PathTime {
    /// Year, month and day as one number; 0 is undated.
    date: Option<u32>,
    hour: Option<u8>,
    minute: Option<u8>,
}

impl PathTime {
    fn of(time: Timestamp) -> PathTime {
        let minute = civil(time).map(|at| {
            let date = at.year() as u32 * 10_000 + at.month() as u32 * 100 + at.day() as u32;
            (date, at.hour() as u8, at.minute() as u8)
        });
        let (date, hour, minute) = minute.unwrap_or_default();
        PathTime {
            date: Some(date),
            hour: Some(hour),
            minute: Some(minute),
        }
    }

    fn date_text(date: u32) -> String {
        match date {
            0 => UNDATED.to_owned(),
            _ => format!(
                "{:04}-{:02}-{:02}",
                date / 10_000,
                date / 100 % 100,
                date % 100
            ),
        }
    }
}

/// A time in UTC, if it is plausible.
fn civil(time: Timestamp) -> Option<DateTime> {
    let is_true = TRUE_SECONDS.contains(&time.0.div_euclid(1_000_000));
    let moment = jiff::Timestamp::from_microsecond(time.0).ok()?;
    is_true.then(|| TimeZone::UTC.to_datetime(moment))
}

impl Default for NameTemplate {
    fn default() -> Self {
        NameTemplate(Arc::new(Template {
            text: DEFAULT.to_owned(),
            segments: vec![
                Segment(vec![TemplatePart::Camera]),
                Segment(vec![
                    TemplatePart::Text("frame_".to_owned()),
                    TemplatePart::Number,
                ]),
            ],
        }))
    }
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl FromStr for NameTemplate {
    type Err = NameTemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason: &str| Err(NameTemplateError(reason.to_owned()));
        if text.len() > MAX_LEN {
            return wrong("a template has at most 200 characters");
        }
        let segments: Vec<Segment> = text.split('/').map(str::parse).collect::<Result<_, _>>()?;
        let (last, folders) = segments
            .split_last()
            .map_or((&[][..], &[][..]), |(last, folders)| (&last.0[..], folders));
        let count = |part: &TemplatePart| {
            segments
                .iter()
                .flat_map(|s| &s.0)
                .filter(|p| *p == part)
                .count()
        };
        if count(&TemplatePart::Number) != 1 || !last.contains(&TemplatePart::Number) {
            return wrong("{number} has to stand in the file's name, once");
        }
        let behind = last
            .iter()
            .skip_while(|part| **part != TemplatePart::Number)
            .nth(1);
        let is_clear = match behind {
            None => true,
            Some(TemplatePart::Text(text)) => !text.starts_with(|c: char| c.is_ascii_digit()),
            Some(_) => false,
        };
        if !is_clear {
            return wrong("{number} has to be followed by a text that begins with no digit");
        }
        let first = segments
            .iter()
            .position(|segment| segment.0.contains(&TemplatePart::Camera));
        if first.is_some_and(|at| at == folders.len() || segments[at].0 != [TemplatePart::Camera]) {
            return wrong("{camera} has to be a folder, alone between slashes");
        }
        if count(&TemplatePart::Hour) > 0 && count(&TemplatePart::Date) == 0 {
            return wrong("{hour} needs {date}");
        }
        if count(&TemplatePart::Minute) > 0 && count(&TemplatePart::Hour) == 0 {
            return wrong("{minute} needs {hour}");
        }
        let ending = match last.last() {
            Some(TemplatePart::Text(text)) => text.as_str(),
            _ => "",
        };
        let ends_in = |extension: &&str| ending.ends_with(&format!(".{extension}"));
        if EXTENSIONS.iter().any(ends_in) {
            return wrong("--format gives the file its extension: leave it out");
        }
        Ok(NameTemplate(Arc::new(Template {
            text: text.to_owned(),
            segments,
        })))
    }
}

impl FromStr for Segment {
    type Err = NameTemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason: String| Err(NameTemplateError(reason));
        if text.is_empty() {
            return wrong(
                "a template begins and ends without a slash, and has no two in a row".into(),
            );
        }
        if text.starts_with(['.', '-']) {
            return wrong(format!("{text:?} must not begin with {:?}", &text[..1]));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (plain, field) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-=+,@ ".contains(c);
            if let Some(other) = plain.chars().find(|c| !is_plain(*c)) {
                return wrong(format!("{other:?} cannot stand in a name"));
            }
            if !plain.is_empty() {
                parts.push(TemplatePart::Text(plain.to_owned()));
            }
            rest = field;
            if let Some(field) = field.strip_prefix('{') {
                let Some((name, behind)) = field.split_once('}') else {
                    return wrong(format!("{{{field} has no end"));
                };
                parts.push(match name {
                    "camera" => TemplatePart::Camera,
                    "date" => TemplatePart::Date,
                    "hour" => TemplatePart::Hour,
                    "minute" => TemplatePart::Minute,
                    "number" => TemplatePart::Number,
                    _ => return wrong(format!("there is no field {{{name}}}")),
                });
                rest = behind;
            }
        }
        Ok(Segment(parts))
    }
}

impl NameTemplate {
    /// Whether it is the default template.
    pub fn is_default(&self) -> bool {
        self.0.text == DEFAULT
    }

    /// Whether each camera has a folder, as several cameras need.
    pub fn has_camera(&self) -> bool {
        self.0
            .segments
            .iter()
            .any(|segment| segment.0.contains(&TemplatePart::Camera))
    }

    /// The path of a frame's file below the output, without its extension.
    pub fn path(&self, camera: &CameraId, number: FrameNumber, time: Timestamp) -> String {
        let known = PathFields {
            camera: Some(camera.clone()),
            number: Some(number),
            time: PathTime::of(time),
        };
        let segments = self.0.segments.iter().map(|segment| segment.text(&known));
        segments
            .map(Option::unwrap_or_default)
            .collect::<Vec<_>>()
            .join("/")
    }

    /// Whether a path below the output can be a frame, or a folder of frames.
    pub(crate) fn describes(&self, path: &Path) -> bool {
        let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
        let parts = parts.unwrap_or_default();
        let known = |parts: &[&str]| {
            let mut parts = parts.iter().enumerate();
            parts.try_fold(PathFields::default(), |known, (depth, part)| {
                self.enter(depth, part, &known)
            })
        };
        let is_frame = || {
            let (file, folders) = parts.split_last()?;
            let folders = known(folders).filter(|_| folders.len() == self.depth())?;
            self.frame(file, &folders)
        };
        !parts.is_empty() && (known(&parts).is_some() || is_frame().is_some())
    }

    /// The number of folders above a file.
    pub(crate) fn depth(&self) -> usize {
        self.folders().len()
    }

    /// The name of the folder at a depth, if it is the same for all frames of a camera.
    pub(crate) fn fixed_folder(&self, depth: usize, camera: Option<&CameraId>) -> Option<String> {
        let known = PathFields {
            camera: camera.cloned(),
            ..PathFields::default()
        };
        self.folders().get(depth)?.text(&known)
    }

    /// Adds the fields that the name of a folder at a depth tells. `None`: it holds no frames.
    pub(crate) fn enter(&self, depth: usize, name: &str, known: &PathFields) -> Option<PathFields> {
        self.folders().get(depth)?.read(name, known)
    }

    /// Adds the fields that the name of a file tells. `None`: it is no frame.
    pub(crate) fn frame(&self, name: &str, known: &PathFields) -> Option<PathFields> {
        let (stem, end) = name.rsplit_once('.')?;
        let last = self
            .0
            .segments
            .last()
            .filter(|_| EXTENSIONS.contains(&end))?;
        last.read(stem, known)
    }

    fn folders(&self) -> &[Segment] {
        let segments = &self.0.segments;
        &segments[..segments.len().saturating_sub(1)]
    }
}

impl PathFields {
    /// Whether the path has a day in it.
    pub(crate) fn is_dated(&self) -> bool {
        self.time.date.is_some()
    }
}

impl Segment {
    /// `None`: a field is missing.
    fn text(&self, known: &PathFields) -> Option<String> {
        self.0.iter().map(|part| part.text(known)).collect()
    }

    fn read(&self, name: &str, known: &PathFields) -> Option<PathFields> {
        let mut known = known.clone();
        let mut rest = name;
        for part in &self.0 {
            rest = part.read(rest, &mut known)?;
        }
        rest.is_empty().then_some(known)
    }
}

impl TemplatePart {
    fn text(&self, known: &PathFields) -> Option<String> {
        let two = |value: Option<u8>| value.map(|value| format!("{value:02}"));
        match self {
            TemplatePart::Text(text) => Some(text.clone()),
            TemplatePart::Camera => known.camera.as_ref().map(ToString::to_string),
            TemplatePart::Date => known.time.date.map(PathTime::date_text),
            TemplatePart::Hour => two(known.time.hour),
            TemplatePart::Minute => two(known.time.minute),
            TemplatePart::Number => known.number.map(|number| format!("{:0DIGITS$}", number.0)),
        }
    }

    /// Reads this part from the beginning of a name, and returns the rest.
    fn read<'n>(&self, name: &'n str, known: &mut PathFields) -> Option<&'n str> {
        if let Some(text) = self.text(known) {
            return name.strip_prefix(text.as_str());
        }
        let take = |len: usize| name.split_at_checked(len);
        match self {
            TemplatePart::Text(_) => None,
            // A folder alone.
            TemplatePart::Camera => {
                known.camera = Some(name.parse().ok()?);
                Some("")
            }
            TemplatePart::Date => {
                let (text, rest) = match name.strip_prefix(UNDATED) {
                    Some(rest) => (UNDATED, rest),
                    None => take("2026-01-31".len())?,
                };
                known.time.date = Some(date(text)?);
                Some(rest)
            }
            TemplatePart::Hour => {
                let (text, rest) = take(2)?;
                known.time.hour = Some(two_digits(text, 24)?);
                Some(rest)
            }
            TemplatePart::Minute => {
                let (text, rest) = take(2)?;
                known.time.minute = Some(two_digits(text, 60)?);
                Some(rest)
            }
            TemplatePart::Number => {
                let digits = name.bytes().take_while(u8::is_ascii_digit).count();
                let (text, rest) = take(digits)?;
                let number = FrameNumber(text.parse().ok()?);
                known.number = Some(number);
                (format!("{:0DIGITS$}", number.0) == text).then_some(rest)
            }
        }
    }
}

fn date(text: &str) -> Option<u32> {
    if text == UNDATED {
        return Some(0);
    }
    let date: jiff::civil::Date = text.parse().ok()?;
    let number = date.year() as u32 * 10_000 + date.month() as u32 * 100 + date.day() as u32;
    (PathTime::date_text(number) == text).then_some(number)
}

fn two_digits(text: &str, end: u8) -> Option<u8> {
    let value = text.parse().ok().filter(|value| *value < end)?;
    (format!("{value:02}") == text).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn template(text: &str) -> NameTemplate {
        text.parse().unwrap()
    }

    /// The fields of a path, read folder by folder.
    fn read(names: &NameTemplate, path: &str) -> Option<PathFields> {
        let parts: Vec<&str> = path.split('/').collect();
        let (file, folders) = parts.split_last()?;
        if folders.len() != names.depth() {
            return None;
        }
        let known = folders
            .iter()
            .enumerate()
            .try_fold(PathFields::default(), |known, (depth, name)| {
                names.enter(depth, name, &known)
            })?;
        names.frame(file, &known)
    }

    #[test]
    fn the_time_of_a_frame_names_its_folders() {
        let camera: CameraId = "cam01".parse().unwrap();
        let at =
            |text: &str, micros| template(text).path(&camera, FrameNumber(7), Timestamp(micros));
        let hours = "{camera}/{date}/{hour}/frame_{number}";
        assert_eq!(at(DEFAULT, 0), "cam01/frame_000007");
        assert_eq!(
            at(hours, 1_700_000_000_000_000),
            "cam01/2023-11-14/22/frame_000007"
        );
        assert_eq!(
            at("{date}-{hour}{minute}/{number}_x", 1_700_000_000_000_000),
            "2023-11-14-2213/000007_x"
        );
        for never in [0, -1, i64::MIN, i64::MAX, 4_102_444_800_000_000] {
            assert_eq!(at(hours, never), "cam01/undated/00/frame_000007");
        }
        assert_eq!(template(DEFAULT), NameTemplate::default());
    }

    #[test]
    fn a_bad_template_is_refused_with_all_fields() {
        for (text, word) in [
            ("", "slash"),
            ("{camera}/frame", "{number}"),
            ("{camera}/{number}/x", "{number}"),
            ("{camera}/{number}{hour}", "followed"),
            ("{camera}/{number}1", "followed"),
            ("{camera}_{number}", "alone"),
            ("x{camera}/{number}", "alone"),
            ("/{camera}/{number}", "slash"),
            ("{camera}//{number}", "slash"),
            ("../{camera}/{number}", "begin"),
            (".mattebox/{number}", "begin"),
            ("{camera}/%06d_{number}", "'%'"),
            ("{camera}/{day}/{number}", "{day}"),
            ("{camera}/{number", "no end"),
            ("{camera}/{hour}/{number}", "{date}"),
            ("{camera}/{date}/{minute}/{number}", "{hour}"),
            ("{camera}/{number}.png", "--format"),
        ] {
            let error = text.parse::<NameTemplate>().expect_err(text).to_string();
            assert!(
                error.contains(word) && error.contains("{minute} (UTC)"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn only_names_that_a_frame_can_get_are_frames() {
        for (text, path, is_frame) in [
            (DEFAULT, "cam01/frame_000001.png", true),
            (DEFAULT, "cam01/frame_1000001.webp", true),
            (DEFAULT, "cam01/frame_1.png", false),
            (DEFAULT, "cam01/frame_0000001.png", false),
            (DEFAULT, "cam01/frame_000001.png.bak", false),
            (DEFAULT, "cam01/frame_000001.txt", false),
            (DEFAULT, "cam01/frame_000001.unfinished.png", false),
            (DEFAULT, ".state/frame_000001.png", false),
            ("{camera}/{date}/{number}", "a/2026-02-28/000001.png", true),
            ("{camera}/{date}/{number}", "a/2026-02-30/000001.png", false),
            ("{camera}/{date}/{number}", "a/undated/000001.png", true),
            ("{date}/{hour}/{number}", "2026-02-28/24/000001.png", false),
            (
                "{date}/{date}_{number}",
                "2026-02-28/2026-02-27_000001.png",
                false,
            ),
            ("{camera}/{camera}_{number}", "a/b_000001.png", false),
            ("{camera}/{camera}_{number}", "a/a_000001.png", true),
        ] {
            assert_eq!(
                read(&template(text), path).is_some(),
                is_frame,
                "{text} {path}"
            );
        }
    }

    /// Any template that can be used, with words and fields in any order.
    fn any_template() -> impl Strategy<Value = NameTemplate> {
        let part = prop::sample::select(vec![
            "{camera}", "{date}", "{hour}", "{minute}", "{number}", "/", "/", "_", "a", "1", "-",
            "x=",
        ]);
        let texts = prop::collection::vec(part, 1..9).prop_map(|parts| parts.concat());
        let texts = prop_oneof![
            texts.clone(),
            texts
                .clone()
                .prop_map(|text| format!("{{camera}}/{text}{{number}}")),
            texts.prop_map(|text| format!("{{camera}}/{{date}}/{{hour}}/{text}_{{number}}")),
        ];
        texts.prop_filter_map("no template", |text| text.parse().ok())
    }

    proptest! {
        #[test]
        fn a_path_tells_the_frame_that_it_was_made_for(
            names in any_template(),
            camera in "[a-z0-9_][a-z0-9_.-]{0,12}",
            number in prop_oneof![0..2_000_000u64, any::<u64>()],
            micros in prop_oneof![900_000_000_000_000..4_200_000_000_000_000i64, any::<i64>()],
        ) {
            let camera: CameraId = camera.parse().unwrap();
            let path = names.path(&camera, FrameNumber(number), Timestamp(micros));
            let known = read(&names, &format!("{path}.png")).expect("a frame");
            prop_assert_eq!(known.number, Some(FrameNumber(number)));
            prop_assert_eq!(known.camera, names.has_camera().then_some(camera));
        }
    }
}
