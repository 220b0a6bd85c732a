//! Checks the host, the origin and the token of each request.
//!
//! * A page of another site must not read or change anything through a browser that can reach this
//!   server. Its requests have another `Origin` or `Sec-Fetch-Site: cross-site`. If the site points
//!   its own name at this server's address (DNS rebinding), they have another `Host`. IP addresses
//!   and localhost are always allowed, because DNS cannot point them elsewhere. Other names need
//!   `--view-host`.
//! * If a token is set, every request that shows or changes something needs it.
use super::{
    places::Place,
    problem::Problem,
    site::{Refusal, Site},
    token::TokenCheck,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{net::IpAddr, sync::Arc};

/// Top-level domains without sites of the internet: by RFC 6762 and 6761, by ICANN (.internal is
/// reserved, .home and .corp are not delegated), of routers, and of Kubernetes' services.
const PRIVATE: [&str; 7] = [
    "internal",
    "local",
    "localhost",
    "home",
    "corp",
    "lan",
    "svc",
];

/// Lets a request through, or answers it with a problem.
pub(super) async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let uri = request.uri();
    let is_browser = headers
        .get(header::USER_AGENT)
        .is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"));
    let is_page = uri.path() == "/" || uri.path().starts_with("/overlay/");
    let is_page = is_page && request.method() == Method::GET;
    let mut response = match refusal(&site, &request) {
        None => next.run(request).await,
        Some((reason, problem)) => {
            site.refused(reason);
            match reason {
                Refusal::Token if is_page => super::page::login(StatusCode::UNAUTHORIZED),
                _ => problem.into_response(),
            }
        }
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        // Players send a password only if asked for it. A browser would open its own dialog over
        // the login page.
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
        // axum rejected the request before a handler, as plain text.
        response =
            Problem::new(response.status(), "this request cannot be understood").into_response();
    }
    super::page::harden(response.headers_mut());
    response
}

/// Lets a request for metrics through if no other site can point its host name at this machine.
pub(super) async fn guard_metrics(request: Request, next: Next) -> Response {
    let (headers, uri) = (request.headers(), request.uri());
    // A program may send no host; a browser always sends one.
    let is_missing = uri.authority().is_none() && !headers.contains_key(header::HOST);
    let is_open = is_missing || !needs_token(uri.path());
    let mut response = match hosts(headers, uri) {
        _ if is_open => next.run(request).await,
        Some(hosts) if hosts.iter().all(|host| is_private(host)) => next.run(request).await,
        hosts => unknown_host(hosts, "this machine by its IP address").into_response(),
    };
    super::page::harden(response.headers_mut());
    response
}

/// Why a request is not answered.
fn refusal(site: &Site, request: &Request) -> Option<(Refusal, Problem)> {
    let headers = request.headers();
    let uri = request.uri();
    let place = request.extensions().get::<Arc<Place>>();
    let is_allowed = |host: &String| is_fixed(host) || site.settings.hosts.contains(host);
    let hosts = hosts(headers, uri);
    if !hosts
        .as_ref()
        .is_some_and(|hosts| hosts.iter().all(is_allowed))
    {
        let advice = "for the page by its address, or start with --view-host and this name";
        return Some((Refusal::Host, unknown_host(hosts, advice)));
    }
    if !is_our_origin(request.method(), headers, uri) {
        let problem = Problem::forbidden("a page of another site asks for this");
        return Some((Refusal::Origin, problem));
    }
    if !needs_token(uri.path()) {
        return None;
    }
    let check = site.check_token(headers);
    if check == TokenCheck::Wrong {
        site.note_wrong_token(place.map(|place| place.peer()));
    }
    if check != TokenCheck::Right {
        let detail = "the token is missing or wrong: send it as `Authorization: Bearer TOKEN`, as \
                      the password of Basic, or log in at /";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, detail);
        return Some((Refusal::Token, problem));
    }
    let is_metrics = uri.path() == "/metrics";
    if !is_metrics && !place.is_none_or(|place| place.admit()) {
        let detail =
            "too many connections are open: close windows of this page, or try again later";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        return Some((Refusal::Connections, problem));
    }
    None
}

fn unknown_host(hosts: Option<Vec<String>>, advice: &str) -> Problem {
    let names = hosts.unwrap_or_default().join("\" and \"");
    Problem::forbidden(format!(
        "host name \"{names}\" is not allowed: ask {advice}"
    ))
}

/// Whether a path needs a token: all do, except the page's style and code, the health checks of
/// process managers, and login and logout.
fn needs_token(path: &str) -> bool {
    !path.starts_with("/assets/") && !matches!(path, "/login" | "/logout" | "/healthz" | "/readyz")
}

fn authority(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    match headers.get(header::HOST) {
        Some(host) => host.to_str().ok()?.parse().ok(),
        None => uri.authority().cloned(),
    }
}

