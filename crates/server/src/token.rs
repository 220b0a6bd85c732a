//! The token that lets a request through.
use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The cookie's name.
const COOKIE: &str = "mattebox";

/// A token, as digests: comparing those tells nothing about the token by the time it takes, nor by its length.
#[derive(Debug)]
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
        let secure = if is_tls { "; Secure" } else { "" };
        format!(
            "{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/{secure}",
            self.cookie
        )
    }

    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        self.is_authorization(headers) || self.is_cookie(headers)
    }

    pub(super) fn is_authorization(&self, headers: &HeaderMap) -> bool {
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

    pub(super) fn is_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let mut values = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        values.any(|(name, value)| {
            name == COOKIE && digest(value).ct_eq(&digest(&self.cookie)).into()
        })
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
