//! Options of FFmpeg with secrets.

/// Options whose names have such a part are not shown: passwords, keys, and headers, which hold
/// both.
const SECRET: &[&str] = &[
    "auth", "cookie", "cred", "header", "key", "login", "pass", "pat", "proxy", "referer",
    "secret", "session", "sign", "token", "user",
];
/// Names with such a part, without a secret.
const HARMLESS: &[&str] = &["keyint_min", "pass", "passlogfile"];

/// Whether the name of an option means a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !HARMLESS.contains(&name.as_str()) && SECRET.iter().any(|word| name.contains(word))
}

/// Whether the value of an option is harmless: a number, a size, a time or a plain word.
pub fn is_plain(name: &str, value: &str) -> bool {
    let is_word = value.len() <= 24
        && value
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    !is_secret(name) && is_word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_name_and_their_form() {
        for (name, value, plain) in [
            ("probesize", "5000000", true),
            ("fflags", "nobuffer", true),
            ("framerate", "29.97", true),
            ("video_size", "640x480", true),
            ("headers", "nobuffer", false),
            ("cookies", "abc", false),
            ("passphrase", "hunter", false),
            ("cryptokey", "00ff", false),
            ("user_agent", "me", false),
            ("http_proxy", "x", false),
            ("rtmp_playpath", "Xy=1&t=2", false),
            ("icy", "http://h/?t=1", false),
        ] {
            assert_eq!(is_plain(name, value), plain, "{name}={value}");
        }
    }
}
