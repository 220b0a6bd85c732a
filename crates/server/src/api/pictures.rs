//! Single pictures.
use super::{Site, camera};
use crate::problem::Problem;
use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use mattebox_core::{
    codec::{EncodeError, Encoder, ImageFormat},
    compose::Composed,
};
use mattebox_engine::cameras::{checkerboard, preview::Viewer};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

const JPEG_QUALITY: u8 = 90;
/// The time limit for the next frame.
const FRAME_TIMEOUT: Duration = Duration::from_millis(300);

/// The newest picture of a camera as a JPEG file. A checkerboard shows transparency.
#[utoipa::path(
    get,
    path = "/api/cameras/{id}/frame.jpg",
    params(("id" = String, Path, description = "Name of the camera")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/jpeg"),
        (
            status = 404,
            description = "There is no such camera, or no picture yet",
            body = Problem,
            content_type = "application/problem+json",
        ),
    )
)]
pub(crate) async fn jpeg(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    picture(&site, &id, ImageFormat::Jpeg).await
}

/// The newest picture of a camera as a PNG file.
#[utoipa::path(
    get,
    path = "/api/cameras/{id}/frame.png",
    params(("id" = String, Path, description = "Name of the camera")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/png"),
        (
            status = 404,
            description = "There is no such camera, or no picture yet",
            body = Problem,
            content_type = "application/problem+json",
        ),
    )
)]
pub(crate) async fn png(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    picture(&site, &id, ImageFormat::Png).await
}

async fn picture(site: &Site, id: &str, format: ImageFormat) -> Result<Response, Problem> {
    let previews = camera(site, id)?.previews.clone();
    let _turn = site
        .pictures
        .acquire()
        .await
        .map_err(|e| Problem::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string()))?;
    // A waiting viewer makes the next frame be kept. If no frame comes, the last one is sent.
    let _ = tokio::time::timeout(FRAME_TIMEOUT, Viewer::newcomer(previews.clone()).next()).await;
    let still = previews
        .still()
        .ok_or_else(|| Problem::not_found(format!("camera {id:?} has no picture yet")))?;
    let failed = |e: String| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e);
    // Encoding a large picture would delay other answers.
    let encoded = tokio::task::spawn_blocking(move || encode(&still, format))
        .await
        .map_err(|e| failed(e.to_string()))?;
    let bytes = encoded.map_err(|e| failed(e.to_string()))?;
    site.sent.fetch_add(bytes.len() as u64, Relaxed);
    let kind = match format {
        ImageFormat::Png => "image/png",
        _ => "image/jpeg",
    };
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}

fn encode(still: &Composed, format: ImageFormat) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(format, JPEG_QUALITY);
    match (still, format) {
        (Composed::Rgba(clear), ImageFormat::Jpeg) => {
            // Transparent pixels still have the colours of the room, which must not be seen.
            encoder.encode(&Composed::Rgb(checkerboard::under(clear)), &mut bytes)
        }
        _ => encoder.encode(still, &mut bytes),
    }?;
    Ok(bytes)
}
