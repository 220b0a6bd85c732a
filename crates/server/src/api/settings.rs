//! Changes of a camera's settings, from the next frame on.
use super::{
    Site, camera,
    model::{SettingsInfo, mattes},
};
use crate::{
    body::{BODY_TIME, receive},
    problem::Problem,
};
use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
};
use mattebox_core::{
    codec::{DecodeError, Limits},
    compose::{BackgroundPicture, BackgroundSpec},
};
use mattebox_engine::{BackgroundChoice, FrameSettings, cameras::Camera};
use serde::Deserialize;
use std::{fmt::Display, str::FromStr, sync::Arc};
use utoipa::ToSchema;

/// The size of a change of settings in bytes, at most.
const MAX_CHANGE: usize = 16 << 10;
/// The size of an uploaded picture in bytes, at most.
const MAX_UPLOAD: usize = 16 << 20;
/// Pixels of an uploaded picture, at most: 4K and some more.
const MAX_PIXELS: u64 = 12_000_000;

/// The settings to change. Missing ones stay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsChange {
    /// A CSS colour or #RRGGBB, blur or blur:SIGMA, transparent, picture (the last upload), or
    /// start (the background at its start).
    #[schema(example = "#336699", nullable = false)]
    background: Option<String>,
    /// soft, hard, fine or fine:always.
    #[schema(
        example = "soft",
        nullable = false,
        pattern = "^(soft|hard|fine|fine:always)$"
    )]
    matte: Option<String>,
    /// all, nearest or a number from 1 to 9.
    #[schema(
        example = "nearest",
        nullable = false,
        pattern = "^(all|nearest|[1-9])$"
    )]
    people: Option<String>,
    /// auto or off.
    #[schema(example = "off", nullable = false, pattern = "^(auto|off)$")]
    plate: Option<String>,
    /// Remove colour spill of the old room from edges.
    #[schema(nullable = false)]
    foreground_cleanup: Option<bool>,
    /// Reuse the last matte for frames like the one before.
    #[schema(nullable = false)]
    skip_still: Option<bool>,
}

/// Change settings of a camera, until the next change or the end of the process.
#[utoipa::path(
    patch,
    path = "/api/cameras/{id}/settings",
    params(("id" = String, Path, description = "Name of the camera")),
    request_body = SettingsChange,
    responses(
        (status = 200, body = SettingsInfo),
        (
            status = 400,
            description = "Invalid JSON",
            body = Problem,
            content_type = "application/problem+json",
        ),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (
            status = 409,
            description = "The output cannot hold it, or it cannot be changed here",
            body = Problem,
            content_type = "application/problem+json",
        ),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (
            status = 422,
            description = "Unknown setting or value",
            body = Problem,
            content_type = "application/problem+json",
        ),
    )
)]
pub(crate) async fn change(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<SettingsInfo>, Problem> {
    let camera = settable(&site, &id)?;
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if !kind
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send application/json",
        ));
    }
    let body = receive(&headers, body, MAX_CHANGE, BODY_TIME).await?;
    let value: serde_json::Value = serde_json::from_slice(&body)
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("invalid JSON: {e}")))?;
    if !value.is_object()
        || value
            .as_object()
            .is_some_and(|fields| fields.values().any(serde_json::Value::is_null))
    {
        return Err(Problem::unprocessable(
            "send an object with the settings to change; leave out those that stay",
        ));
    }
    let change: SettingsChange =
        serde_json::from_value(value).map_err(|e| Problem::unprocessable(e.to_string()))?;
    let changed = changed(&camera, change)?;
    let settings = SettingsInfo::new(&changed);
    tracing::info!(camera = %camera.id, settings = settings_text(&settings), "settings changed");
    camera.set_settings(changed);
    Ok(Json(settings))
}

