//! The metric families of a live page.
use crate::site::{Refusal, Site};
use mattebox_engine::{
    cameras::{camera::Liveness, quality::Quality},
    metrics::{Family, Samples},
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

static STATE: Family = Family::gauge(
    "mattebox_camera_state",
    &["camera", "state"],
    "1 for the state that the camera is in: connecting, live, stalled, reconnecting, failed, \
     ended.",
);
static LAST_FRAME: Family = Family::gauge(
    "mattebox_camera_last_frame_age_seconds",
    &["camera"],
    "Time since the last frame was made.",
);
static COVERAGE: Family = Family::gauge(
    "mattebox_matte_coverage_ratio",
    &["camera"],
    "The share of the picture that is person.",
);
static FLICKER: Family = Family::gauge(
    "mattebox_matte_flicker_ratio",
    &["camera"],
    "How much alpha changes where the picture does not, root mean square.",
);
static EDGE_WIDTH: Family = Family::gauge(
    "mattebox_matte_edge_width_pixels",
    &["camera"],
    "How many pixels the matte takes from background to person.",
);
static NO_PERSON: Family = Family::gauge(
    "mattebox_matte_no_person_seconds",
    &["camera"],
    "How long no person has been in the picture; 0 while there is one.",
);
static VIEWERS: Family = Family::gauge("mattebox_view_viewers", &[], "Open streams.");
static SENT: Family = Family::counter(
    "mattebox_view_sent_bytes_total",
    &[],
    "Bytes of pictures that were sent.",
);
static REFUSED: Family = Family::counter(
    "mattebox_view_refused_total",
    &["reason"],
    "Refused requests by reason: host, origin, token, viewers, connections.",
);

/// All families of a live page.
pub(super) static FAMILIES: [&Family; 9] = [
    &STATE,
    &LAST_FRAME,
    &COVERAGE,
    &FLICKER,
    &EDGE_WIDTH,
    &NO_PERSON,
    &VIEWERS,
    &SENT,
    &REFUSED,
];

/// Adds the metrics of a page to those of its command.
pub(super) fn register(site: &Arc<Site>) {
    let page = Arc::downgrade(site);
    site.monitor.metrics.add(&FAMILIES, move |samples| {
        if let Some(site) = page.upgrade() {
            collect(samples, &site);
        }
    });
}

fn collect(samples: &mut Samples, site: &Site) {
    for camera in site.cameras.cameras() {
        let id = camera.id.as_str();
        let now = camera.standing().state;
        for state in Liveness::ALL {
            let value = f64::from(u8::from(state == now));
            samples.add(&STATE, &[id, state.name()], value);
        }
        if let Some(latest) = camera.latest() {
            samples.add(&LAST_FRAME, &[id], latest.age().as_secs_f64());
        }
        if let Some(quality) = camera.quality() {
            collect_quality(samples, id, &quality);
        }
    }
    samples.add(&VIEWERS, &[], site.viewers() as f64);
    samples.add(&SENT, &[], site.sent.load(Relaxed) as f64);
    for reason in Refusal::ALL {
        let count = site.refusals(reason) as f64;
        samples.add(&REFUSED, &[reason.name()], count);
    }
}

fn collect_quality(samples: &mut Samples, id: &str, quality: &Quality) {
    samples.add(&COVERAGE, &[id], quality.coverage);
    if let Some(percent) = quality.flicker {
        samples.add(&FLICKER, &[id], percent / 100.0);
    }
    if let Some(pixels) = quality.edge_width {
        samples.add(&EDGE_WIDTH, &[id], pixels);
    }
    let since = quality.no_person_since;
    let seconds = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
    samples.add(&NO_PERSON, &[id], seconds);
}
