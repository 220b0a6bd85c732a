//! `mattebox dead-letters`.
use super::{Settings, start_log};
use crate::{
    config::{LettersLayer, letters::LettersSettings},
    kafka::{
        KafkaError,
        dead_letters::{DeadLetters, Found},
        letters,
    },
};
use anyhow::Context;
use clap::{ArgMatches, Args, Subcommand};
use comfy_table::{Table, presets};
use indicatif::MultiProgress;
use rdkafka::{Message, message::Headers};
use serde_json::json;
use std::{collections::BTreeMap, io::Write, path::PathBuf, process::ExitCode};

/// Arguments of `mattebox dead-letters`.
#[derive(Debug, Args)]
pub(super) struct DeadLettersArgs {
    #[command(subcommand)]
    what: What,
}

/// What is done with them.
#[derive(Debug, Subcommand)]
enum What {
    /// List them, oldest first, with sums by reason
    List(ListArgs),
    /// Show one: its headers, and its value on demand
    Show(ShowArgs),
    /// Send them to their topic again, each as it was
    ///
    /// How far it went is recorded (consumer group mattebox-redrive-TOPIC), so that the next time only newer ones are sent. With --code or
    /// --camera nothing is recorded.
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
    fn takes(&self, found: &Found) -> bool {
        self.code.as_ref().is_none_or(|code| found.header(letters::CODE) == *code)
            && self.camera.as_ref().is_none_or(|camera| found.key() == *camera)
    }
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    settings: Settings<LettersLayer>,
    #[command(flatten)]
    choice: Choice,
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
    place: String,
    /// Write its value to this file
    #[arg(long, value_name = "FILE")]
    value: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RedriveArgs {
    #[command(flatten)]
    settings: Settings<LettersLayer>,
    #[command(flatten)]
    choice: Choice,
    /// Only say what would be sent
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &DeadLettersArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let Some((_, matches)) = matches.subcommand() else { return Ok(ExitCode::from(2)) };
    let settings = match &args.what {
        What::List(args) => &args.settings,
        What::Show(args) => &args.settings,
        What::Redrive(args) => &args.settings,
    };
    let resolved = settings.resolve(matches)?;
    start_log(&resolved.layer.say, &MultiProgress::new())?;
    let settings = LettersSettings::new(&resolved)?;
    let done = DeadLetters::open(settings).map_err(Into::into).and_then(|dead| match &args.what {
        What::List(args) => list(&dead, args),
        What::Show(args) => show(&dead, args),
        What::Redrive(args) => redrive(&dead, args),
    });
    done.or_else(|error| match error.downcast::<KafkaError>() {
        Ok(error) => {
            eprintln!("mattebox: {error}");
            Ok(ExitCode::from(error.exit_code()))
        }
        Err(error) => Err(error),
    })
}

fn list(dead: &DeadLetters, args: &ListArgs) -> anyhow::Result<ExitCode> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["letter", "key", "code", "was at", "bytes", "why"]);
    let (mut rows, mut sums) = (Vec::new(), BTreeMap::<String, u64>::new());
    dead.read(false, |found| {
        if !args.choice.takes(&found) {
            return Ok(());
        }
        let was_at = format!("{}:{}", found.header(letters::PARTITION), found.header(letters::OFFSET));
        let (code, why) = (found.header(letters::CODE), found.header(letters::MESSAGE));
        let bytes = found.record.payload().map(<[u8]>::len);
        *sums.entry(code.clone()).or_default() += 1;
        if args.json {
            rows.push(json!({
                "letter": found.place(), "key": found.key(), "code": code, "message": why, "bytes": bytes,
                "topic": found.header(letters::TOPIC), "partition": found.header(letters::PARTITION).parse::<i32>().ok(),
                "offset": found.header(letters::OFFSET).parse::<i64>().ok(), "timestamp_ms": found.record.timestamp().to_millis(),
            }));
        } else {
            let short: String = why.chars().take(80).collect();
            let bytes = bytes.map_or("null".to_owned(), |n| n.to_string());
            table.add_row([found.place(), found.key().chars().take(24).collect(), code, was_at, bytes, short]);
        }
        Ok(())
    })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else if sums.is_empty() {
        println!("there are no dead letters in {}", dead.topic());
    } else {
        let sums: Vec<_> = sums.iter().map(|(code, count)| format!("{count} {code}")).collect();
        println!("{table}\n\n{}", sums.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(dead: &DeadLetters, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let mut there = None;
    dead.read(false, |found| {
        if found.place() == args.place {
            there = Some(found);
        }
        Ok(())
    })?;
    let found = there.with_context(|| format!("there is no letter {} in {}", args.place, dead.topic()))?;
    println!("key: {}", found.record.key().map_or("(none)".into(), |key| String::from_utf8_lossy(key)));
    for header in found.record.headers().into_iter().flat_map(Headers::iter) {
        println!("{}: {}", header.key, header.value.map_or("(none)".into(), |value| String::from_utf8_lossy(value)));
    }
    match found.record.payload() {
        None => println!("value: null"),
        Some(value) => {
            let start: String = String::from_utf8_lossy(&value[..value.len().min(200)]).escape_debug().collect();
            println!("value: {} bytes, beginning with {start}", value.len());
            if let Some(path) = &args.value {
                let written = std::fs::File::create(path).and_then(|mut file| file.write_all(value));
                written.with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn redrive(dead: &DeadLetters, args: &RedriveArgs) -> anyhow::Result<ExitCode> {
    let takes = |found: &Found| args.choice.takes(found);
    let all = args.choice.code.is_none() && args.choice.camera.is_none();
    let (sent, without_value) = dead.redrive((!all).then_some(&takes), args.dry_run)?;
    println!("{sent} {}", if args.dry_run { "would be sent again" } else { "sent again" });
    if without_value > 0 {
        println!("{without_value} cannot be sent: their values were too large for {}", dead.topic());
    }
    Ok(ExitCode::SUCCESS)
}
