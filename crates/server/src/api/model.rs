//! Cameras and their state as JSON.
use crate::site::Site;
use mattebox_core::matte::MatteMode;
use mattebox_engine::{
    FrameSettings,
    cameras::{Camera, camera::Holds, faults::Fault, preview::View, trend::History},
    latency::LatencyReport,
    metrics::{FrameCounts, process},
    stages,
};
use mattebox_net::SimdLevel;
use serde::Serialize;
use std::time::SystemTime;
use utoipa::ToSchema;

/// All cameras, and the process that shows them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    server: ServerInfo,
    /// The last errors that concern no single camera, such as lost records, newest first.
    errors: Vec<ErrorInfo>,
    /// The reasons why the process cannot work now, as in /readyz.
    troubles: Vec<String>,
    cameras: Vec<CameraInfo>,
}

/// The process that shows the cameras.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerInfo {
    /// The version of mattebox.
    version: &'static str,
    /// Its command: run, worker or view.
    command: &'static str,
    /// The time of its start, RFC 3339.
    started: String,
    /// The time now by its clock, RFC 3339.
    now: String,
    /// The original frames may be seen (--show-raw).
    show_raw: bool,
    /// Open streams.
    viewers: usize,
    /// Open streams, at most.
    max_viewers: usize,
    /// Settings can be changed here.
    settable: bool,
    /// A token is needed.
    token: bool,
    /// CPU time that the process has used, in seconds.
    cpu_seconds: f64,
    /// Memory that the process uses, in bytes.
    memory_bytes: Option<u64>,
    /// The fastest vector instructions of the processor: used unless --simd says otherwise.
    simd: String,
    /// The address of the guide.
    guide: &'static str,
}

/// A camera.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CameraInfo {
    id: String,
    /// Its source, with passwords masked.
    source: String,
    /// connecting, live, stalled, reconnecting, failed or ended.
    state: &'static str,
    /// The time when the state began, RFC 3339.
    since: String,
    /// The reason of the state, if known.
    why: Option<String>,
    /// The width of its frames in pixels; 0 before the first.
    width: u32,
    /// The height of its frames in pixels; 0 before the first.
    height: u32,
    /// Frames read per second, over the last seconds.
    fps_read: f64,
    /// Frames written or skipped per second.
    fps_written: f64,
    /// The latency of frames now, in milliseconds.
    latency_ms: Option<LatencyReport>,
    /// Counts of frames since the start.
    frames: FrameCounts,
    /// When the last frame was made, RFC 3339.
    last_frame: Option<String>,
    /// An estimate of how good its mattes are; null if another process makes them.
    quality: Option<QualityInfo>,
    settings: SettingsInfo,
    /// Kinds of background that its output can hold: color, blur, transparent, picture.
    settable_background: Vec<&'static str>,
    /// Mattes that can be chosen: fine and fine:always only if the camera was started with one of
    /// them.
    settable_matte: Vec<String>,
    /// The views that it has: picture, matte, checkerboard, overlay, raw.
    views: Vec<&'static str>,
    streams: Streams,
}

/// An estimate of how good the mattes of the last seconds are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QualityInfo {
    /// The share of the picture that is person, 0 to 1.
    coverage: f64,
    /// How much alpha changes where the picture does not, root mean square, 0 to 1.
    flicker: Option<f64>,
    /// The width of the matte's edge, from background to person, in pixels.
    edge_width_px: Option<f64>,
    /// Seconds without a person in the picture; null if there is one.
    no_person_s: Option<f64>,
}

/// The settings of a camera's frames.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsInfo {
    /// #rrggbb, blur:SIGMA, transparent, picture:NAME or video:NAME.
    background: String,
    /// soft, hard, fine or fine:always.
    matte: String,
    /// The people that are shown: all, nearest or a number.
    people: String,
    /// Whether the room behind the people is learned: auto or off.
    plate: String,
    /// Colour spill of the old room is removed from edges.
    foreground_cleanup: bool,
    /// Frames like the one before reuse its matte.
    skip_still: bool,
}

/// The paths of its pictures.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Streams {
    /// Motion JPEG.
    mjpeg: String,
    /// The newest picture, PNG.
    frame: String,
}

/// A camera with its last minutes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CameraDetail {
    #[serde(flatten)]
    camera: CameraInfo,
    history: History,
    /// The last errors, newest first.
    errors: Vec<ErrorInfo>,
}

/// An error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorInfo {
    /// RFC 3339.
    time: String,
    message: String,
}

impl Overview {
    pub(crate) fn new(site: &Site) -> Self {
        Overview {
            server: ServerInfo {
                version: env!("CARGO_PKG_VERSION"),
                command: site.command,
                started: rfc3339(site.started),
                now: rfc3339(SystemTime::now()),
                show_raw: site.settings.show_raw,
                viewers: site.viewers(),
                max_viewers: site.settings.max_viewers,
                settable: site.is_settable,
                token: site.has_token(),
                cpu_seconds: stages::process_cpu().as_secs_f64(),
                memory_bytes: process::resident_bytes().map(|bytes| bytes as u64),
                simd: SimdLevel::best().to_string(),
                guide: concat!(
                    env!("CARGO_PKG_REPOSITORY"),
                    "/blob/main/docs/guide/live.md"
                ),
            },
            errors: errors(site.cameras.faults().newest_first()),
            troubles: site.monitor.reasons(),
            cameras: site
                .cameras
                .cameras()
                .iter()
                .map(|camera| CameraInfo::new(site, camera))
                .collect(),
        }
    }
}

