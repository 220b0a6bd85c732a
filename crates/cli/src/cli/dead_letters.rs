//! `mattebox dead-letters`.
use super::{CommandSettings, start_log};
use crate::exit::Exit;
use crate::{
    config::{ConfigError, DeadLettersLayer, inputs::InputsBuilder, outputs::would_replace},
    output,
};
use anyhow::Context;
use clap::{ArgMatches, Args, Subcommand};
use comfy_table::{Table, presets};
use indicatif::MultiProgress;
use mattebox_core::frame::CameraId;
use mattebox_kafka::{
    KafkaError, dead_letter_record,
    dead_letters::{DeadLetterPosition, DeadLetters, ReadDeadLetter, RetryPlan},
};
use mattebox_store::pending::write_file;
use rdkafka::{Message, message::Headers};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The longest part of a value or message that is shown, in characters.
const SHORT: usize = 80;
/// The part of a value that is read to show it, in bytes.
const PREVIEW: usize = 400;

/// Arguments of `mattebox dead-letters`.
#[derive(Debug, Args)]
pub(super) struct DeadLettersArgs {
    #[command(subcommand)]
    what: DeadLettersAction,
}

/// The action on dead letters.
#[derive(Debug, Subcommand)]
enum DeadLettersAction {
    /// List dead letters, newest last, with sums by reason
    List(ListArgs),
    /// Show one dead letter: its headers, its sizes and its value
    Show(ShowArgs),
    /// Send dead letters to their topic again, unchanged
    ///
    /// The command counts a record after the broker has confirmed it. It commits its position as
    /// the offsets of the consumer group mattebox-redrive-TOPIC, so the next redrive sends only
    /// newer ones; the broker keeps these offsets for offsets.retention.minutes (7 days by
    /// default). With --code or --camera it commits nothing. It names dead letters whose value was
    /// left out, or that are from another topic, and does not send them.
    Redrive(RedriveArgs),
}

/// Selects dead letters.
#[derive(Debug, Args)]
struct DeadLetterFilter {
    /// Only dead letters with this reason code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only dead letters of this camera (their key)
    #[arg(long, value_name = "ID")]
    camera: Option<String>,
}

