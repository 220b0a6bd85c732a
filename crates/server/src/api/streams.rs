//! Motion JPEG as `multipart/x-mixed-replace`, which browsers, VLC, FFmpeg and OpenCV can show.
//!
//! Each viewer gets the newest picture whenever it is ready for one. Only this picture and the
//! system's buffer wait on its connection.
use super::{Site, camera, model::views};
use crate::{problem::Problem, site::Refusal};
use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{
    Stream, StreamExt, future,
    stream::{self, AbortHandle, BoxStream, SelectAll},
};
use mattebox_engine::cameras::{
    Camera,
    preview::{Preview, Previews, View, Viewer},
};
use serde::Deserialize;
use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{Arc, LazyLock, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{self, Instant, Interval},
};
use utoipa::{IntoParams, IntoResponses};

/// The pictures per second that a request may ask for.
const FPS: std::ops::RangeInclusive<f64> = 0.1..=120.0;
/// The interval at which the last picture is sent again while no frame comes: so a closed
/// connection is noticed.
const REPEAT: Duration = Duration::from_secs(5);
/// The interval at which a wall looks for new cameras.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const KIND: &str = "multipart/x-mixed-replace; boundary=frame";
const FIRST: &[u8] = b"--frame\r\n";
/// The begin of a part with a picture.
const PICTURE: &str = "Content-Type: image/jpeg\r\n";

/// The view and rate of a stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamQuery {
    /// picture (with its new background), matte (grey), checkerboard (cut out), overlay (cut out:
    /// colours times alpha over black, padded to a multiple of 16 rows, and the matte below them)
    /// or raw (the original frame; only with --show-raw).
    #[param(example = "picture")]
    view: Option<String>,
    /// Pictures per second, at most.
    fps: Option<f64>,
}

/// The cameras of a wall.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WallQuery {
    /// Names, separated by commas. Default: all.
    cameras: Option<String>,
}

/// The problems of a stream with a view of a camera, for the description of the API.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its attributes are read")]
pub(super) enum StreamProblems {
    #[response(status = 400, content_type = "application/problem+json")]
    Query(Problem),
    #[response(
        status = 403,
        description = "The original frames are not shown without --show-raw",
        content_type = "application/problem+json"
    )]
    Raw(Problem),
    #[response(status = 404, content_type = "application/problem+json")]
    Camera(Problem),
    #[response(
        status = 409,
        description = "This camera has no such view",
        content_type = "application/problem+json"
    )]
    View(Problem),
    #[response(
        status = 503,
        description = "Too many streams are open",
        content_type = "application/problem+json"
    )]
    Streams(Problem),
}

/// One camera as Motion JPEG.
#[utoipa::path(
    get,
    path = "/api/cameras/{id}/stream.mjpg",
    params(("id" = String, Path, description = "Name of the camera"), StreamQuery),
    responses(
        (
            status = 200,
            description = "Endless sequence of pictures",
            body = Vec<u8>,
            content_type = "multipart/x-mixed-replace",
        ),
        StreamProblems,
    )
)]
pub(crate) async fn stream(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let camera = camera(&site, &id)?;
    let Query(query) = query.map_err(bad)?;
    let view = choose(&site, &camera, query.view.as_deref())?;
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
    let parts = previews.map(move |shot| part(&id, view, &shot));
    let parts = while_shown(&site, camera, parts);
    Ok(respond(site, permit, parts))
}

/// A stream that ends when its camera is removed from the registry. If the camera comes back, a new
/// request gets its pictures.
pub(super) fn while_shown(
    site: &Arc<Site>,
    camera: Arc<Camera>,
    parts: impl Stream<Item = Bytes> + Send + 'static,
) -> BoxStream<'static, Bytes> {
    let site = site.clone();
    parts
        .take_while(move |_| future::ready(site.cameras.shows(&camera)))
        .boxed()
}

/// A view by its name, if this camera has it.
pub(super) fn choose(site: &Site, camera: &Camera, name: Option<&str>) -> Result<View, Problem> {
    let name = name.unwrap_or(View::Picture.name());
    let view = View::ALL
        .into_iter()
        .find(|view| *view != View::Tile && view.name() == name)
        .ok_or_else(|| {
            bad(format!(
                "view {name:?}: use picture, matte, checkerboard, overlay or raw"
            ))
        })?;
    if view == View::Raw && !site.settings.show_raw {
        return Err(Problem::forbidden(
            "the original frames show the room: start with --show-raw to see them",
        ));
    }
    if !views(site).contains(&view) {
        return Err(Problem::conflict(format!(
            "camera {:?} has no view {name:?} here: another process makes its mattes",
            camera.id.as_str()
        )));
    }
    Ok(view)
}

/// The small pictures of all cameras in one stream. The header X-Camera of each part has the name
/// of the camera. A browser needs only one of its few connections for it.
#[utoipa::path(
    get,
    path = "/api/wall.mjpg",
    params(WallQuery),
    responses(
        (
            status = 200,
            description = "Endless sequence of pictures",
            body = Vec<u8>,
            content_type = "multipart/x-mixed-replace",
        ),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (
            status = 503,
            description = "Too many streams are open",
            body = Problem,
            content_type = "application/problem+json",
        ),
    )
)]
pub(crate) async fn wall(
    State(site): State<Arc<Site>>,
    query: Result<Query<WallQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(bad)?;
    let permit = admit(&site)?;
    let tiles = tiles(site.clone(), query.cameras.as_deref());
    Ok(respond(site, permit, tiles))
}

