//! How long files are kept, and in which folders.
use super::{ConfigError, Resolved, check::SettingsCheck, layer::KeepLayer, layer::PruneLayer};
use bytesize::ByteSize;
use mattebox_core::frame::CameraId;
use mattebox_media::sink::SinkSpec;
use mattebox_store::{Retention, pending::folder_of};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// The old files that a command removes while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderRetention {
    /// How much is kept of each folder.
    pub retention: Retention,
    /// The folders.
    pub folders: Vec<PathBuf>,
}

/// The checked settings of `mattebox prune`.
#[derive(Debug, Clone)]
pub struct PruneCommand {
    /// The limits and the folders.
    pub keeping: FolderRetention,
    /// Count only, and remove nothing.
    pub dry_run: bool,
    /// The time between two rounds; `None` for a single round.
    pub every: Option<Duration>,
    /// The address that serves metrics.
    pub metrics: Option<SocketAddr>,
    /// The longest time that a stop may take.
    pub shutdown_timeout: Duration,
}

impl PruneCommand {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<PruneLayer>) -> Result<Self, ConfigError> {
        let check = SettingsCheck(&resolved.origins);
        let l = &resolved.layer;
        let out = Path::new(check.given("out", &l.out)?);
        let every = check.positive_duration("every", &l.every)?;
        let is_off = l.keep != KeepLayer::default();
        let retention = match retention(&check, &l.keep)? {
            Some(retention) => retention,
            // Without a limit a service keeps running and removes nothing.
            None if is_off && every.is_some() => Retention::default(),
            None => {
                let what = "no limit is given: use --keep 7d or --keep-bytes 50GB, or both";
                return Err(ConfigError::Conflict(what.to_owned()));
            }
        };
        Ok(PruneCommand {
            keeping: FolderRetention {
                retention,
                folders: vec![out.to_owned()],
            },
            dry_run: l.dry_run.unwrap_or(false),
            every,
            metrics: check.metrics(&l.metrics)?,
            shutdown_timeout: check.shutdown_timeout(&l.messages.shutdown_timeout)?,
        })
    }
}

/// The old files that a run removes from its outputs.
pub(super) fn of_run(
    check: &SettingsCheck<'_>,
    l: &KeepLayer,
    sink: &SinkSpec,
    is_segmented: bool,
    alpha_out: Option<&PathBuf>,
    cameras: &[&CameraId],
) -> Result<Option<FolderRetention>, ConfigError> {
    let Some(retention) = retention(check, l)? else {
        return Ok(None);
    };
    let refuse = |reason: &str| {
        Err(match (&l.keep, &l.keep_bytes) {
            (Some(keep), _) => check.error("keep", keep, reason),
            (None, bytes) => {
                check.error("keep_bytes", bytes.as_deref().unwrap_or_default(), reason)
            }
        })
    };
    let mut folders: Vec<PathBuf> = alpha_out.cloned().into_iter().collect();
    match sink {
        SinkSpec::Directory(root) => folders.push(root.clone()),
        SinkSpec::Video(_) if is_segmented => {
            let mut of_videos: Vec<PathBuf> = Vec::new();
            for camera in cameras {
                if let SinkSpec::Video(path) = sink.for_camera(camera) {
                    of_videos.push(folder_of(&path).to_owned());
                }
            }
            of_videos.dedup();
            if of_videos.len() > 1 {
                return refuse(
                    "the recordings are in several folders: put all into one, as with --out \
                     day/{camera}.mkv",
                );
            }
            folders.extend(of_videos);
        }
        SinkSpec::Video(_) => {
            return refuse("a single video has no old files: add --segment 10m, or leave it out");
        }
        _ if folders.is_empty() => {
            return refuse("only files in a folder can be removed: give one (--out)");
        }
        _ => {}
    }
    Ok(Some(FolderRetention { retention, folders }))
}

/// The limits; `None` keeps everything.
pub(super) fn retention(
    check: &SettingsCheck<'_>,
    l: &KeepLayer,
) -> Result<Option<Retention>, ConfigError> {
    let is_on = |text: &&String| !matches!(text.trim(), "" | "off");
    let keep = l.keep.as_ref().filter(is_on).cloned();
    let keep_bytes = l.keep_bytes.as_ref().filter(is_on);
    let retention = Retention {
        keep: check.positive_duration("keep", &keep)?,
        keep_bytes: keep_bytes.map(|text| bytes(check, text)).transpose()?,
    };
    Ok((retention != Retention::default()).then_some(retention))
}

fn bytes(check: &SettingsCheck<'_>, text: &str) -> Result<u64, ConfigError> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize(bytes)) if bytes > 0 => Ok(bytes),
        _ => Err(check.error("keep_bytes", text, "write a size, such as 50GB or 500MiB")),
    }
}
