//! The token for the live page and its API.
use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The cookie's name without TLS.
const COOKIE: &str = "mattebox";
/// The cookie's name with TLS. Browsers accept the prefix `__Host-` only from this host, over TLS
/// and for all paths, so that no other host of the domain can set the cookie.
const HOST_COOKIE: &str = "__Host-mattebox";

fn cookie_name(is_tls: bool) -> &'static str {
    if is_tls { HOST_COOKIE } else { COOKIE }
}

fn cookie(is_tls: bool, value: &str, more: &str) -> String {
    let secure = if is_tls { "; Secure" } else { "" };
    let name = cookie_name(is_tls);
    format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/{secure}{more}")
}

/// A header value by which a browser removes its cookie.
pub(super) fn remove_cookie(is_tls: bool) -> String {
    cookie(is_tls, "", "; Max-Age=0")
}

/// The result of a check of a request's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenCheck {
    /// The request has the token, or its cookie.
    Right,
    /// The request has another token or cookie.
    Wrong,
    /// The request has neither.
    Missing,
}

/// A token as digests: the time of a comparison does not depend on the token or its length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    token: [u8; 32],
    /// The value of the cookie, from which the token cannot be computed.
    cookie: String,
}

impl Token {
    pub(super) fn new(token: &str) -> Self {
        let cookie = Sha256::new()
            .chain_update(b"mattebox cookie")
            .chain_update(token)
            .finalize();
        Token {
            token: digest(token),
            cookie: cookie.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    pub(super) fn is(&self, given: &str) -> bool {
        self.token.ct_eq(&digest(given)).into()
    }

    /// The header value that gives a browser its cookie.
    pub(super) fn set_cookie(&self, is_tls: bool) -> String {
        cookie(is_tls, &self.cookie, "")
    }

    /// Checks the token or cookie of a request.
    pub(super) fn check(&self, headers: &HeaderMap, is_tls: bool) -> TokenCheck {
        let mut cookies = cookies(headers, is_tls).peekable();
        let has_any = headers.contains_key(header::AUTHORIZATION) || cookies.peek().is_some();
        let is_cookie = |value: &str| digest(value).ct_eq(&digest(&self.cookie)).into();
        if self.is_authorization(headers) || cookies.any(is_cookie) {
            TokenCheck::Right
        } else if has_any {
            TokenCheck::Wrong
        } else {
            TokenCheck::Missing
        }
    }

    fn is_authorization(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|v| v.split_once(' '));
        match given {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => self.is(token.trim()),
            Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
                let pair = STANDARD
                    .decode(pair.trim())
                    .ok()
                    .and_then(|pair| String::from_utf8(pair).ok());
                pair.as_deref()
                    .and_then(|pair| pair.split_once(':'))
                    .is_some_and(|(_, password)| self.is(password))
            }
            _ => false,
        }
    }
}

/// The values of the page's cookies in a request.
fn cookies(headers: &HeaderMap, is_tls: bool) -> impl Iterator<Item = &str> {
    let name = cookie_name(is_tls);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(move |(found, value)| (found == name).then_some(value))
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