/// Every host name of a request: from its header and, with HTTP/2 and proxies, from its address.
/// `None` if there is none, or one that cannot be parsed.
fn hosts(headers: &HeaderMap, uri: &Uri) -> Option<Vec<String>> {
    if headers.get_all(header::HOST).iter().count() > 1 {
        return None;
    }
    let mut names = Vec::new();
    for authority in [authority(headers, uri), uri.authority().cloned()] {
        // A header that cannot be parsed does not count as missing.
        let Some(authority) = authority else {
            if names.is_empty() {
                return None;
            }
            continue;
        };
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = host.strip_suffix('.').unwrap_or(host);
        names.push(host.to_ascii_lowercase());
    }
    names.dedup();
    Some(names)
}

/// Whether DNS cannot point a host elsewhere: an address, or this machine.
fn is_fixed(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok() || host == "localhost"
}

/// Whether no site of the internet can have this host: an address, a name without a dot such as a
/// container's, or a name in a domain that is reserved for private networks.
fn is_private(host: &str) -> bool {
    let is_below_private = || {
        let (_, top) = host.rsplit_once('.').unwrap_or_default();
        PRIVATE.contains(&top) || host.ends_with(".home.arpa")
    };
    is_fixed(host) || (!host.is_empty() && !host.contains('.')) || is_below_private()
}

fn is_our_origin(method: &Method, headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // A link on another site may open the page itself.
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

    const FIXED: [&str; 5] = [
        "127.0.0.1:9480",
        "localhost",
        "LOCALHOST:1",
        "[::1]:9480",
        "10.0.0.7",
    ];
    const ELSEWHERE: [&str; 4] = [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "worker.svc.evil.example",
    ];

    fn hosts_of(host: &str) -> Option<Vec<String>> {
        hosts(&headers(&[("host", host)]), &Uri::from_static("/"))
    }

    #[test]
    fn only_addresses_and_localhost_are_fixed() {
        let is_fixed = |host: &str| hosts_of(host).is_some_and(|hosts| is_fixed(&hosts[0]));
        assert!(FIXED.iter().all(|host| is_fixed(host)));
        assert!(!ELSEWHERE.iter().any(|host| is_fixed(host)));
        assert!(!is_fixed("worker") && !is_fixed("printer.local"));
    }

    #[test]
    fn metrics_are_served_under_names_of_private_networks_too() {
        let is_private = |host: &str| hosts_of(host).is_some_and(|hosts| is_private(&hosts[0]));
        let names = [
            "worker:9090",
            "worker.mattebox.svc",
            "a.b.svc.cluster.local",
            "pi.local",
            "pi.local.",
            "nas.lan",
            "nas.home.arpa",
        ];
        assert!(FIXED.iter().chain(&names).all(|host| is_private(host)));
        assert!(!ELSEWHERE.iter().any(|host| is_private(host)));
    }

    #[test]
    fn a_request_with_no_host_or_with_two_is_refused() {
        for host in ["", "a b", "@127.0.0.1:x", "me@127.0.0.1"] {
            assert!(hosts_of(host).is_none_or(|hosts| hosts == [""]), "{host:?}");
        }
        assert_eq!(hosts(&HeaderMap::new(), &Uri::from_static("/")), None);
        let mut two = headers(&[("host", "127.0.0.1")]);
        two.append(header::HOST, "evil.example".parse().unwrap());
        assert_eq!(hosts(&two, &Uri::from_static("/")), None);
    }

    #[test]
    fn a_host_in_the_address_counts_beside_the_header() {
        let uri = Uri::from_static("http://evil.example/api/cameras");
        let both = hosts(&headers(&[("host", "127.0.0.1")]), &uri);
        assert_eq!(both.unwrap(), ["127.0.0.1", "evil.example"]);
        assert_eq!(hosts(&HeaderMap::new(), &uri).unwrap(), ["evil.example"]);
        assert_eq!(hosts(&headers(&[("host", "a b")]), &uri), None);
    }

    #[test]
    fn every_request_of_another_site_is_refused() {
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
    fn the_token_may_be_in_the_authorization_or_in_the_cookie() {
        let token = Token::new("0123456789abcdef");
        let check = |pairs: &[(&'static str, &str)]| token.check(&headers(pairs), true);
        let cookie = token.set_cookie(true);
        assert!(
            cookie.contains("HttpOnly")
                && cookie.contains("SameSite=Strict")
                && cookie.contains("Secure")
                && cookie.starts_with("__Host-mattebox=")
        );
        assert!(!cookie.contains("0123456789abcdef"));
        let pair = cookie.split(';').next().unwrap().to_owned();
        let basic = format!("Basic {}", STANDARD.encode("me:0123456789abcdef"));
        for good in [
            ("authorization", "bearer 0123456789abcdef"),
            ("authorization", &basic),
            ("cookie", &format!("a=b; {pair}")),
        ] {
            assert_eq!(check(&[good]), TokenCheck::Right, "{good:?}");
        }
        for bad in [
            ("authorization", "Bearer 0123456789abcdeg"),
            ("authorization", "0123456789abcdef"),
            ("cookie", "__Host-mattebox=0123456789abcdef"),
        ] {
            assert_eq!(check(&[bad]), TokenCheck::Wrong, "{bad:?}");
        }
        let plain = pair.trim_start_matches("__Host-");
        assert_eq!(
            check(&[("cookie", plain)]),
            TokenCheck::Missing,
            "another host could set it"
        );
        assert_eq!(check(&[]), TokenCheck::Missing);
    }
}