impl DeadLetterFilter {
    fn takes(&self, found: &ReadDeadLetter) -> bool {
        self.code
            .as_ref()
            .is_none_or(|code| found.header(dead_letter_record::CODE) == *code)
            && self
                .camera
                .as_ref()
                .is_none_or(|camera| found.key() == *camera)
    }
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    settings: CommandSettings<DeadLettersLayer>,
    #[command(flatten)]
    choice: DeadLetterFilter,
    /// Only the newest N
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    settings: CommandSettings<DeadLettersLayer>,
    /// Its position, as in the list
    #[arg(value_name = "PARTITION:OFFSET")]
    place: DeadLetterPosition,
    /// Write its value to this file, or, with -, only its value to standard output
    #[arg(long, value_name = "FILE")]
    value: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RedriveArgs {
    #[command(flatten)]
    settings: CommandSettings<DeadLettersLayer>,
    #[command(flatten)]
    choice: DeadLetterFilter,
    /// Start in this partition at this offset, even if these dead letters were sent before
    #[arg(long, value_name = "PARTITION:OFFSET")]
    from: Option<DeadLetterPosition>,
    /// Send at most N
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only print what would be sent
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &DeadLettersArgs, matches: &ArgMatches) -> anyhow::Result<Exit> {
    let Some((_, matches)) = matches.subcommand() else {
        return Ok(Exit::Usage);
    };
    let settings = match &args.what {
        DeadLettersAction::List(args) => &args.settings,
        DeadLettersAction::Show(args) => &args.settings,
        DeadLettersAction::Redrive(args) => &args.settings,
    };
    let resolved = settings.resolve(matches)?;
    start_log(&resolved, &MultiProgress::new())?;
    let settings = crate::config::dead_letters::settings(&resolved)?;
    if let DeadLettersAction::Show(ShowArgs {
        value: Some(path), ..
    }) = &args.what
    {
        let mut reads = InputsBuilder::of(&resolved);
        reads.kafka(&resolved.layer.kafka);
        if let Some(input) = reads.done().at(path) {
            return Err(ConfigError::Conflict(format!(
                "--value {}: {}",
                path.display(),
                would_replace(input)
            ))
            .into());
        }
    }
    let done = DeadLetters::open(settings)
        .map_err(Into::into)
        .and_then(|dead| match &args.what {
            DeadLettersAction::List(args) => list(&dead, args),
            DeadLettersAction::Show(args) => show(&dead, args),
            DeadLettersAction::Redrive(args) => redrive(&dead, args),
        });
    done.or_else(|error| match error.downcast::<KafkaError>() {
        Ok(error) => {
            output::fail(&error);
            Ok(Exit::from(&error))
        }
        Err(error) => Err(error),
    })
}

fn list(dead: &DeadLetters, args: &ListArgs) -> anyhow::Result<Exit> {
    let (mut rows, mut sums) = (Vec::new(), BTreeMap::<String, u64>::new());
    dead.read(|found| {
        if args.choice.takes(&found) {
            let row = DeadLetterRow::new(&found);
            *sums.entry(row.code.clone()).or_default() += 1;
            rows.push(row);
        }
    })?;
    rows.sort_by_key(|row| (row.time_ms, row.place));
    rows.drain(..rows.len() - args.limit.unwrap_or(rows.len()).min(rows.len()));
    if args.json {
        let rows: Vec<_> = rows.iter().map(DeadLetterRow::json).collect();
        output::print(serde_json::to_string_pretty(&rows)?)?;
    } else if sums.is_empty() {
        output::print(format_args!(
            "there are no dead letters in {}",
            dead.topic()
        ))?;
    } else {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_header(["letter", "time", "camera", "code", "was at", "bytes", "why"]);
        for row in &rows {
            table.add_row(row.cells());
        }
        let sums: Vec<_> = sums
            .iter()
            .map(|(code, count)| format!("{count} {}", plain(code, SHORT)))
            .collect();
        output::print(format_args!("{table}\n\n{}", sums.join(", ")))?;
    }
    Ok(Exit::Done)
}

/// A row of the list.
struct DeadLetterRow {
    place: DeadLetterPosition,
    time_ms: Option<i64>,
    key: String,
    code: String,
    message: String,
    /// `None` without a value.
    bytes: Option<usize>,
    topic: String,
    partition: Option<i32>,
    offset: Option<i64>,
}

impl DeadLetterRow {
    fn new(found: &ReadDeadLetter) -> Self {
        DeadLetterRow {
            place: found.place(),
            time_ms: found.record.timestamp().to_millis(),
            key: found.key(),
            code: found.header(dead_letter_record::CODE),
            message: found.header(dead_letter_record::MESSAGE),
            bytes: found.record.payload().map(<[u8]>::len),
            topic: found.header(dead_letter_record::TOPIC),
            partition: found.header(dead_letter_record::PARTITION).parse().ok(),
            offset: found.header(dead_letter_record::OFFSET).parse().ok(),
        }
    }

    fn camera(&self) -> Option<CameraId> {
        self.key.parse().ok()
    }

    fn json(&self) -> Value {
        json!({
            "letter": self.place.to_string(),
            "timestamp_ms": self.time_ms,
            "key": self.key,
            "camera": self.camera().map(|camera| camera.to_string()),
            "code": self.code,
            "message": self.message,
            "bytes": self.bytes,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
        })
    }

    fn cells(&self) -> [String; 7] {
        let number = |n: Option<i64>| n.map_or("?".to_owned(), |n| n.to_string());
        [
            self.place.to_string(),
            self.time_ms.map_or("-".to_owned(), time),
            self.camera()
                .map_or("-".to_owned(), |camera| camera.to_string()),
            plain(&self.code, 30),
            format!(
                "{}@{}",
                number(self.partition.map(i64::from)),
                number(self.offset)
            ),
            self.bytes.map_or("null".to_owned(), |n| n.to_string()),
            plain(&self.message, SHORT),
        ]
    }
}

/// A time of Kafka, to the second.
fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or("-".to_owned(), |time| {
        time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    })
}

