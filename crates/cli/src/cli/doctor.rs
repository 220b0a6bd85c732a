//! `mattebox doctor`: checks this machine, says how to install what is missing, and suggests
//! commands.
use super::CommandSettings;
use crate::exit::Exit;
use crate::{
    config::{
        ConfigError, DeadLettersLayer, SettingOrigin, dead_letters, found::SettingsFile,
        resolve::check,
    },
    output,
};
use bytesize::ByteSize;
use clap::{ArgMatches, Args};
use mattebox_core::{
    frame::Timestamp,
    matte::{MatteMode, Segmenter},
};
use mattebox_engine::{
    ModelChoice, ModelRegistry,
    address::{MASK, harmless},
    stop::Stop,
};
use mattebox_kafka::client;
use mattebox_media::ffmpeg::Ffmpeg;
use mattebox_net::SimdLevel;
use serde::Serialize;
use std::{
    fmt, fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox doctor
      check everything that a run needs
  mattebox doctor --kafka broker:9092
      check the broker, too
  mattebox doctor --out /srv/pictures
      check the space for that folder, too";

/// Ports that the examples use: the live page, and the metrics of `run`, `camera` and `worker`.
const PAGE_PORT: u16 = 9480;
const METRICS_PORTS: [u16; 3] = [9463, 9464, 9465];
/// With less disk space or memory than this a run soon fails.
const LITTLE_SPACE: u64 = 2_000_000_000;
const NO_SPACE: u64 = 50_000_000;
const LITTLE_MEMORY: u64 = 300_000_000;
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `mattebox doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The ffmpeg program; ffprobe is expected beside it
    #[arg(long, env = "MATTEBOX_FFMPEG", default_value = "ffmpeg")]
    ffmpeg: PathBuf,
    /// The output folder
    #[arg(short, long, env = "OUTPUT_DIR", default_value = "output")]
    out: PathBuf,
    #[command(flatten)]
    settings: CommandSettings<DeadLettersLayer>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    /// It works, but an optional part is missing.
    Note,
    Missing,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_do: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Missing => "MISSING",
        };
        write!(f, "{mark:<8} {:<12} {}", self.what, self.found)?;
        if let Some(to_do) = &self.to_do {
            write!(f, "\n{:22}{to_do}", "")?;
        }
        Ok(())
    }
}

pub(super) fn run(args: &DoctorArgs, matches: &ArgMatches) -> anyhow::Result<Exit> {
    let mut findings = vec![
        processor(),
        memory(),
        network(),
        video_tools(args),
        settings(args),
        folder(args),
    ];
    findings.extend(space(&args.out));
    findings.extend([page_port(), metrics_ports(), devices()]);
    findings.extend(kafka(args, matches));
    let missing = findings.iter().any(|f| f.verdict == Verdict::Missing);
    if args.json {
        output::print(serde_json::to_string_pretty(&findings)?)?;
    } else {
        let mut lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        lines.push(next_steps(&findings, missing));
        output::print(lines.join("\n"))?;
    }
    Ok(if missing { Exit::Failed } else { Exit::Done })
}

/// Commands to try next, with the devices and ports of this machine.
fn next_steps(findings: &[Finding], missing: bool) -> String {
    let verdict = |what: &str| findings.iter().find(|f| f.what == what).map(|f| f.verdict);
    let mut steps: Vec<(String, &str)> = Vec::new();
    if missing {
        let again = "again, once the MISSING parts are there";
        return format!("\nNext:\n  {:<52}  {again}", typed());
    }
    let view = match verdict("page") {
        Some(Verdict::Good) => "--view".to_owned(),
        _ => format!("--view {}", free_port()),
    };
    match webcams()
        .first()
        .and_then(|path| path.strip_prefix("/dev/video"))
    {
        Some(number) => steps.push((
            format!("mattebox run {number} -b blur --out none {view}"),
            "the webcam, live in your browser",
        )),
        None => steps.push((
            format!("mattebox run clip.mp4 --loop --realtime --out none {view}"),
            "a video, live in your browser",
        )),
    }
    steps.push((
        "mattebox run clip.mp4".to_owned(),
        "a video: pictures in output/cam01/",
    ));
    steps.push((
        "mattebox run photos/ -b transparent".to_owned(),
        "a folder of pictures, cut out",
    ));
    if verdict("kafka") == Some(Verdict::Good) {
        steps.push(("mattebox worker".to_owned(), "the frames of the topic"));
    }
    steps.push(("mattebox run -h".to_owned(), "the common flags"));
    let width = steps.iter().map(|(step, _)| step.len()).max().unwrap_or(0);
    let lines: Vec<_> = steps
        .iter()
        .map(|(step, what)| format!("  {step:<width$}  {what}"))
        .collect();
    format!("\nNext:\n{}", lines.join("\n"))
}

/// The command as typed, with its flags, to run the same checks again.
fn typed() -> String {
    let mut words = vec!["mattebox".to_owned()];
    let mut is_secret = false;
    for word in std::env::args().skip(1) {
        let flag = word.split('=').next().unwrap_or_default();
        let names_secret = flag.starts_with("--") && flag.ends_with("password");
        words.push(match (is_secret, names_secret && flag.len() < word.len()) {
            (true, _) => MASK.to_owned(),
            (_, true) => format!("{flag}={MASK}"),
            _ => harmless::source(&word),
        });
        is_secret = names_secret && flag.len() == word.len();
    }
    words.join(" ")
}

fn finding(
    what: &'static str,
    verdict: Verdict,
    found: impl Into<String>,
    to_do: Option<String>,
) -> Finding {
    Finding {
        what,
        verdict,
        found: found.into(),
        to_do,
    }
}

fn processor() -> Finding {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let levels = SimdLevel::available();
    let list = levels
        .iter()
        .rev()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let fast = SimdLevel::best() >= SimdLevel::Avx2;
    let (verdict, to_do) = if fast {
        (Verdict::Good, None)
    } else {
        (
            Verdict::Note,
            Some("without AVX2 or NEON results are the same, but several times slower".to_owned()),
        )
    };
    finding(
        "processor",
        verdict,
        format!("{cores} cores; vector instructions: {list}"),
        to_do,
    )
}

/// Runs the built-in network once, which proves more than its presence.
fn network() -> Finding {
    let run = || -> anyhow::Result<String> {
        let model = ModelRegistry::default().get(&ModelChoice::General)?;
        let simd = SimdLevel::best();
        let network = model.network(simd)?;
        let (width, height) = (network.width(), network.height());
        let mut segmenter = Segmenter::with_network(network, MatteMode::Soft, simd)?;
        segmenter.segment(
            &image::RgbImage::new(64, 64),
            Timestamp(0),
            &mut Default::default(),
        );
        Ok(format!(
            "{width}x{height} built in, sha256 {}…",
            &model.sha256()[..12]
        ))
    };
    match run() {
        Ok(found) => finding("network", Verdict::Good, found, None),
        Err(e) => finding(
            "network",
            Verdict::Missing,
            e.to_string(),
            Some("build again: make model && make".to_owned()),
        ),
    }
}

fn video_tools(args: &DoctorArgs) -> Finding {
    match Ffmpeg::find(&args.ffmpeg) {
        Ok(found) => finding("ffmpeg", Verdict::Good, found.version(), None),
        Err(e) => finding("ffmpeg", Verdict::Missing, e.to_string(), None),
    }
}

/// The settings file in force.
fn settings(args: &DoctorArgs) -> Finding {
    let Some(file) = SettingsFile::choose(args.settings.config.as_deref()) else {
        return finding("settings", Verdict::Good, "no settings file", None);
    };
    match file.read().and_then(|text| check(&text, &file)) {
        Ok(()) => finding("settings", Verdict::Good, file.to_string(), None),
        Err(e) => finding("settings", Verdict::Missing, e.to_string(), None),
    }
}

/// The nearest folder that exists; a run creates the rest.
fn nearest(out: &Path) -> PathBuf {
    let absolute = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    let place = absolute.ancestors().find(|path| path.exists());
    place.unwrap_or(&absolute).to_owned()
}

fn folder(args: &DoctorArgs) -> Finding {
    let place = nearest(&args.out);
    match tempfile::Builder::new()
        .prefix(".mattebox-doctor")
        .tempfile_in(&place)
    {
        Ok(_) => finding(
            "output",
            Verdict::Good,
            format!(
                "{} can be written",
                harmless::output(&args.out.to_string_lossy())
            ),
            None,
        ),
        Err(e) => {
            let to_do = "choose another folder with --out, or change its owner".to_owned();
            finding(
                "output",
                Verdict::Missing,
                format!("{}: {e}", harmless::output(&place.to_string_lossy())),
                Some(to_do),
            )
        }
    }
}

/// How much fits on the disk of the output.
#[cfg(unix)]
fn space(out: &Path) -> Option<Finding> {
    let disk = rustix::fs::statvfs(nearest(out)).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} free", ByteSize::b(free).display().si());
    if free >= LITTLE_SPACE {
        return Some(finding("disk", Verdict::Good, found, None));
    }
    let (verdict, to_do) = match free < NO_SPACE {
        true => (
            Verdict::Missing,
            "make room, or choose another disk with --out",
        ),
        false => (
            Verdict::Note,
            "a minute of 720p is about 500 MB as PNG: write JPEG (--format jpg) or a video \
             (--out call.mp4), or remove old files (--keep 1h)",
        ),
    };
    Some(finding("disk", verdict, found, Some(to_do.to_owned())))
}

#[cfg(not(unix))]
fn space(_: &Path) -> Option<Finding> {
    None
}

/// The free memory of the machine, or of the control group if that is less.
fn memory() -> Finding {
    let read = |path: &str| fs::read_to_string(path).ok();
    let available = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    });
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let of_group = number("/sys/fs/cgroup/memory.max")
        .map(|max| max.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or_default()));
    let Some(free) = available.into_iter().chain(of_group).min() else {
        return finding("memory", Verdict::Note, "not known on this system", None);
    };
    let found = format!("{} available", ByteSize::b(free).display().si());
    match free < LITTLE_MEMORY {
        true => finding(
            "memory",
            Verdict::Note,
            found,
            Some("one 720p camera takes about 60 MB, eight of 640x360 about 80 MB".to_owned()),
        ),
        false => finding("memory", Verdict::Good, found, None),
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The next free port after that of the page.
fn free_port() -> u16 {
    let mut others = PAGE_PORT + 1..PAGE_PORT + 100;
    others.find(|port| is_free(*port)).unwrap_or(PAGE_PORT)
}

fn page_port() -> Finding {
    match is_free(PAGE_PORT) {
        true => finding(
            "page",
            Verdict::Good,
            format!("port {PAGE_PORT} is free for --view"),
            None,
        ),
        false => finding(
            "page",
            Verdict::Note,
            format!("port {PAGE_PORT} is in use: is another mattebox running?"),
            Some(format!("use another port: --view {}", free_port())),
        ),
    }
}

fn metrics_ports() -> Finding {
    let used: Vec<_> = METRICS_PORTS
        .iter()
        .filter(|port| !is_free(**port))
        .map(ToString::to_string)
        .collect();
    match used.as_slice() {
        [] => finding(
            "metrics",
            Verdict::Good,
            "ports 9463 to 9465 are free for --metrics",
            None,
        ),
        used => finding(
            "metrics",
            Verdict::Note,
            format!("in use: port {}", used.join(", ")),
            Some("choose another port with --metrics".to_owned()),
        ),
    }
}

/// Whether the broker answers, if a flag, a variable or the settings file names one.
fn kafka(args: &DoctorArgs, matches: &ArgMatches) -> Option<Finding> {
    let missing = |problem: String, to_do: Option<String>| {
        Some(finding("kafka", Verdict::Missing, problem, to_do))
    };
    let resolved = match args.settings.resolve(matches) {
        Ok(resolved) if resolved.origins.of("kafka") == SettingOrigin::Default => return None,
        Ok(resolved) => resolved,
        // The check of the settings file reports it.
        Err(ConfigError::Parse { .. } | ConfigError::Read { .. }) => return None,
        Err(e) => return missing(e.to_string(), None),
    };
    let settings = match dead_letters::settings(&resolved) {
        Ok(settings) => settings,
        Err(e) => return missing(e.to_string(), None),
    };
    let timeout = match resolved.origins.of("connect_timeout") {
        SettingOrigin::Default => BROKER_TIMEOUT,
        _ => settings.connect_timeout,
    };
    let broker = settings.broker;
    let topics = client::connect(&broker, timeout, &Stop::new()).map(|admin| {
        client::metadata(&admin, None, timeout).map(|all| {
            let has = all
                .topics()
                .iter()
                .any(|topic| topic.name() == broker.topic);
            (all.brokers().len(), has)
        })
    });
    let at = harmless::hosts(&broker.bootstrap);
    match topics {
        Ok(Ok((brokers, true))) => Some(finding(
            "kafka",
            Verdict::Good,
            format!("{at}: {brokers} brokers, topic {} is there", broker.topic),
            None,
        )),
        Ok(Ok((brokers, false))) => Some(finding(
            "kafka",
            Verdict::Note,
            format!("{at}: {brokers} brokers, no topic {}", broker.topic),
            Some("`mattebox camera` makes it, or name another with --topic".to_owned()),
        )),
        Ok(Err(e)) => missing(format!("{at}: {e}"), None),
        Err(e) => missing(e.to_string(), None),
    }
}

/// The cameras of this machine: /dev/video0 and so on.
pub(super) fn webcams() -> Vec<String> {
    let mut found: Vec<_> = fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path().display().to_string())
        .filter(|path| {
            path.strip_prefix("/dev/video")
                .is_some_and(|number| number.parse::<u32>().is_ok())
        })
        .collect();
    found.sort();
    found
}

fn devices() -> Finding {
    match webcams() {
        found if found.is_empty() => finding(
            "cameras",
            Verdict::Note,
            "no camera device here",
            Some("files and network streams need none".to_owned()),
        ),
        found => finding("cameras", Verdict::Good, found.join(", "), None),
    }
}
