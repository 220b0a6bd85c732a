//! Removes secrets from the messages of other programs and libraries. These repeat addresses:
//! whole, in part, with other escapes, or with the host of a redirect.
use super::{MASK, Way, harmless, option};
use std::process::Command;

/// A part of a secret of at least this length is masked everywhere; a shorter one only as a word.
const LONG: usize = 4;
/// Separators of the parts of an address.
const SEPARATORS: &[char] = &[
    ':', '/', '?', '#', '@', '&', '=', ';', '|', '\\', ',', ' ', '\t', '\'', '"', '[', ']', '<',
    '>', '(', ')', '!',
];
/// Environment variables with the addresses of proxies.
const PROXIES: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

/// The secrets of some addresses.
#[derive(Clone, Default)]
pub struct Scrubber {
    /// Whole texts and their harmless forms.
    whole: Vec<(String, String)>,
    /// Secret parts, the longest first.
    parts: Vec<String>,
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scrubber({} secrets)", self.parts.len())
    }
}

impl Scrubber {
    /// Knows the secrets of these texts. A text that is no address has none.
    pub fn of(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut scrubber = Scrubber::default();
        texts
            .into_iter()
            .for_each(|text| scrubber.learn(text.as_ref(), Way::In));
        scrubber.sorted()
    }

    fn sorted(self) -> Self {
        let mut scrubber = self;
        scrubber
            .whole
            .sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        scrubber
            .parts
            .sort_by_key(|part| std::cmp::Reverse(part.len()));
        scrubber.parts.dedup();
        scrubber
    }

    /// Knows the secrets in the arguments of a command, and of the proxies that it may use.
    pub fn of_command(command: &Command) -> Self {
        let arguments: Vec<_> = command
            .get_args()
            .map(|argument| argument.to_string_lossy())
            .collect();
        let mut scrubber = Scrubber::of_addresses(&arguments);
        for pair in arguments.windows(2) {
            let is_secret = pair[0].strip_prefix('-').is_some_and(option::is_secret);
            if is_secret && !pair[1].is_empty() {
                scrubber.hide(&pair[1]);
            }
        }
        // The last argument is FFmpeg's output.
        if let Some(output) = arguments.last() {
            scrubber.learn(output, Way::Out);
        }
        scrubber.sorted()
    }

    /// Knows the secrets of these addresses, and of the proxies that may be used for them.
    pub fn of_addresses(addresses: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let addresses = addresses
            .into_iter()
            .map(|address| address.as_ref().to_owned());
        Scrubber::of(addresses.chain(PROXIES.iter().filter_map(|name| std::env::var(name).ok())))
    }

    /// Adds a text that is secret as a whole; its longer words are secret too.
    fn hide(&mut self, secret: &str) {
        self.whole.push((secret.to_owned(), MASK.to_owned()));
        let words = secret.split(SEPARATORS).filter(|word| word.len() >= LONG);
        // The name of a header is not secret.
        let words = words.filter(|word| !secret.contains(&format!("{word}:")));
        self.parts.extend(words.map(str::to_owned));
    }

    fn learn(&mut self, text: &str, way: Way) {
        let mut shown = harmless::shown(text, way);
        if shown == text && text.contains('=') {
            // It may be a graph of filters, whose argument has no `lavfi:`.
            let graph = harmless::source(&format!("lavfi:{text}"));
            shown = graph.trim_start_matches("lavfi:").to_owned();
        }
        if shown == text {
            return;
        }
        let known = self.parts.len();
        let kept: Vec<&str> = shown.split(SEPARATORS).collect();
        for variant in [text.to_owned(), decoded(text)] {
            for part in parts(&variant) {
                for form in [part.to_owned(), decoded(part), encoded(part)] {
                    if !form.is_empty() && form != MASK && !kept.contains(&form.as_str()) {
                        self.parts.push(form);
                    }
                }
            }
            // Without a secret part the text is only an example, such as `http://`.
            if self.parts.len() > known {
                self.whole.push((variant, shown.clone()));
            }
        }
    }

    /// The text without secrets: known ones are masked, and everything that looks like an address
    /// has its harmless form.
    pub fn scrub(&self, text: &str) -> String {
        scrub_addresses(&self.scrub_known(text))
    }

