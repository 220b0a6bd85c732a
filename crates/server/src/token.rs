//! The token that lets a request through.
use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The cookie's name without TLS.
const COOKIE: &str = "mattebox";
/// The cookie's name with TLS. Browsers take a name that begins like this only from this host, by
/// TLS, and for all of its paths: no other host of the domain can set it.
const HOST_COOKIE: &str = "__Host-mattebox";

fn cookie_name(is_tls: bool) -> &'static str {
    if is_tls { HOST_COOKIE } else { COOKIE }
}

fn cookie(is_tls: bool, value: &str, more: &str) -> String {
    let secure = if is_tls { "; Secure" } else { "" };
    let name = cookie_name(is_tls);
    format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/{secure}{more}")
}

/// What makes a browser forget its cookie.
pub(super) fn remove_cookie(is_tls: bool) -> String {
    cookie(is_tls, "", "; Max-Age=0")
}

/// What a request carries to be let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The token, or a cookie that stands for it.
    Right,
    /// Something else.
    Wrong,
    /// Nothing.
    Nothing,
}

/// A token, as digests: comparing those tells nothing about the token by the time it takes, nor by its length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    token: [u8; 32],
    /// What the cookie holds: not the token itself.
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

    /// What a browser is given to keep.
    pub(super) fn set_cookie(&self, is_tls: bool) -> String {
        cookie(is_tls, &self.cookie, "")
    }

    /// Whether a request carries it.
    pub(super) fn shown_in(&self, headers: &HeaderMap, is_tls: bool) -> Shown {
        let mut cookies = cookies(headers, is_tls).peekable();
        let has_any = headers.contains_key(header::AUTHORIZATION) || cookies.peek().is_some();
        let is_cookie = |value: &str| digest(value).ct_eq(&digest(&self.cookie)).into();
        if self.is_authorization(headers) || cookies.any(is_cookie) {
            Shown::Right
        } else if has_any {
            Shown::Wrong
        } else {
            Shown::Nothing
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

/// The values of our cookies in a request.
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
