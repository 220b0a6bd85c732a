//! `mattebox dead-letters`.
use super::{Settings, start_log};
use crate::{
    config::{ConfigError, LettersLayer, inputs::Reads, outputs::would_replace},
    output,
};
use anyhow::Context;
use clap::{ArgMatches, Args, Subcommand};
use comfy_table::{Table, presets};
use indicatif::MultiProgress;
use mattebox_core::frame::CameraId;
use mattebox_kafka::{
    KafkaError,
    dead_letters::{DeadLetterPosition, DeadLetters, FoundDeadLetter, RetryPlan},
    letters,
};
use mattebox_store::pending::write_file;
use rdkafka::{Message, message::Headers};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What is shown of a value or a message, in characters.
const SHORT: usize = 80;
/// What is looked at of a value that is shown, in bytes.
const PREVIEW: usize = 400;

/// Arguments of `mattebox dead-letters`.
#[derive(Debug, Args)]
pub(super) struct DeadLettersArgs {
    #[command(subcommand)]
    what: What,
}

/// What is done with them.
#[derive(Debug, Subcommand)]
enum What {
    /// List them, newest last, with sums by reason
    List(ListArgs),
    /// Show one: its headers, its sizes, and its value on demand
    Show(ShowArgs),
    /// Send them to their topic again, each as it was
    ///
    /// Each is confirmed by the broker before it is counted. How far it went is recorded as the offsets of consumer group
    /// mattebox-redrive-TOPIC, so that the next time only newer ones are sent; the broker forgets them after offsets.retention.minutes (7 days
    /// unless it was told otherwise). With --code or --camera nothing is recorded. Letters whose value was left out, or that are from
    /// another topic, are told and not sent.
    Redrive(RedriveArgs),
}

/// Which letters are meant.
#[derive(Debug, Args)]
struct Choice {
    /// Only those with this reason code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only those with this key: a camera's name
    #[arg(long, value_name = "ID")]
    camera: Option<String>,
}

impl Choice {
    fn takes(&self, found: &FoundDeadLetter) -> bool {
        self.code
            .as_ref()
            .is_none_or(|code| found.header(letters::CODE) == *code)
            && self
                .camera
                .as_ref()
                .is_none_or(|camera| found.key() == *camera)
    }
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    settings: Settings<LettersLayer>,
    #[command(flatten)]
    choice: Choice,
    /// Only the newest so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    settings: Settings<LettersLayer>,
    /// Where it lies, as the list tells
    #[arg(value_name = "PARTITION:OFFSET")]
    place: DeadLetterPosition,
    /// Write its value to this file, or with - to standard output and nothing else
    #[arg(long, value_name = "FILE")]
    value: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RedriveArgs {
    #[command(flatten)]
    settings: Settings<LettersLayer>,
    #[command(flatten)]
    choice: Choice,
    /// Those of this partition from this offset on, even if they were sent before
    #[arg(long, value_name = "PARTITION:OFFSET")]
    from: Option<DeadLetterPosition>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only say what would be sent
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &DeadLettersArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let Some((_, matches)) = matches.subcommand() else {
        return Ok(ExitCode::from(2));
    };
    let settings = match &args.what {
        What::List(args) => &args.settings,
        What::Show(args) => &args.settings,
        What::Redrive(args) => &args.settings,
    };
    let resolved = settings.resolve(matches)?;
    start_log(&resolved, &MultiProgress::new())?;
    let settings = crate::config::letters::settings(&resolved)?;
    if let What::Show(ShowArgs {
        value: Some(path), ..
    }) = &args.what
    {
        let mut reads = Reads::of(&resolved);
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
            What::List(args) => list(&dead, args),
            What::Show(args) => show(&dead, args),
            What::Redrive(args) => redrive(&dead, args),
        });
    done.or_else(|error| match error.downcast::<KafkaError>() {
        Ok(error) => {
            output::fail(&error);
            Ok(ExitCode::from(error.exit_code()))
        }
        Err(error) => Err(error),
    })
}

fn list(dead: &DeadLetters, args: &ListArgs) -> anyhow::Result<ExitCode> {
    let (mut rows, mut sums) = (Vec::new(), BTreeMap::<String, u64>::new());
    dead.read(|found| {
        if args.choice.takes(&found) {
            let row = Row::new(&found);
            *sums.entry(row.code.clone()).or_default() += 1;
            rows.push(row);
        }
    })?;
    rows.sort_by_key(|row| (row.time_ms, row.place));
    rows.drain(..rows.len() - args.limit.unwrap_or(rows.len()).min(rows.len()));
    if args.json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
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
    Ok(ExitCode::SUCCESS)
}

/// What the list tells of a letter.
struct Row {
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

impl Row {
    fn new(found: &FoundDeadLetter) -> Self {
        Row {
            place: found.place(),
            time_ms: found.record.timestamp().to_millis(),
            key: found.key(),
            code: found.header(letters::CODE),
            message: found.header(letters::MESSAGE),
            bytes: found.record.payload().map(<[u8]>::len),
            topic: found.header(letters::TOPIC),
            partition: found.header(letters::PARTITION).parse().ok(),
            offset: found.header(letters::OFFSET).parse().ok(),
        }
    }

    fn camera(&self) -> Option<CameraId> {
        self.key.parse().ok()
    }

    fn json(&self) -> Value {
        json!({
            "letter": self.place.to_string(), "timestamp_ms": self.time_ms, "key": self.key, "camera": self.camera().map(|c| c.to_string()),
            "code": self.code, "message": self.message, "bytes": self.bytes,
            "topic": self.topic, "partition": self.partition, "offset": self.offset,
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

/// Text of a record for a terminal: whoever sent it does not get to control the terminal. At most `most` characters.
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

fn show(dead: &DeadLetters, args: &ShowArgs) -> anyhow::Result<ExitCode> {
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
            return Ok(ExitCode::SUCCESS);
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
        let mut json = Row::new(&found).json();
        json["headers"] = headers
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        json["value_begins"] = beginning.into();
        json["obstacle"] = found.obstacle(dead.source()).into();
        output::print(serde_json::to_string_pretty(&json)?)?;
        return Ok(ExitCode::SUCCESS);
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
    Ok(ExitCode::SUCCESS)
}

fn redrive(dead: &DeadLetters, args: &RedriveArgs) -> anyhow::Result<ExitCode> {
    let takes = |found: &FoundDeadLetter| args.choice.takes(found);
    let all = args.choice.code.is_none() && args.choice.camera.is_none();
    let wanted: Option<&dyn Fn(&FoundDeadLetter) -> bool> = if all { None } else { Some(&takes) };
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
        .map_or(Ok(ExitCode::SUCCESS), |failure| Err(failure.into()))
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
