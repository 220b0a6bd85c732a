//! The checked settings of `mattebox camera`.
use super::{
    ConfigError, Resolved, broker::BrokerSettings, check::Check, layer::CameraLayer, settings::*,
    trace::TraceSettings,
};
use crate::source::SourceOptions;
use mattebox_wire::Wire;
use std::{net::SocketAddr, time::Duration};

/// Everything `mattebox camera` needs to know.
#[derive(Debug, Clone)]
pub struct CameraSettings {
    /// The cameras, each with its own name.
    pub cameras: Vec<CameraSource>,
    /// How sources are read. `repeat` is what `--loop` and `--once` say together.
    pub source: SourceOptions,
    /// Where frames are published.
    pub broker: BrokerSettings,
    /// How a frame is written.
    pub wire: Wire,
    /// Of the published JPEG pictures, 1 to 100.
    pub jpeg_quality: u8,
    /// Motion JPEG is passed on as it is where it fits.
    pub passthrough: bool,
    /// Partitions of a topic that has to be made.
    pub partitions: i32,
    /// Copies of each of its partitions.
    pub replication_factor: i32,
    /// Frames of each camera that wait while the broker is away.
    pub buffer_frames: usize,
    /// Frames per camera after which it ends.
    pub frames: Option<u64>,
    /// Where numbers are served.
    pub metrics: Option<SocketAddr>,
    /// Where traces go, if anywhere.
    pub trace: Option<TraceSettings>,
    /// How long frames on their way may take after the first signal.
    pub shutdown_timeout: Duration,
    /// How progress is shown.
    pub progress: ProgressStyle,
}

impl CameraSettings {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<CameraLayer>) -> Result<Self, ConfigError> {
        let check = Check(&resolved.origins);
        let l = &resolved.layer;
        let source = check.source(&l.read)?;
        Ok(CameraSettings {
            cameras: check.cameras(&l.source, &l.camera_id)?,
            source: SourceOptions {
                repeat: source.repeat && !l.once.unwrap_or(false),
                ..source
            },
            broker: BrokerSettings::new(&check, &l.kafka)?,
            wire: check.parse("wire", &l.wire)?,
            jpeg_quality: check.jpeg_quality(l.jpeg_quality)?,
            passthrough: l.passthrough.unwrap_or(true),
            partitions: check
                .integer("partitions", l.partitions, 1, 10_000)?
                .unwrap_or(1) as i32,
            replication_factor: check
                .integer("replication_factor", l.replication_factor, 1, 100)?
                .unwrap_or(1) as i32,
            buffer_frames: check
                .integer("buffer_frames", l.buffer_frames, 1, 100_000)?
                .unwrap_or(100) as usize,
            frames: check
                .integer("frames", l.read.frames, 1, i64::MAX)?
                .map(|n| n as u64),
            metrics: check.metrics(&l.metrics)?,
            trace: TraceSettings::new(&check, &l.trace)?,
            shutdown_timeout: check.shutdown_timeout(&l.say.shutdown_timeout)?,
            progress: check.progress(&l.say.progress)?,
        })
    }
}
