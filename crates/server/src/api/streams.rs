//! Moving pictures: Motion JPEG, as `multipart/x-mixed-replace`, which browsers, VLC, FFmpeg and OpenCV show.
//!
//! Each viewer gets the newest picture whenever it is ready for one. Its connection holds no more than that picture and what the system buffers.
use super::{Site, camera};
use crate::{problem::Problem, site::Refusal};
use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use mattebox_engine::cameras::preview::{Preview, View, Viewer};
use serde::Deserialize;
use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, LazyLock, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{self, Instant, Interval},
};
use utoipa::IntoParams;

/// Pictures per second that may be asked for.
const FPS: std::ops::RangeInclusive<f64> = 0.1..=120.0;
/// While no frame comes the last one is sent again: to find out whether anybody still listens.
const REPEAT: Duration = Duration::from_secs(5);
/// How often a wall looks for new cameras.
const LOOK: Duration = Duration::from_secs(1);
const KIND: &str = "multipart/x-mixed-replace; boundary=frame";
const FIRST: &[u8] = b"--frame\r\n";

/// How one camera is watched.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamQuery {
    /// picture (with its new background), matte (grey), checkerboard (cut out) or raw (as it came; only with --show-raw).
    #[param(example = "picture")]
    view: Option<String>,
    /// Not more pictures per second than this.
    fps: Option<f64>,
}

/// Which cameras are watched.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WallQuery {
    /// Names with commas between them; all without it.
    cameras: Option<String>,
}

/// One camera as Motion JPEG.
#[utoipa::path(get, path = "/api/cameras/{id}/stream.mjpg", params(("id" = String, Path, description = "Name of the camera"), StreamQuery),
    responses(
    (status = 200, description = "A picture after the other, without end", body = Vec<u8>, content_type = "multipart/x-mixed-replace"),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Frames as they came are not shown", body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Too many watch already", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn stream(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let camera = camera(&site, &id)?;
    let Query(query) = query.map_err(bad)?;
    let view = match query.view.as_deref().unwrap_or("picture") {
        "picture" => View::Picture,
        "matte" => View::Matte,
        "checkerboard" => View::Checkerboard,
        "raw" if site.settings.show_raw => View::Raw,
        "raw" => {
            return Err(Problem::forbidden(
                "frames as they came show the room: they are shown only with --show-raw",
            ));
        }
        other => {
            return Err(bad(format!(
                "view {other:?}: use picture, matte, checkerboard or raw"
            )));
        }
    };
    let pause = match query.fps {
        None => Duration::ZERO,
        Some(fps) if FPS.contains(&fps) => Duration::from_secs_f64(1.0 / fps),
        Some(fps) => {
            return Err(bad(format!(
                "fps {fps}: use {} to {}",
                FPS.start(),
                FPS.end()
            )));
        }
    };
    let permit = admit(&site)?;
    let previews = watch(Viewer::new(camera.previews.clone(), view), pause);
    Ok(respond(
        site,
        permit,
        previews.map(|shot| part(None, &shot)).boxed(),
    ))
}

/// All cameras at once: their small pictures, each as it comes, with the camera's name in the part's header X-Camera. A browser has few
/// connections for one host, and this takes one.
#[utoipa::path(get, path = "/api/wall.mjpg", params(WallQuery), responses(
    (status = 200, description = "A picture after the other, without end", body = Vec<u8>, content_type = "multipart/x-mixed-replace"),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Too many watch already", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn wall(
    State(site): State<Arc<Site>>,
    query: Result<Query<WallQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(bad)?;
    let wanted = query.cameras.map(|names| {
        names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect()
    });
    let permit = admit(&site)?;
    let wall = Wall {
        site: site.clone(),
        wanted,
        known: HashSet::new(),
        tiles: SelectAll::new(),
        look: time::interval(LOOK),
    };
    let parts = stream::unfold(wall, |mut wall: Wall| async move {
        wall.next().await.map(|part| (part, wall))
    });
    Ok(respond(site, permit, parts.boxed()))
}

fn bad(e: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, e.to_string())
}

fn admit(site: &Site) -> Result<OwnedSemaphorePermit, Problem> {
    site.free.clone().try_acquire_owned().map_err(|_| {
        site.refused(Refusal::Viewers);
        let detail = format!(
            "{} streams are watched already, more are not allowed: see --max-viewers",
            site.settings.max_viewers
        );
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })
}

/// The permit goes with the stream: whoever hangs up makes room.
fn respond(
    site: Arc<Site>,
    permit: OwnedSemaphorePermit,
    parts: BoxStream<'static, Bytes>,
) -> Response {
    let counted = parts.map(move |part| {
        let _ = &permit;
        site.sent.fetch_add(part.len() as u64, Relaxed);
        Ok::<_, Infallible>(part)
    });
    let body = stream::once(async { Ok(Bytes::from_static(FIRST)) }).chain(counted);
    ([(header::CONTENT_TYPE, KIND)], Body::from_stream(body)).into_response()
}

/// The pictures of a viewer, not more often than every `pause`. All viewers of one pause are ready at the same moments, so that they need one
/// picture for all.
fn watch(viewer: Viewer, pause: Duration) -> impl Stream<Item = Arc<Preview>> + Send {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let next = move || {
        let passed = BEGIN
            .elapsed()
            .as_nanos()
            .checked_div(pause.as_nanos())
            .unwrap_or(0);
        *BEGIN + pause * u32::try_from(passed + 1).unwrap_or(u32::MAX)
    };
    stream::unfold(
        (viewer, *BEGIN, None),
        move |(mut viewer, at, mut last): (_, _, Option<Arc<Preview>>)| async move {
            time::sleep_until(at).await;
            loop {
                match (time::timeout(REPEAT, viewer.next()).await, last.take()) {
                    (Ok(shot), _) => {
                        let shot = shot?;
                        return Some((shot.clone(), (viewer, next(), Some(shot))));
                    }
                    (Err(_), Some(shot)) => {
                        return Some((shot.clone(), (viewer, next(), Some(shot))));
                    }
                    (Err(_), None) => {}
                }
            }
        },
    )
}

/// A part, and the boundary behind it: browsers show a picture when they have seen that it has ended.
fn part(camera: Option<&str>, shot: &Preview) -> Bytes {
    let camera = camera
        .map(|camera| format!("X-Camera: {camera}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "Content-Type: image/jpeg\r\nContent-Length: {}\r\n{camera}X-Frame: {}\r\n\r\n",
        shot.jpeg.len(),
        shot.number
    );
    [head.as_bytes(), &shot.jpeg, b"\r\n", FIRST]
        .concat()
        .into()
}

/// Small pictures of many cameras; cameras may come while it is watched.
struct Wall {
    site: Arc<Site>,
    wanted: Option<HashSet<String>>,
    known: HashSet<String>,
    tiles: SelectAll<BoxStream<'static, Bytes>>,
    look: Interval,
}

impl Wall {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                Some(part) = self.tiles.next() => return Some(part),
                _ = self.look.tick() => self.look_for_cameras(),
            }
        }
    }

    fn look_for_cameras(&mut self) {
        for camera in self.site.studio.cameras() {
            let id = camera.id.to_string();
            let is_wanted = self
                .wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&id));
            if is_wanted && self.known.insert(id.clone()) {
                let previews = watch(
                    Viewer::new(camera.previews.clone(), View::Tile),
                    Duration::ZERO,
                );
                self.tiles
                    .push(previews.map(move |shot| part(Some(&id), &shot)).boxed());
            }
        }
    }
}