pub(super) fn bad(e: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, e.to_string())
}

pub(super) fn admit(site: &Site) -> Result<OwnedSemaphorePermit, Problem> {
    site.free.clone().try_acquire_owned().map_err(|_| {
        site.refused(Refusal::Viewers);
        let detail = format!(
            "{} streams are open, which is the most: see --max-viewers",
            site.settings.max_viewers
        );
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })
}

/// The permit belongs to the stream, so that its end makes room for another.
pub(super) fn respond(
    site: Arc<Site>,
    permit: OwnedSemaphorePermit,
    parts: BoxStream<'static, Bytes>,
) -> Response {
    let counted = parts.map(move |part| {
        let _ = &permit;
        if part.starts_with(PICTURE.as_bytes()) {
            site.sent.fetch_add(part.len() as u64, Relaxed);
        }
        Ok::<_, Infallible>(part)
    });
    let body = stream::once(async { Ok(Bytes::from_static(FIRST)) }).chain(counted);
    ([(header::CONTENT_TYPE, KIND)], Body::from_stream(body)).into_response()
}

/// The pictures of a viewer, at intervals of at least `pause`. All viewers with the same pause are
/// ready at the same times, so that they share their pictures.
pub(super) fn watch(viewer: Viewer, pause: Duration) -> impl Stream<Item = Arc<Preview>> + Send {
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

/// A part and the boundary behind it: a browser shows a picture only after the boundary.
pub(super) fn part(camera: &str, view: View, shot: &Preview) -> Bytes {
    let captured = shot.captured.and_then(unix_ms);
    let captured = captured.map_or_else(String::new, |ms| format!("X-Captured: {ms}\r\n"));
    let sent = unix_ms(SystemTime::now()).unwrap_or_default();
    let head = format!(
        "{PICTURE}Content-Length: {}\r\nX-Camera: {camera}\r\nX-View: {}\r\n\
         X-Frame: {}\r\n{captured}X-Sent: {sent}\r\n\r\n",
        shot.jpeg.len(),
        view.name(),
        shot.number
    );
    [head.as_bytes(), &shot.jpeg, b"\r\n", FIRST]
        .concat()
        .into()
}

/// A part with JSON.
pub(super) fn json_part(event: &str, json: &[u8]) -> Bytes {
    let head = format!(
        "Content-Type: application/json\r\nContent-Length: {}\r\nX-Event: {event}\r\n\r\n",
        json.len()
    );
    [head.as_bytes(), json, b"\r\n", FIRST].concat().into()
}

fn unix_ms(time: SystemTime) -> Option<u128> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_millis())
}

/// The small pictures of all cameras, or of those with these names, separated by commas.
pub(super) fn tiles(site: Arc<Site>, names: Option<&str>) -> BoxStream<'static, Bytes> {
    let wanted = names.map(|names| {
        names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect()
    });
    let wall = Wall {
        site,
        wanted,
        viewers: HashMap::new(),
        tiles: SelectAll::new(),
        look: time::interval(LOOK_INTERVAL),
    };
    stream::unfold(wall, |mut wall: Wall| async move {
        wall.next().await.map(|part| (part, wall))
    })
    .boxed()
}

/// The small pictures of many cameras, which may come and go during the stream.
struct Wall {
    site: Arc<Site>,
    wanted: Option<HashSet<String>>,
    viewers: HashMap<String, WallViewer>,
    tiles: SelectAll<BoxStream<'static, Bytes>>,
    look: Interval,
}

/// The viewer of one camera of a wall.
struct WallViewer {
    previews: Arc<Previews>,
    stop: AbortHandle,
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
        let mut gone = std::mem::take(&mut self.viewers);
        for camera in self.site.cameras.cameras() {
            let id = camera.id.as_str();
            let is_wanted = self
                .wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(id));
            if !is_wanted {
                continue;
            }
            // A camera that was removed and came back has other previews.
            let viewer = match gone.remove(id) {
                Some(same) if Arc::ptr_eq(&same.previews, &camera.previews) => same,
                other => {
                    if let Some(left) = other {
                        left.stop.abort();
                    }
                    self.add(&camera)
                }
            };
            self.viewers.insert(id.to_owned(), viewer);
        }
        gone.values().for_each(|viewer| viewer.stop.abort());
    }

    fn add(&mut self, camera: &Camera) -> WallViewer {
        let id = camera.id.to_string();
        let viewer = Viewer::new(camera.previews.clone(), View::Tile);
        let parts = watch(viewer, Duration::ZERO).map(move |shot| part(&id, View::Tile, &shot));
        let (parts, stop) = stream::abortable(parts);
        self.tiles.push(parts.boxed());
        WallViewer {
            previews: camera.previews.clone(),
            stop,
        }
    }
}
