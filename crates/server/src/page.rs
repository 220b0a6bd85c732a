//! The page. Its files are part of the binary.
use super::{
    body::receive,
    places::Place,
    problem::Problem,
    site::{Refusal, Site},
    token::remove_cookie,
};
use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// The size of a login in bytes, at most.
const MAX_LOGIN: usize = 4 << 10;
/// The time limit for receiving a login.
const LOGIN_TIME: Duration = Duration::from_secs(10);

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/page");

/// The media type of a file and its content.
fn find(name: &str) -> Option<(&'static str, &'static str)> {
    let text = FILES.get_file(name)?.contents_utf8()?;
    let kind = match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    };
    Some((kind, text))
}

/// Only files of this server may run or be loaded, and no other page may embed this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' blob:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Adds the security headers of every answer.
pub(super) fn harden(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

fn file(status: StatusCode, name: &str) -> Response {
    match find(name) {
        // The files change with the binary: a browser asks each time, and they are small.
        Some((kind, text)) => (
            status,
            [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, "no-cache"),
            ],
            text,
        )
            .into_response(),
        None => Problem::not_found("there is no such file").into_response(),
    }
}

pub(super) async fn index() -> Response {
    file(StatusCode::OK, "index.html")
}

/// The people of one camera on a transparent background. The page itself reports an unknown camera.
pub(super) async fn overlay() -> Response {
    file(StatusCode::OK, "overlay.html")
}

/// The page that asks for the token.
pub(super) fn login(status: StatusCode) -> Response {
    file(status, "login.html")
}

/// The page that asks again after a wrong token.
fn login_again() -> Response {
    let (kind, text) = find("login.html").unwrap_or_default();
    let text = text.replace("role=\"alert\" hidden", "role=\"alert\"");
    let head = [(header::CONTENT_TYPE, kind)];
    (StatusCode::UNAUTHORIZED, head, text).into_response()
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    match name.ends_with(".html") {
        // Pages have their own routes, on which their links depend.
        true => Problem::not_found("there is no such file").into_response(),
        false => file(StatusCode::OK, &name),
    }
}

#[derive(Default, Deserialize)]
pub(super) struct LoginForm {
    token: String,
}

pub(super) async fn log_in(
    State(site): State<Arc<Site>>,
    place: Option<Extension<Arc<Place>>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = match receive(&headers, body, MAX_LOGIN, LOGIN_TIME).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let given = serde_urlencoded::from_bytes::<LoginForm>(&body).unwrap_or_default();
    match site.cookie_for(given.token.trim()) {
        Some(cookie) => {
            let cookie = cookie.map(|cookie| AppendHeaders([(header::SET_COOKIE, cookie)]));
            (cookie, Redirect::to("/")).into_response()
        }
        None => {
            site.refused(Refusal::Token);
            site.note_wrong_token(place.map(|Extension(place)| place.peer()));
            login_again()
        }
    }
}

pub(super) async fn log_out(State(site): State<Arc<Site>>) -> Response {
    let cookie = remove_cookie(site.settings.tls.is_some());
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> impl Iterator<Item = &'static str> {
        FILES
            .files()
            .map(|file| file.contents_utf8().expect("text"))
    }

    #[test]
    fn the_page_is_small_and_loads_nothing_from_other_hosts() {
        let size: usize = texts().map(str::len).sum();
        assert!(size > 10_000 && size < 100_000, "{size} bytes");
        for text in texts() {
            let outside = text.match_indices("http").filter(|(at, _)| {
                let rest = &text[*at..];
                rest.starts_with("https://")
                    || (rest.starts_with("http://") && !rest.starts_with("http://www.w3.org/"))
            });
            assert_eq!(outside.count(), 0, "an address of another host");
        }
    }

    #[test]
    fn every_file_has_a_media_type_and_every_link_has_its_file() {
        assert!(
            FILES.dirs().next().is_none(),
            "files of folders are not served"
        );
        for file in FILES.files() {
            assert!(
                file.path()
                    .to_str()
                    .is_some_and(|name| find(name).is_some()),
                "{file:?}"
            );
        }
        for text in texts() {
            for (start, _) in text
                .match_indices("/assets/")
                .chain(text.match_indices("from \"./"))
            {
                let name = text[start..]
                    .trim_start_matches("/assets/")
                    .trim_start_matches("from \"./");
                let name: String = name
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
                    .collect();
                assert!(find(&name).is_some(), "{name}");
            }
        }
    }
}
