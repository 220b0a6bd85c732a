//! `mattebox camera`.
use super::{Settings, start_log};
use crate::{
    config::{CameraLayer, camera::CameraSettings},
    kafka::camera::Camera,
    progress, signals,
    stop::Stop,
};
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use std::{process::ExitCode, thread};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox camera 0                                            the first webcam, to topic camera_frames at localhost:9092
  mattebox camera clip.mp4 --kafka broker:9092                 a file in a loop, as if it were a camera
  mattebox camera door=rtsp://10.0.0.5/live yard=rtsp://10.0.0.6/live --fps 15
                                                               two cameras in one process, each on its own
  mattebox camera clip.mp4 --once --realtime false             fill a topic with the frames of a file, as fast as it takes them";

/// Arguments of `mattebox camera`.
#[derive(Debug, Args)]
pub(super) struct CameraArgs {
    #[command(flatten)]
    settings: Settings<CameraLayer>,
    /// Print the sums at the end as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CameraArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let resolved = args.settings.resolve(matches)?;
    let screen = MultiProgress::new();
    start_log(&resolved.layer.say, &screen)?;
    let settings = CameraSettings::new(&resolved)?;
    let (stop, abort, style) = (Stop::new(), Stop::new(), settings.progress);
    signals::listen(stop.clone(), abort.clone(), settings.shutdown_timeout)?;
    let report = Camera::new(settings, stop, abort).and_then(|camera| {
        let (watch, ended) = (camera.watch(), Stop::new());
        thread::scope(|scope| {
            scope.spawn(|| progress::show(style, &watch, &screen, &ended));
            let report = camera.run();
            ended.stop();
            report
        })
    });
    match report {
        Ok(report) => {
            if args.json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                eprintln!("{report}");
            }
            Ok(ExitCode::from(report.exit_code()))
        }
        Err(e) => {
            eprintln!("mattebox: {e}");
            Ok(ExitCode::from(e.exit_code()))
        }
    }
}
