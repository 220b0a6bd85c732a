//! The manual pages: the text of `--help`, with the usual sections of manual pages.
use super::help::{self, HelpLength};
use crate::exit::Exit;
use clap::{Arg, Command};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};
use std::{fs, io, path::Path};

/// Variables that hold for every command.
const EVERYWHERE: &[(&str, &str)] = &[
    (
        "NO_COLOR",
        "If it is set and not empty, nothing is written in colour.",
    ),
    (
        "TERM",
        "Where it is dumb, progress is written in lines instead of bars.",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "mattebox.toml",
        "Settings, if the file is in the working directory. Keys are the names of flags with _ for \
         -; a section such as [camera] is for one command. Some settings do not count in a file \
         that was found and not named by --config.",
    ),
    (
        "output/",
        "Where pictures go by default: output/cam01/frame_000000.png and so on.",
    ),
];

/// The page of `mattebox`.
pub(super) fn main_page() -> io::Result<Vec<u8>> {
    let mut all = all();
    page(&all.remove(0))
}

/// Writes every page into a folder: mattebox.1, mattebox-run.1 and so on.
pub(super) fn write_all(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for command in all() {
        fs::write(dir.join(format!("{}.1", name(&command))), page(&command)?)?;
    }
    Ok(())
}

/// Every command that has a page, `mattebox` first.
fn all() -> Vec<Command> {
    fn add(command: &Command, all: &mut Vec<Command>) {
        all.push(command.clone());
        command.get_subcommands().for_each(|sub| add(sub, all));
    }
    let mut root = help::command(HelpLength::Long).disable_help_subcommand(true);
    root.build();
    let mut all = Vec::new();
    add(&root, &mut all);
    all
}

/// `mattebox-dead-letters-list`.
fn name(command: &Command) -> String {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned()
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let is_root = command.get_name() == "mattebox";
    let man = Man::new(command.clone())
        .source(concat!("mattebox ", env!("CARGO_PKG_VERSION")))
        .manual("mattebox");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    if is_root {
        let paragraphs = help::START
            .split("Start here:\n")
            .next()
            .unwrap_or_default();
        section("DESCRIPTION", &mut page, |roff| {
            roff.text([roman(paragraphs.trim())]);
        })?;
    } else {
        man.render_description_section(&mut page)?;
    }
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let examples = match is_root {
        true => help::START.to_owned(),
        false => command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default(),
    };
    let (examples, notes) = examples_and_notes(&examples);
    if !examples.is_empty() {
        section("EXAMPLES", &mut page, |roff| {
            roff.control("nf", []);
            for line in &examples {
                roff.text([roman(*line)]);
            }
            roff.control("fi", []);
        })?;
    }
    if !notes.is_empty() && !is_root {
        section("NOTES", &mut page, |roff| {
            for note in &notes {
                roff.control("PP", []);
                roff.text([roman(*note)]);
            }
        })?;
    }
    let variables = command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_env()?.to_str()?.to_owned(), variable(arg))));
    let everywhere = EVERYWHERE
        .iter()
        .map(|(name, what)| ((*name).to_owned(), (*what).to_owned()));
    section("ENVIRONMENT", &mut page, |roff| {
        if is_root {
            roff.text([roman(
                "Every setting has a variable; the pages of the commands list them.",
            )]);
        }
        variables
            .chain(everywhere)
            .for_each(|(name, what)| tagged(roff, &name, &what));
    })?;
    section("FILES", &mut page, |roff| {
        FILES
            .iter()
            .for_each(|(name, what)| tagged(roff, name, what));
    })?;
    section("EXIT STATUS", &mut page, |roff| {
        for exit in Exit::ALL {
            let text = format!("{}{}", exit.meaning(), exit.details());
            tagged(roff, &exit.number().to_string(), &text);
        }
    })?;
    section("SEE ALSO", &mut page, |roff| {
        let others = match is_root {
            true => command
                .get_subcommands()
                .map(|sub| format!("mattebox-{}(1)", sub.get_name()))
                .collect::<Vec<_>>()
                .join(", "),
            false => "mattebox(1), mattebox-config(1), mattebox-doctor(1)".to_owned(),
        };
        roff.text([roman(others)]);
        roff.control("PP", []);
        roff.text([roman(help::DOCUMENTATION)]);
    })?;
    Ok(page)
}

/// The lines below "Examples:" or "Start here:", and the paragraphs around them.
fn examples_and_notes(text: &str) -> (Vec<&str>, Vec<&str>) {
    let is_heading = |line: &&str| matches!(*line, "Examples:" | "Start here:");
    let mut examples = Vec::new();
    let mut notes = Vec::new();
    for paragraph in text.split("\n\n").map(str::trim_end) {
        match paragraph.lines().next().filter(is_heading) {
            Some(_) => examples.extend(paragraph.lines().skip(1)),
            None if !paragraph.is_empty() => notes.push(paragraph),
            None => {}
        }
    }
    (examples, notes)
}

/// The description of a variable: its flag.
fn variable(arg: &Arg) -> String {
    match arg.get_long() {
        Some(long) => format!("Stands for --{long}."),
        None => format!(
            "Stands for {}.",
            arg.get_value_names()
                .and_then(|names| names.first())
                .map_or("the argument", |name| name.as_str())
        ),
    }
}

fn section(name: &str, page: &mut Vec<u8>, fill: impl FnOnce(&mut Roff)) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [name]);
    fill(&mut roff);
    roff.to_writer(page)
}

fn tagged(roff: &mut Roff, tag: &str, text: &str) {
    roff.control("TP", []);
    roff.text([bold(tag)]);
    roff.text([roman(text)]);
}