/// Upload a background: a JPEG, PNG or WebP file.
#[utoipa::path(
    post,
    path = "/api/cameras/{id}/background",
    params(("id" = String, Path, description = "Name of the camera")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = SettingsInfo),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (
            status = 409,
            description = "The output cannot hold it, or it cannot be changed here",
            body = Problem,
            content_type = "application/problem+json",
        ),
        (
            status = 413,
            description = "The picture is larger than 16 MiB",
            body = Problem,
            content_type = "application/problem+json",
        ),
        (
            status = 422,
            description = "Not a picture, or too many pixels",
            body = Problem,
            content_type = "application/problem+json",
        ),
        (
            status = 503,
            description = "Too many uploads at once",
            body = Problem,
            content_type = "application/problem+json",
        ),
    )
)]
pub(crate) async fn upload(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<SettingsInfo>, Problem> {
    let camera = settable(&site, &id)?;
    if !camera.holds.opaque {
        return Err(Problem::conflict(
            "the output of this camera can have no background: it began transparent",
        ));
    }
    let _turn = site.uploads.try_acquire().map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many uploads at once: try again in a moment",
        )
    })?;
    let body = receive(&headers, body, MAX_UPLOAD, BODY_TIME).await?;
    let limits = Limits {
        max_pixels: MAX_PIXELS,
        ..Limits::default()
    };
    let picture =
        tokio::task::spawn_blocking(move || BackgroundPicture::open(body.to_vec(), &limits))
            .await
            .map_err(|e| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?
            .map_err(|e| Problem::unprocessable(unusable(&e)))?;
    // Frees the decoded picture; the camera's next frame decodes it again.
    picture.rest();
    camera.set_upload(picture);
    let settings = SettingsInfo::new(&camera.settings());
    tracing::info!(camera = %camera.id, settings = settings_text(&settings), "settings changed");
    Ok(Json(settings))
}

/// Why a picture cannot be the background.
fn unusable(error: &DecodeError) -> String {
    match error {
        DecodeError::TooLarge { width, height, .. }
            if width.saturating_mul(*height) > MAX_PIXELS =>
        {
            format!(
                "more than {} megapixels: the picture is {width}x{height}",
                MAX_PIXELS / 1_000_000
            )
        }
        error => format!("this picture cannot be used: {error}"),
    }
}

fn settable(site: &Site, id: &str) -> Result<Arc<Camera>, Problem> {
    let camera = camera(site, id)?;
    match site.is_settable {
        true => Ok(camera),
        false => Err(Problem::conflict(
            "the settings of these cameras cannot be changed here: change them at the start of the \
             process that makes their frames",
        )),
    }
}

fn changed(camera: &Camera, change: SettingsChange) -> Result<FrameSettings, Problem> {
    let before = camera.settings();
    let mut settings = FrameSettings::clone(&before);
    if let Some(text) = change.background {
        settings.background = background(camera, &text)?;
        let holds = camera.holds;
        if settings.background.is_transparent() && !holds.transparent {
            return Err(Problem::conflict(
                "the output of this camera cannot hold transparency: PNG and WebP files can",
            ));
        }
        if !settings.background.is_transparent() && !holds.opaque {
            return Err(Problem::conflict(
                "the output of this camera can have no background: it began transparent",
            ));
        }
    }
    if let Some(text) = change.matte {
        settings.matte = parse("matte", &text)?;
        if !mattes(camera).any(|matte| matte == settings.matte) {
            return Err(Problem::conflict(
                "the network of the fine matte is not loaded: it can be chosen here if this camera \
                 was started with --matte fine",
            ));
        }
    }
    if let Some(text) = change.people {
        settings.people = parse("people", &text)?;
    }
    if let Some(text) = change.plate {
        settings.plate = parse("plate", &text)?;
    }
    settings.foreground_cleanup = change
        .foreground_cleanup
        .unwrap_or(settings.foreground_cleanup);
    settings.skip_still = change.skip_still.unwrap_or(settings.skip_still);
    if camera.only_background && !settings.is_same_but_background(&before) {
        let detail = "only the background of this camera can be changed: its other settings belong \
                      to the stored state of its matte, from which frames may have to be made \
                      again";
        return Err(Problem::conflict(detail));
    }
    Ok(settings)
}

fn parse<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|e| Problem::unprocessable(format!("{name}: {e}")))
}

fn background(camera: &Camera, text: &str) -> Result<BackgroundChoice, Problem> {
    match text {
        "start" => return Ok(camera.start().background),
        "picture" => {
            let upload = camera
                .upload()
                .ok_or_else(|| Problem::conflict("no picture was uploaded for this camera yet"))?;
            return Ok(BackgroundChoice::Upload(upload));
        }
        _ => {}
    }
    match text.parse() {
        // Users of the page must not read files of this machine.
        Ok(BackgroundSpec::Image(_) | BackgroundSpec::Video(_)) => Err(Problem::unprocessable(
            "background: files of this machine cannot be named here: upload the picture",
        )),
        Ok(spec) => Ok(BackgroundChoice::Spec(spec)),
        Err(e) => Err(Problem::unprocessable(format!("background: {e}"))),
    }
}

fn settings_text(settings: &SettingsInfo) -> String {
    serde_json::to_string(settings).unwrap_or_default()
}
