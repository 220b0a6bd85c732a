//! The API of the live page: cameras, their settings, their pictures.
//!
//! # Layout
//!
//! * [`model`]: cameras and their state as JSON; [`cameras`]: the requests for it.
//! * [`settings`]: changes of a camera's settings.
//! * [`pictures`]: single pictures; [`streams`]: moving pictures.
//! * [`events`]: the state once a second; [`live`]: the state and pictures in one stream.
pub(super) mod cameras;
pub(super) mod events;
pub(super) mod live;
pub(super) mod model;
pub(super) mod pictures;
pub(super) mod settings;
pub(super) mod streams;

use super::{problem::Problem, site::Site};
use axum::{
    Json, Router,
    routing::{get, patch, post},
};
use mattebox_engine::cameras::Camera;
use std::sync::Arc;
use utoipa::OpenApi;

/// The description of the API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "mattebox",
        description = "Watch every camera and change its settings."
    ),
    paths(
        cameras::all,
        cameras::one,
        settings::change,
        settings::upload,
        pictures::jpeg,
        pictures::png,
        streams::stream,
        streams::wall,
        events::events,
        live::live
    ),
    components(schemas(Problem))
)]
struct Description;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/cameras", get(cameras::all))
        .route("/api/cameras/{id}", get(cameras::one))
        .route("/api/cameras/{id}/settings", patch(settings::change))
        .route("/api/cameras/{id}/background", post(settings::upload))
        .route("/api/cameras/{id}/frame.jpg", get(pictures::jpeg))
        .route("/api/cameras/{id}/frame.png", get(pictures::png))
        .route("/api/cameras/{id}/stream.mjpg", get(streams::stream))
        .route("/api/wall.mjpg", get(streams::wall))
        .route("/api/events", get(events::events))
        .route("/api/live", get(live::live))
        .route(
            "/api/openapi.json",
            get(async || Json(Description::openapi())),
        )
}

/// The description as JSON.
pub(super) fn description() -> Result<String, serde_json::Error> {
    Description::openapi().to_pretty_json()
}

fn camera(site: &Site, id: &str) -> Result<Arc<Camera>, Problem> {
    site.cameras
        .camera(id)
        .ok_or_else(|| Problem::not_found(format!("there is no camera {id:?}")))
}