    /// The text without the secrets of known addresses. Other addresses, such as examples, stay.
    pub fn scrub_known(&self, words: &str) -> String {
        let mut words = words.to_owned();
        for (text, shown) in &self.whole {
            words = words.replace(text.as_str(), shown);
        }
        for part in &self.parts {
            words = match part.chars().count() >= LONG {
                true => words.replace(part.as_str(), MASK),
                false => replace_words(&words, part),
            };
        }
        words
    }
}

/// The single parts of an address that may be secrets.
fn parts(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for part in text.split(SEPARATORS) {
        let at = part.as_ptr() as usize - text.as_ptr() as usize;
        // The name of a value is not secret, and often a word of the message.
        let is_named = text[at + part.len()..].starts_with('=');
        let is_name =
            |word: &str| word.len() <= 12 && word.chars().all(|c| c.is_ascii_alphabetic());
        if is_named && is_name(part) {
            continue;
        }
        found.push(part);
        // user=admin_password=x_channel=1
        if text.matches('=').count() > 1 {
            let mut pieces: Vec<&str> = part.split('_').collect();
            if is_named && pieces.last().is_some_and(|last| is_name(last)) {
                pieces.pop();
            }
            found.extend(pieces.into_iter().filter(|piece| piece.len() >= LONG));
        }
    }
    found
}

/// Masks a short secret where it is a word.
fn replace_words(text: &str, word: &str) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let before = &rest[..at];
        let after = &rest[at + word.len()..];
        let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        done.push_str(before);
        let alone = !is_part(done.chars().next_back()) && !is_part(after.chars().next());
        done.push_str(if alone { MASK } else { word });
        rest = after;
    }
    done + rest
}

/// The text, with the harmless form of everything that looks like an address.
pub fn scrub_addresses(text: &str) -> String {
    let ends = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\'' | '"' | '<' | '>' | '(' | ')' | '`')
    };
    let mut done = String::with_capacity(text.len());
    for word in text.split_inclusive(ends) {
        let bare = word.trim_end_matches(ends);
        let core = bare.trim_end_matches([':', ',', '.', ';', ']', '…']);
        let is_address = core.contains("://") || core.contains('@') && core.contains(':');
        if is_address {
            done.push_str(&harmless::source(core))
        } else {
            done.push_str(core)
        }
        done.push_str(&word[core.len()..]);
    }
    done
}

/// The text without percent escapes.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes
            .get(i + 1..i + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match hex
            .filter(|_| bytes[i] == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            Some(byte) => {
                plain.push(byte);
                i += 3;
            }
            None => {
                plain.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The text with percent escapes.
fn encoded(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'~' | b'-' => {
                escaped.push(byte.into())
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_secrets_are_masked_in_every_form() {
        let scrubber = Scrubber::of(["rtsp://me:p%40ss word@cam/live?token=abc"]);
        for words in [
            "rtsp://me:p%40ss word@cam/live?token=abc: Connection refused",
            "rtsp://me:p@ss word@cam/live: Connection refused",
            "password p@ss word refused",
            "token=abc is wrong",
            "user me: word",
        ] {
            let shown = scrubber.scrub(words);
            assert!(
                !["p@ss", "p%40ss", "word", "abc", " me"]
                    .iter()
                    .any(|s| shown.replace("password", "").contains(s)),
                "{shown}"
            );
        }
        assert_eq!(
            scrubber.scrub("Connection to tcp://cam:554 failed"),
            "Connection to tcp://cam:554 failed"
        );
        let xmeye = Scrubber::of(["rtsp://h/user=admin_password=hunter2_channel=1_stream=0.sdp"]);
        let shown = xmeye.scrub(
            "hunter2_channel: no such stream 'rtsp://h:554/user=admin_password=hunter2_channel=1'",
        );
        assert!(
            !shown.contains("hunter2") && shown.contains("no such stream"),
            "{shown}"
        );
    }

    #[test]
    fn unknown_addresses_are_shown_in_their_harmless_form() {
        let scrubber = Scrubber::default();
        assert_eq!(
            scrubber.scrub(
                "Error when loading 'https://u:p@cdn/9f8a7b6c5d4e3f2a/1.ts?sig=x', retrying"
            ),
            "Error when loading 'https://***@cdn/***?***', retrying"
        );
        assert_eq!(
            scrubber.scrub("plain: words [h264 @ 0x55] stay (1:2)"),
            "plain: words [h264 @ 0x55] stay (1:2)"
        );
    }
}
