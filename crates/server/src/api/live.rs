//! Everything that a window of the page needs, in one stream. A browser has only six connections
//! for one host, so the others stay free for requests of the user.
use super::{
    Site, camera,
    events::seconds,
    model::Overview,
    streams::{
        StreamProblems, admit, bad, choose, json_part, part, respond, tiles, watch, while_shown,
    },
};
use crate::problem::Problem;
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use futures_util::{
    StreamExt,
    stream::{BoxStream, SelectAll},
};
use mattebox_engine::cameras::preview::Viewer;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use utoipa::IntoParams;

/// The parts of a live stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveQuery {
    /// Names of the cameras whose small pictures are sent, separated by commas. Default: all.
    cameras: Option<String>,
    /// Whether small pictures are sent. Default: true.
    tiles: Option<bool>,
    /// The name of the camera whose large picture is sent, too.
    camera: Option<String>,
    /// The view of the large picture: picture, matte, checkerboard, overlay or raw.
    #[param(example = "picture")]
    view: Option<String>,
}

/// The state of all cameras and pictures in one stream.
///
/// Parts with the header `X-Event: cameras` are JSON, the same as /api/cameras, once a second. The
/// others are JPEG pictures with `X-Camera`, `X-Frame`, `X-View` (tile, picture, matte,
/// checkerboard, overlay or raw), `X-Sent` and, if known, `X-Captured` (unix time in milliseconds,
/// by the clock of mattebox).
#[utoipa::path(
    get,
    path = "/api/live",
    params(LiveQuery),
    responses(
        (
            status = 200,
            description = "Endless sequence of parts",
            body = Vec<u8>,
            content_type = "multipart/x-mixed-replace",
        ),
        StreamProblems,
    )
)]
pub(crate) async fn live(
    State(site): State<Arc<Site>>,
    query: Result<Query<LiveQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(bad)?;
    let large = match (&query.camera, &query.view) {
        (Some(id), view) => {
            let camera = camera(&site, id)?;
            let view = choose(&site, &camera, view.as_deref())?;
            Some((camera, view))
        }
        (None, Some(_)) => return Err(bad("view needs the name of a camera: camera=NAME")),
        (None, None) => None,
    };
    let permit = admit(&site)?;
    let watched = large.as_ref().map(|(camera, _)| camera.clone());
    let mut parts: SelectAll<BoxStream<'static, _>> = SelectAll::new();
    let numbers = seconds(site.clone()).map(|site| {
        let json = serde_json::to_vec(&Overview::new(&site)).unwrap_or_default();
        json_part("cameras", &json)
    });
    parts.push(numbers.boxed());
    if let Some((camera, view)) = large {
        let id = camera.id.to_string();
        let previews = watch(Viewer::new(camera.previews.clone(), view), Duration::ZERO);
        parts.push(previews.map(move |shot| part(&id, view, &shot)).boxed());
    }
    if query.tiles.unwrap_or(true) {
        parts.push(tiles(site.clone(), query.cameras.as_deref()));
    }
    let parts = match watched {
        Some(camera) => while_shown(&site, camera, parts),
        None => parts.boxed(),
    };
    Ok(respond(site, permit, parts))
}
