//! Who may ask: the right host, the right origin, the right token.
//!
//! * A page of another site must not read or change anything by way of a browser that can reach us. Its requests carry an `Origin` that is not
//!   ours or say `Sec-Fetch-Site: cross-site`. If it has its own name point to our address (DNS rebinding), they carry a `Host` that is not ours:
//!   addresses and localhost cannot be pointed anywhere, other names must be given with `--view-host`.
//! * Where a token is set, it is needed for everything that shows or changes something.
use super::{
    problem::Problem,
    site::{Refusal, Site},
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{net::IpAddr, sync::Arc};

/// Lets a request through or says why not.
pub(super) async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let method = request.method();
    let headers = request.headers();
    let uri = request.uri();
    let is_browser = headers
        .get(header::USER_AGENT)
        .is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"));
    let refusal = if !is_our_host(headers, uri, &site.settings.hosts) {
        Some((
            Refusal::Host,
            Problem::forbidden(
                "this name is not one of ours: use the address, localhost, or allow it with --view-host",
            ),
        ))
    } else if !is_our_origin(method, headers, uri) {
        Some((
            Refusal::Origin,
            Problem::forbidden("a page of another site asks for this"),
        ))
    } else if needs_token(uri.path())
        && !site.token.as_ref().is_none_or(|token| token.is_in(headers))
    {
        let detail = "the token is missing or wrong: send it as `Authorization: Bearer TOKEN`, as the password of Basic, or log in at /";
        Some((
            Refusal::Token,
            Problem::new(StatusCode::UNAUTHORIZED, detail),
        ))
    } else {
        None
    };
    let mut response = match refusal {
        None => next.run(request).await,
        Some((Refusal::Token, _)) if uri.path() == "/" && method == Method::GET => {
            site.refused(Refusal::Token);
            super::page::login(StatusCode::UNAUTHORIZED)
        }
        Some((reason, problem)) => {
            site.refused(reason);
            problem.into_response()
        }
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        // Players send a password only when they are asked for it; a browser would open its own window over the login page.
        let schemes: &[&'static str] = match is_browser {
            true => &["Bearer realm=\"mattebox\""],
            false => &[
                "Basic realm=\"mattebox\", charset=\"UTF-8\"",
                "Bearer realm=\"mattebox\"",
            ],
        };
        for scheme in schemes {
            response.headers_mut().append(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static(scheme),
            );
        }
    }
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if response.status().is_client_error() && kind.starts_with("text/plain") {
        // What could not be read before it was ours to answer.
        response =
            Problem::new(response.status(), "this request cannot be understood").into_response();
    }
    super::page::harden(response.headers_mut());
    response
}

/// The page's style has nothing to hide; health is asked by whoever starts processes; logging in cannot need a login.
fn needs_token(path: &str) -> bool {
    !path.starts_with("/assets/") && !matches!(path, "/login" | "/healthz" | "/readyz")
}

fn authority(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    match headers.get(header::HOST) {
        Some(host) => host.to_str().ok()?.parse().ok(),
        None => uri.authority().cloned(),
    }
}

fn is_our_host(headers: &HeaderMap, uri: &Uri, allowed: &[String]) -> bool {
    if headers.get_all(header::HOST).iter().count() > 1 {
        return false;
    }
    let Some(authority) =
        authority(headers, uri).filter(|authority| !authority.as_str().contains('@'))
    else {
        return false;
    };
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_ascii_lowercase();
    host.parse::<IpAddr>().is_ok() || host == "localhost" || allowed.contains(&host)
}

fn is_our_origin(method: &Method, headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // A link from elsewhere may lead to the page itself.
    let is_visit =
        method == Method::GET && uri.path() == "/" && text("sec-fetch-mode") == Some("navigate");
    let is_same_site = match text("sec-fetch-site") {
        Some("cross-site" | "same-site") => is_visit,
        _ => true,
    };
    let is_same_origin = match (headers.get(header::ORIGIN), authority(headers, uri)) {
        (None, _) => true,
        (Some(origin), Some(ours)) => {
            let origin = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(scheme, host)| {
                matches!(scheme, "http" | "https") && host.eq_ignore_ascii_case(ours.as_str())
            })
        }
        (Some(_), None) => false,
    };
    is_same_site && is_same_origin
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Token;
    use base64::{Engine, engine::general_purpose::STANDARD};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn only_names_that_nobody_else_can_point_at_us_are_ours() {
        let ours = |host: &str| {
            is_our_host(
                &headers(&[("host", host)]),
                &Uri::from_static("/"),
                &["cams.example".to_owned()],
            )
        };
        assert!(
            [
                "127.0.0.1:9480",
                "localhost",
                "LOCALHOST:1",
                "[::1]:9480",
                "10.0.0.7",
                "cams.example:443"
            ]
            .iter()
            .all(|h| ours(h))
        );
        assert!(
            [
                "evil.example",
                "localhost.evil.example",
                "127.0.0.1.evil.example:80",
                "",
                "a b",
                "@127.0.0.1:x"
            ]
            .iter()
            .all(|h| !ours(h))
        );
        assert!(!is_our_host(&HeaderMap::new(), &Uri::from_static("/"), &[]));
    }

    #[test]
    fn another_site_is_refused_whatever_it_asks_for() {
        let ours = |method: Method, path: &'static str, more: &[(&'static str, &str)]| {
            let all = [&[("host", "127.0.0.1:9480")], more].concat();
            is_our_origin(&method, &headers(&all), &Uri::from_static(path))
        };
        assert!(ours(Method::PATCH, "/api/x", &[]), "a program");
        assert!(ours(
            Method::PATCH,
            "/api/x",
            &[
                ("origin", "http://127.0.0.1:9480"),
                ("sec-fetch-site", "same-origin")
            ]
        ));
        assert!(!ours(
            Method::PATCH,
            "/api/x",
            &[("origin", "http://evil.example")]
        ));
        assert!(!ours(Method::PATCH, "/api/x", &[("origin", "null")]));
        assert!(
            !ours(Method::PATCH, "/api/x", &[("origin", "http://127.0.0.1:1")]),
            "another port is another page"
        );
        assert!(!ours(
            Method::GET,
            "/api/x",
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors")
            ]
        ));
        assert!(!ours(
            Method::GET,
            "/api/x",
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate")
            ]
        ));
        assert!(
            ours(
                Method::GET,
                "/",
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate")
                ]
            ),
            "a link to the page"
        );
    }

    #[test]
    fn the_token_is_taken_from_every_place_that_may_hold_it_and_from_no_other() {
        let token = Token::new("0123456789abcdef");
        let cookie = token.set_cookie(true);
        assert!(
            cookie.contains("HttpOnly")
                && cookie.contains("SameSite=Strict")
                && cookie.contains("Secure")
        );
        assert!(!cookie.contains("0123456789abcdef"));
        let pair = cookie.split(';').next().unwrap().to_owned();
        let basic = format!("Basic {}", STANDARD.encode("me:0123456789abcdef"));
        for good in [
            ("authorization", "bearer 0123456789abcdef"),
            ("authorization", &basic),
            ("cookie", &format!("a=b; {pair}")),
        ] {
            assert!(token.is_in(&headers(&[good])), "{good:?}");
        }
        for bad in [
            ("authorization", "Bearer 0123456789abcdeg"),
            ("authorization", "0123456789abcdef"),
            ("cookie", "mattebox=0123456789abcdef"),
        ] {
            assert!(!token.is_in(&headers(&[bad])), "{bad:?}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
    }
}
