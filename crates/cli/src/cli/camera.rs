//! `mattebox camera`.
use super::{CommandSettings, EndArgs, conclude, reload, serve, start_log};
use crate::exit::Exit;
use crate::{
    config::{CameraLayer, Resolved, camera::CameraCommand},
    progress, signals,
};
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use mattebox_engine::{StartError, stop::Stop};
use mattebox_kafka::camera::Camera;
use std::{sync::Arc, thread};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox camera 0
      the first webcam, to topic camera_frames at localhost:9092
  mattebox camera clip.mp4 --kafka broker:9092
      a file in a loop, as if it were a camera
  mattebox camera door=rtsp://10.0.0.5/live yard=rtsp://10.0.0.6/live --fps 15
      two cameras in one process, each with its own reconnects
  mattebox camera clip.mp4 --once --realtime false
      all frames of a file, as fast as the topic takes them";

/// Arguments of `mattebox camera`.
#[derive(Debug, Args)]
pub(super) struct CameraArgs {
    #[command(flatten)]
    settings: CommandSettings<CameraLayer>,
    #[command(flatten)]
    end: EndArgs,
}

pub(super) fn run(args: &CameraArgs, matches: &ArgMatches) -> anyhow::Result<Exit> {
    let resolved = args.settings.resolve(matches)?;
    let screen = MultiProgress::new();
    start_log(&resolved, &screen)?;
    let CameraCommand {
        camera: settings,
        metrics,
        progress: style,
    } = CameraCommand::new(&resolved)?;
    let stop = Stop::new();
    let abort = Stop::new();
    signals::listen(stop.clone(), abort.clone(), settings.shutdown_timeout)?;
    let report = Camera::new(settings, stop, abort).and_then(|camera| {
        let watch = camera.watch();
        let ended = Stop::new();
        let _server = metrics
            .map(|address| serve(address, Arc::new(camera.monitor())))
            .transpose()?;
        // No setting can change while it runs. A hangup ends it cleanly, or names the settings that
        // take effect at the next start.
        let apply = |new: &Resolved<CameraLayer>| {
            CameraCommand::new(new)?;
            Ok(())
        };
        reload::follow(args.settings.clone(), matches.clone(), resolved, &[], apply)
            .map_err(StartError::Thread)?;
        thread::scope(|scope| {
            let rows = || {
                progress::rows(
                    &watch,
                    |counters| counters.frames.times(),
                    |_, counters| Some(counters.status.clone()),
                )
            };
            let (screen, ended) = (&screen, &ended);
            scope.spawn(move || progress::show(style, rows, screen, ended));
            let report = camera.run();
            ended.stop();
            report
        })
    });
    conclude(report, args.end.form(&args.settings))
}