impl CameraInfo {
    pub(crate) fn new(site: &Site, camera: &Camera) -> Self {
        let standing = camera.standing();
        let latest = camera.latest();
        let (width, height) = latest.map_or((0, 0), |latest| latest.size);
        let trend = camera.trend();
        let (fps_read, fps_written) = trend.fps();
        let latency = trend.latency();
        let counts = trend.counts();
        drop(trend);
        CameraInfo {
            id: camera.id.to_string(),
            source: camera.source.clone(),
            state: standing.state.name(),
            since: rfc3339(standing.since),
            why: standing.why,
            width,
            height,
            fps_read,
            fps_written,
            latency_ms: latency,
            frames: counts,
            last_frame: latest.map(|latest| rfc3339(latest.time)),
            quality: camera.quality().map(|q| QualityInfo {
                coverage: q.coverage,
                flicker: q.flicker.map(|percent| percent / 100.0),
                edge_width_px: q.edge_width,
                no_person_s: q.no_person_since.map(|since| since.elapsed().as_secs_f64()),
            }),
            settings: SettingsInfo::new(&camera.settings()),
            settable_background: kinds(camera.holds),
            settable_matte: mattes(camera).map(|matte| matte.to_string()).collect(),
            views: views(site).into_iter().map(View::name).collect(),
            streams: Streams {
                mjpeg: format!("/api/cameras/{}/stream.mjpg", camera.id),
                frame: format!("/api/cameras/{}/frame.png", camera.id),
            },
        }
    }
}

impl CameraDetail {
    pub(crate) fn new(site: &Site, camera: &Camera) -> Self {
        CameraDetail {
            camera: CameraInfo::new(site, camera),
            history: camera.trend().history(),
            errors: errors(camera.errors()),
        }
    }
}

fn errors(faults: Vec<Fault>) -> Vec<ErrorInfo> {
    let info = |Fault { time, message }| ErrorInfo {
        time: rfc3339(time),
        message,
    };
    faults.into_iter().map(info).collect()
}

impl SettingsInfo {
    pub(crate) fn new(settings: &FrameSettings) -> Self {
        SettingsInfo {
            background: settings.background.to_string(),
            matte: settings.matte.to_string(),
            people: settings.people.to_string(),
            plate: settings.plate.to_string(),
            foreground_cleanup: settings.foreground_cleanup,
            skip_still: settings.skip_still,
        }
    }
}

/// The mattes that can be chosen for a camera. The fine ones need the network, which is loaded only
/// at its start.
pub(super) fn mattes(camera: &Camera) -> impl Iterator<Item = MatteMode> {
    let has_fine = camera.start().matte.is_fine();
    let is_there = move |matte: &MatteMode| has_fine || !matte.is_fine();
    MatteMode::ALL.into_iter().filter(is_there)
}

/// The views of each camera. Only the picture if another process makes the mattes.
pub(super) fn views(site: &Site) -> Vec<View> {
    let is_there = |view: &View| match view {
        View::Tile => false,
        View::Picture => true,
        View::Matte | View::Checkerboard | View::Overlay => site.command != "view",
        View::Raw => site.command != "view" && site.settings.show_raw,
    };
    View::ALL.into_iter().filter(is_there).collect()
}

fn kinds(holds: Holds) -> Vec<&'static str> {
    let opaque: &[_] = if holds.opaque {
        &["color", "blur", "picture"]
    } else {
        &[]
    };
    let transparent: &[_] = if holds.transparent {
        &["transparent"]
    } else {
        &[]
    };
    [opaque, transparent].concat()
}

fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ViewSettings;
    use mattebox_engine::metrics::Monitor;
    use std::sync::Arc;

    fn names(command: &'static str, show_raw: bool) -> Vec<&'static str> {
        let settings = ViewSettings {
            address: ([127, 0, 0, 1], 0).into(),
            token: None,
            tls: None,
            hosts: vec![],
            show_raw,
            max_viewers: 1,
        };
        let monitor = Arc::new(Monitor::new(command, Vec::new));
        let site = Site::new(settings, Arc::default(), command, true, monitor);
        views(&site).into_iter().map(View::name).collect()
    }

    #[test]
    fn without_mattes_there_is_only_the_picture() {
        let made_here = ["picture", "matte", "checkerboard", "overlay"];
        assert_eq!(names("run", false), made_here);
        assert_eq!(names("worker", false), made_here);
        assert!(names("run", true).contains(&"raw"));
        assert_eq!(names("view", true), ["picture"], "no mattes, no rooms");
    }
}
