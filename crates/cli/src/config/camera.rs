//! The settings of `mattebox camera`.
use super::{
    ConfigError, Resolved, broker, check::SettingsCheck, layer::CameraLayer,
    output_choice::ProgressStyle, trace,
};
use mattebox_kafka::settings::CameraSettings;
use mattebox_media::source::SourceOptions;
use std::net::SocketAddr;

/// The checked settings of `mattebox camera`.
#[derive(Debug, Clone)]
pub struct CameraCommand {
    /// The cameras, and where they publish.
    pub camera: CameraSettings,
    /// The address that serves metrics.
    pub metrics: Option<SocketAddr>,
    /// The style of progress.
    pub progress: ProgressStyle,
}

impl CameraCommand {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<CameraLayer>) -> Result<Self, ConfigError> {
        let check = SettingsCheck(&resolved.origins);
        let l = &resolved.layer;
        let source = check.source(&l.source_options)?;
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
                .integer("frames", l.source_options.frames, 1, i64::MAX)?
                .map(|n| n as u64),
            trace: trace::settings(&check, &l.trace)?,
            shutdown_timeout: check.shutdown_timeout(&l.messages.shutdown_timeout)?,
        };
        Ok(CameraCommand {
            camera,
            metrics: check.metrics(&l.metrics)?,
            progress: check.progress(&l.messages.progress)?,
        })
    }
}
