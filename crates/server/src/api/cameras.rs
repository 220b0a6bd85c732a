//! Cameras with their state.
use super::{
    Site, camera,
    model::{CameraDetail, Overview},
};
use crate::problem::Problem;
use axum::{
    Json,
    extract::{Path, State},
};
use std::sync::Arc;

/// All cameras, with their counts and settings.
#[utoipa::path(get, path = "/api/cameras", responses((status = 200, body = Overview)))]
pub(crate) async fn all(State(site): State<Arc<Site>>) -> Json<Overview> {
    Json(Overview::new(&site))
}

/// One camera, with its last minutes and errors.
#[utoipa::path(
    get,
    path = "/api/cameras/{id}",
    params(("id" = String, Path, description = "Name of the camera")),
    responses(
        (status = 200, body = CameraDetail),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Result<Json<CameraDetail>, Problem> {
    Ok(Json(CameraDetail::new(&site, &*camera(&site, &id)?)))
}
