//! The settings of `mattebox camera`.
use super::{
    ConfigError, Resolved, broker, check::Check, layer::CameraLayer, output_choice::ProgressStyle,
    trace,
};
use mattebox_kafka::settings::CameraSettings;
use mattebox_media::source::SourceOptions;
use std::net::SocketAddr;

/// Everything `mattebox camera` needs to know.
#[derive(Debug, Clone)]
pub struct CameraCommand {
    /// The cameras, and where they publish.
    pub camera: CameraSettings,
    /// Where numbers are served.
    pub metrics: Option<SocketAddr>,
    /// How progress is shown.
    pub progress: ProgressStyle,
}

impl CameraCommand {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<CameraLayer>) -> Result<Self, ConfigError> {
        let check = Check(&resolved.origins);
        let l = &resolved.layer;
        let source = check.source(&l.read)?;
        let cameras = check.cameras(&l.source, &l.camera_id)?;
        check.size(&source, &cameras)?;
        let camera = CameraSettings {
            cameras,
            source: SourceOptions {
                repeat: source.repeat && !l.once.unwrap_or(false),
                ..source
            },
            broker: broker::settings(&check, &l.kafka)?,
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
            trace: trace::settings(&check, &l.trace)?,
            shutdown_timeout: check.shutdown_timeout(&l.say.shutdown_timeout)?,
        };
        Ok(CameraCommand {
            camera,
            metrics: check.metrics(&l.metrics)?,
            progress: check.progress(&l.say.progress)?,
        })
    }
}