/// Text of a record for a terminal, at most `most` characters. Control characters are escaped, so
/// that a record cannot control the terminal.
fn plain(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == most {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
    }
    shown
}

fn show(dead: &DeadLetters, args: &ShowArgs) -> anyhow::Result<Exit> {
    let found = dead
        .letter(args.place)?
        .with_context(|| format!("there is no letter {} in {}", args.place, dead.topic()))?;
    if let Some(path) = &args.value {
        let value = found
            .record
            .payload()
            .with_context(|| format!("letter {} has no value", args.place))?;
        if path == Path::new("-") {
            output::print_bytes(value)?;
            return Ok(Exit::Done);
        }
        write_file(path, value)?;
    }
    let text =
        |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let key = found.record.key();
    let value = found.record.payload();
    let headers: Vec<_> = found
        .record
        .headers()
        .into_iter()
        .flat_map(Headers::iter)
        .map(|h| (h.key, text(h.value)))
        .collect();
    let beginning =
        value.map(|value| String::from_utf8_lossy(&value[..value.len().min(PREVIEW)]).into_owned());
    if args.json {
        let mut json = DeadLetterRow::new(&found).json();
        json["headers"] = headers
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        json["value_begins"] = beginning.into();
        json["obstacle"] = found.obstacle(dead.source()).into();
        output::print(serde_json::to_string_pretty(&json)?)?;
        return Ok(Exit::Done);
    }
    let shown =
        |text: Option<&String>| text.map_or("(none)".to_owned(), |text| plain(text, usize::MAX));
    let mut lines = vec![
        format!("letter: {} in {}", found.place(), dead.topic()),
        format!(
            "time: {}",
            found
                .record
                .timestamp()
                .to_millis()
                .map_or("-".to_owned(), time)
        ),
        format!("key: {}", shown(text(key).as_ref())),
    ];
    lines.extend(
        headers
            .iter()
            .map(|(name, value)| format!("{}: {}", plain(name, SHORT), shown(value.as_ref()))),
    );
    lines.push(match (value, beginning) {
        (Some(value), Some(beginning)) => format!(
            "value: {} bytes, beginning with {}",
            value.len(),
            plain(&beginning, SHORT)
        ),
        _ => "value: none".to_owned(),
    });
    if let Some(why) = found.obstacle(dead.source()) {
        lines.push(format!(
            "It cannot be sent again: {}.",
            plain(&why, usize::MAX)
        ));
    }
    output::print(lines.join("\n"))?;
    Ok(Exit::Done)
}

fn redrive(dead: &DeadLetters, args: &RedriveArgs) -> anyhow::Result<Exit> {
    let takes = |found: &ReadDeadLetter| args.choice.takes(found);
    let all = args.choice.code.is_none() && args.choice.camera.is_none();
    let wanted: Option<&dyn Fn(&ReadDeadLetter) -> bool> = if all { None } else { Some(&takes) };
    let done = dead.redrive(&RetryPlan {
        wanted,
        from: args.from,
        limit: args.limit,
        dry_run: args.dry_run,
    })?;
    let mut lines = vec![format!(
        "{} {}",
        done.sent,
        if args.dry_run {
            "would be sent again"
        } else {
            "sent again"
        }
    )];
    lines.extend(
        done.withheld.iter().map(|(place, why)| {
            format!("letter {place} cannot be sent: {}", plain(why, usize::MAX))
        }),
    );
    output::print(lines.join("\n"))?;
    done.failure
        .map_or(Ok(Exit::Done), |failure| Err(failure.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_does_not_control_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jé\n", 99), "a\\u{1b}[2Jé\\n");
        assert_eq!(plain("abcdef", 3), "abc…");
        assert_eq!(plain("abc", 3), "abc");
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20Z");
    }
}
