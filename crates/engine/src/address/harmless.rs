//! The harmless form of a text that may be an address: scheme, host, port, and the parts of the
//! path that cannot be a key.
//!
//! A part is shown only if it is known to be harmless. Of a text that cannot be parsed for certain,
//! such as one with an `@` after the first `/`, only the scheme is shown.
use super::{MASK, Way};
use std::path::Path;

/// Protocols that may come before an address without `//`. Then only the protocol is shown.
const PROTOCOLS: &[&str] = &[
    "amqp",
    "amqps",
    "bluray",
    "data",
    "dvd",
    "ffrtmpcrypt",
    "ffrtmphttp",
    "ftp",
    "gopher",
    "gophers",
    "hls",
    "http",
    "httpproxy",
    "https",
    "icecast",
    "ipfs",
    "ipns",
    "mmsh",
    "mmst",
    "prompeg",
    "rist",
    "rtmp",
    "rtmpe",
    "rtmps",
    "rtmpt",
    "rtmpte",
    "rtmpts",
    "rtp",
    "rtsp",
    "rtspt",
    "rtspu",
    "rtsps",
    "s3",
    "s3a",
    "sap",
    "sctp",
    "sftp",
    "smb",
    "srt",
    "srtp",
    "tcp",
    "tls",
    "udp",
    "udplite",
    "unix",
    "whep",
    "whip",
    "ws",
    "wss",
    "zmq",
];
/// Prefixes of an address or path.
const WRAPPERS: &[&str] = &["async:", "cache:", "crypto:", "video:", "image:"];
/// Prefixes of several addresses, or of one with options.
const LISTS: &[&str] = &["concat:", "concatf:", "tee:", "subfile:"];
/// Protocols that have the key of the stream as the last part of the path.
const KEYED: &[&str] = &[
    "rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts", "srt", "rist", "whip", "whep", "icecast",
];
/// Protocols that may have a key as the last part of the path of an output.
const KEYED_OUTPUTS: &[&str] = &["http", "https", "ws", "wss", "ftp", "sftp"];
/// A part of a path that contains one of these is hidden, with all parts after it.
const SECRET_WORDS: &[&str] = &[
    "token",
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "auth",
    "signature",
    "credential",
    "session",
    "apikey",
    "jwt",
    "bearer",
    "streamkey",
    "login",
];
/// A part with a word that begins or ends with one of these is hidden too.
const SECRET_ENDS: &[&str] = &["key", "pass"];
/// A part with one of these as a word is hidden too.
const SECRET_ALONE: &[&str] = &[
    "admin", "sig", "sid", "pin", "pw", "psk", "user", "usr", "whip", "whep",
];
/// Words that look like keys but are not.
const PLAIN_WORDS: &[&str] = &[
    "m3u8", "mpeg", "mjpeg", "html", "https", "x264", "x265", "720p", "1080p",
];
/// Extensions of files. An `@` in the name of such a file is no sign of an address.
const FILES: &[&str] = &[
    "jpg", "jpeg", "png", "webp", "mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "gif", "y4m",
    "toml", "tflite", "json", "csv",
];

/// The harmless form of a source or another input.
pub fn source(text: &str) -> String {
    shown(text, Way::In)
}

/// The harmless form of an output.
pub fn output(text: &str) -> String {
    shown(text, Way::Out)
}

/// The harmless form of a path: the whole path if the file exists, else that of an address.
pub fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if path.exists() {
        visible(&text)
    } else {
        source(&text)
    }
}

/// The harmless form of a text. A text that is no address does not change.
pub fn shown(text: &str, way: Way) -> String {
    visible(&without_secrets(text, way))
}

/// Escapes characters that would end a line, move the cursor or change the direction of writing.
fn visible(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(
                c,
                '\u{61c}'
                    | '\u{feff}'
                    | '\u{200e}'
                    | '\u{200f}'
                    | '\u{2028}'..='\u{202e}'
                    | '\u{2066}'..='\u{2069}'
            )
    };
    let mut seen = String::with_capacity(text.len());
    for c in text.chars() {
        match is_hidden(c) {
            true => seen.extend(c.escape_default()),
            false => seen.push(c),
        }
    }
    seen
}

fn without_secrets(text: &str, way: Way) -> String {
    let begins = |word: &&&str| {
        text.get(..word.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(word))
    };
    if let Some(wrapper) = WRAPPERS.iter().find(begins) {
        let (begin, inner) = text.split_at(wrapper.len());
        return format!("{begin}{}", without_secrets(inner, way));
    }
    if let Some(list) = LISTS.iter().find(begins) {
        let (begin, inner) = text.split_at(list.len());
        return if is_suspicious(inner) {
            format!("{begin}{MASK}")
        } else {
            text.to_owned()
        };
    }
    if let Some(graph) = text
        .get(..6)
        .filter(|begin| begin.eq_ignore_ascii_case("lavfi:"))
        .map(|_| &text[6..])
    {
        return format!("lavfi:{}", filter_graph(graph));
    }
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return if is_suspicious(text) {
            MASK.to_owned()
        } else {
            text.to_owned()
        };
    };
    let name = scheme.to_ascii_lowercase();
    match (name.as_str(), rest.strip_prefix("//")) {
        ("file", local) => {
            let path = local.unwrap_or(rest);
            if is_suspicious(path) {
                format!("{scheme}:{MASK}")
            } else {
                text.to_owned()
            }
        }
        (name, Some(rest)) => format!(
            "{scheme}://{}",
            after_scheme(name, rest, way).unwrap_or_else(|| MASK.to_owned())
        ),
        (name, None) if PROTOCOLS.contains(&name) => format!("{scheme}:{MASK}"),
        _ if is_suspicious(text) => MASK.to_owned(),
        _ => text.to_owned(),
    }
}

/// A list of brokers, `HOST:PORT`. An entry of another form is masked.
pub fn hosts(text: &str) -> String {
    let one = |address: &str| {
        let (scheme, host) = match address.trim().split_once("://") {
            Some((scheme, host)) if is_scheme(scheme) => (format!("{scheme}://"), host),
            _ => (String::new(), address.trim()),
        };
        let is_fine = !host.is_empty() && is_host(host);
        if is_fine {
            format!("{scheme}{host}")
        } else {
            format!("{scheme}{MASK}")
        }
    };
    text.split(',').map(one).collect::<Vec<_>>().join(",")
}

fn is_scheme(text: &str) -> bool {
    // At least two letters, because C:\ is a disk.
    (2..=16).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'))
}

/// Host, port and path of an address; `None` if they cannot be told apart for certain.
fn after_scheme(scheme: &str, rest: &str, way: Way) -> Option<String> {
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A password may hold /, ? or #: then it reaches into the path, with the @ behind it.
    if tail.contains('@') {
        return None;
    }
    // A password may hold an @ too: the host begins after the last one.
    let (user, host) = authority
        .rsplit_once('@')
        .map_or(("", authority), |(user, host)| (user, host));
    if !is_host(host) {
        return None;
    }
    let user = if user.is_empty() {
        String::new()
    } else {
        format!("{MASK}@")
    };
    Some(format!("{user}{host}{}", path_of(scheme, tail, way)))
}

/// Whether this is `HOST`, `HOST:PORT`, `[IPv6]:PORT` or `:PORT`, and holds no key.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let is_address = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '%');
            if address.is_empty() || !address.contains(':') || !address.chars().all(is_address) {
                return false;
            }
            (
                address,
                port.strip_prefix(':').or(port.is_empty().then_some("-")),
            )
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("-")),
        },
    };
    let is_port = |port: &str| {
        port == "-"
            || (!port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()))
    };
    let plain = host.replace("{camera}", "camera");
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    let is_plain_name = text.starts_with('[') || !plain.contains([':', '%']);
    let is_known =
        plain.contains(['.', ':']) || plain.is_empty() || is_plain(&plain) || plain.len() <= 12;
    port.is_some_and(is_port)
        && !(host.is_empty() && port == Some("-"))
        && plain.len() <= 253
        && is_plain_name
        && plain.chars().all(is_name)
        && is_known
}

/// The path up to its first part that may be a key. Masks stand for that part and for the query.
fn path_of(scheme: &str, tail: &str, way: Way) -> String {
    let (path, rest) = tail.split_at(tail.find(['?', '#']).unwrap_or(tail.len()));
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let last = parts.iter().rposition(|part| !part.is_empty());
    let protocol = scheme.rsplit('+').next().unwrap_or(scheme);
    let hides_last =
        KEYED.contains(&protocol) || (way == Way::Out && KEYED_OUTPUTS.contains(&protocol));
    let mut shown = String::new();
    for (i, part) in parts.iter().enumerate() {
        shown.push('/');
        if *part == "{camera}" || part.is_empty() {
            shown.push_str(part);
        } else if (hides_last && Some(i) == last) || !is_plain(part) {
            // The parts after it may belong to the same secret.
            shown.push_str(MASK);
            break;
        } else {
            shown.push_str(part);
        }
    }
    if let Some(sign) = rest.chars().next() {
        shown.push(sign);
        shown.push_str(MASK);
    }
    shown
}

/// Whether a part of a path cannot be a key: it has words as in names of streams, or short numbers.
fn is_plain(part: &str) -> bool {
    let part = part.replace("{camera}", "camera");
    let words: Vec<&str> = part
        .split(['.', '_', '~', ',', '-'])
        .filter(|word| !word.is_empty())
        .collect();
    // Keys of streaming services look like this: abcd-efgh-ijkl-mnop.
    let alike = words.len() >= 4 && words.iter().all(|word| word.len() == words[0].len());
    part.len() <= 32
        && words.len() <= 6
        && !alike
        && part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | ',' | '-'))
        && !is_secret_word(&part)
        && words.iter().all(|word| is_plain_word(word))
}

fn is_secret_word(part: &str) -> bool {
    let part = part.to_ascii_lowercase();
    let mut words = part.split(|c: char| !c.is_ascii_alphanumeric());
    SECRET_WORDS.iter().any(|secret| part.contains(secret))
        || words.any(|word| {
            SECRET_ALONE.contains(&word)
                || SECRET_ENDS
                    .iter()
                    .any(|end| word.starts_with(end) || word.ends_with(end))
        })
}

/// Whether letters and digits look like a word with a number, and are not random.
fn is_plain_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    if bytes.len() <= 3 || PLAIN_WORDS.contains(&word.to_ascii_lowercase().as_str()) {
        return true;
    }
    let changes = |is_change: fn(u8, u8) -> bool| {
        bytes
            .windows(2)
            .filter(|pair| is_change(pair[0], pair[1]))
            .count()
    };
    let runs = 1 + changes(|a, b| a.is_ascii_digit() != b.is_ascii_digit());
    let humps = changes(|a, b| a.is_ascii_lowercase() && b.is_ascii_uppercase());
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = bytes.len() - digits;
    let vowels = bytes.iter().filter(|b| b"aeiouyAEIOUY".contains(b)).count();
    bytes.len() <= 16
        && runs <= 3
        && humps <= 2
        && digits <= 6
        && (letters < 5 || vowels * 5 >= letters)
}

/// Whether a text that has no scheme has other signs of an address or of a secret.
fn is_suspicious(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_path = ["/", "./", "../", "~/"]
        .iter()
        .any(|begin| text.starts_with(begin))
        && !text.starts_with("//");
    let name = lower.rsplit('/').next().unwrap_or_default();
    let is_file = name
        .rsplit_once('.')
        .is_some_and(|(stem, end)| !stem.is_empty() && FILES.contains(&end));
    let at = match text.contains('@') {
        false => false,
        true if text.contains(':') => true,
        true => {
            let only_in_name =
                name.contains('@') && lower.matches('@').count() == name.matches('@').count();
            !(is_path || is_file && only_in_name)
        }
    };
    let query = text
        .split_once('?')
        .is_some_and(|(_, query)| query.contains('='));
    // The word before a value.
    let named = lower.match_indices(['=', ':']).any(|(at, _)| {
        let word = lower[..at]
            .rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')))
            .next();
        word.is_some_and(is_secret_word)
    });
    let pairs = text.contains('&') && text.contains('=');
    at || query
        || text.contains("://")
        || text.contains(":\\") && !is_disk(text)
        || named
        || pairs
        || LISTS
            .iter()
            .chain(WRAPPERS)
            .any(|begin| lower.starts_with(begin))
        || lower.split_once(':').is_some_and(|(scheme, _)| {
            PROTOCOLS.contains(&scheme.rsplit('+').next().unwrap_or(scheme))
        })
}

/// `C:\`.
fn is_disk(text: &str) -> bool {
    text.find(":\\") == Some(1)
}

/// The harmless form of a filter graph: the whole graph if it has no address, else its first
/// filter.
fn filter_graph(graph: &str) -> String {
    let bare: String = graph
        .chars()
        .filter(|c| !matches!(c, '\\' | '\''))
        .collect();
    let signs = ["@", "//", "?", "%"];
    let is_fine = !signs.iter().any(|sign| bare.contains(sign))
        && !is_secret_word(&bare)
        && !reads_elsewhere(&bare);
    if is_fine {
        return graph.to_owned();
    }
    let filter: String = graph
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    let is_filter = graph[filter.len()..].starts_with('=') && filter.len() <= 20;
    if is_filter {
        format!("{filter}={MASK}")
    } else {
        MASK.to_owned()
    }
}

/// Whether a filter graph reads from one of FFmpeg's protocols.
fn reads_elsewhere(graph: &str) -> bool {
    let lower = graph.to_ascii_lowercase();
    let names = lower
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '+'))
        .collect::<Vec<_>>();
    lower.contains("movie")
        && names
            .iter()
            .any(|name| PROTOCOLS.contains(name) || LISTS.contains(&format!("{name}:").as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            source("a\nINFO b\u{1b}[2J\r.mp4"),
            "a\\nINFO b\\u{1b}[2J\\r.mp4"
        );
        assert_eq!(output("x\u{202e}gpj.exe"), "x\\u{202e}gpj.exe");
        assert_eq!(source("Küche 2 – 台所.mp4"), "Küche 2 – 台所.mp4");
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("a\nb");
        std::fs::write(&there, "").unwrap();
        assert!(path(&there).ends_with("a\\nb"));
    }

    #[test]
    fn harmless_parts_of_addresses_are_shown() {
        for text in [
            "rtsp://10.0.0.5:554/Streaming/Channels/101",
            "rtsp://cam/h264Preview_01_main",
            "rtsp://[fe80::1%eth0]:554/cam1",
            "rtsp://[::1]/axis-media/media.amp",
            "http://cam.example/mjpg/video.cgi",
            "https://h/live/stream_2/index.m3u8",
            "udp://239.0.0.1:1234",
            "srt://:9000",
            "rtsp://10.0.0.5/live/{camera}",
            "clips/a.mp4",
            "/home/me@work/a.mp4",
            "logo@2x.png",
            "C:\\clips\\a.mp4",
            "12:30.mp4",
            "pictures/frame?.jpg",
            "lavfi:testsrc2=size=640x360:rate=25",
            "file:/tmp/a b.mp4",
            "video:beach.mp4",
            "blur:12",
            "topic:matted",
            "0",
            "-",
        ] {
            assert_eq!(source(text), text);
        }
        assert_eq!(source("udp://@239.0.0.1:1234"), "udp://239.0.0.1:1234");
    }

    #[test]
    fn secrets_are_never_shown() {
        for (text, want) in [
            ("rtsp://me:hunter2@cam:554/1", "rtsp://***@cam:554/1"),
            ("RTSP://me:hunter2@cam/1", "RTSP://***@cam/1"),
            ("rtsp://hunter2@cam/1", "rtsp://***@cam/1"),
            ("rtsp://me:hun@ter2@cam/1", "rtsp://***@cam/1"),
            ("rtsp://me:hun ter2@cam/1", "rtsp://***@cam/1"),
            ("rtsp://me:hun\\ter2@cam/1", "rtsp://***@cam/1"),
            ("rtsp://me:hun%2Fter2@cam/1", "rtsp://***@cam/1"),
            ("rtsp://me:hun/ter2@cam/1", "rtsp://***"),
            ("rtsp://me:hun?ter2@cam/1", "rtsp://***"),
            ("rtsp://me:hun#ter2@cam/1", "rtsp://***"),
            ("rtsp://me%3Ahunter2%40cam/1", "rtsp://***"),
            ("rtsp://me:hunter2", "rtsp://***"),
            ("rtsp://cam/1?user=me&password=hunter2", "rtsp://cam/1?***"),
            (
                "rtsp://cam/user=me_password=hunter2_channel=1_stream=0.sdp",
                "rtsp://cam/***",
            ),
            (
                "rtsp://cam/user=me&password=hun/ter2/a&channel=1",
                "rtsp://cam/***",
            ),
            (
                "rtsp://cam/cam/realmonitor?channel=1&subtype=0",
                "rtsp://cam/cam/realmonitor?***",
            ),
            (
                "srt://h:9000?mode=caller&passphrase=hunter2hunter2",
                "srt://h:9000?***",
            ),
            ("rtmp://h/live/hunter2", "rtmp://h/live/***"),
            ("rtmps://h:443/app/hunter2/", "rtmps://h:443/app/***"),
            (
                "http://h/hls/9f8a7b6c5d4e3f2a1b0c/index.m3u8",
                "http://h/hls/***",
            ),
            ("http://h/token/hunter2/index.m3u8", "http://h/***"),
            ("http://h/a.m3u8#hunter2", "http://h/a.m3u8#***"),
            (
                "https://b.s3.amazonaws.com/a.mp4?X-Amz-Signature=hunter2",
                "https://b.s3.amazonaws.com/a.mp4?***",
            ),
            (
                "crypto+http://me:hunter2@h/a.mp4",
                "crypto+http://***@h/a.mp4",
            ),
            (
                "cache:http://me:hunter2@h/a.mp4",
                "cache:http://***@h/a.mp4",
            ),
            (
                "async:cache:http://h/a.mp4?t=hunter2",
                "async:cache:http://h/a.mp4?***",
            ),
            (
                "concat:http://me:hunter2@h/a|http://me:hunter2@h/b",
                "concat:***",
            ),
            ("tee:[f=flv]rtmp://h/live/hunter2", "tee:***"),
            ("subfile,,start,0,end,9,,:http://me:hunter2@h/a", "***"),
            (
                "lavfi:movie=rtsp\\\\://me\\\\:hunter2@cam/1",
                "lavfi:movie=***",
            ),
            ("lavfi:movie='http\\://h/hunter2'", "lavfi:movie=***"),
            ("video:rtsp://me:hunter2@cam/1", "video:rtsp://***@cam/1"),
            ("rtsp:me:hunter2@cam/1", "rtsp:***"),
            ("http:/me:hunter2@cam/1", "http:***"),
            ("me:hunter2@cam/1", "***"),
            ("h:554/user=admin&pw=hunter2&channel=1", "***"),
            ("h/user=admin&passwort=hunter2", "***"),
            ("h:554/live?pwd:hunter2", "***"),
            ("rtsp://h/live/admin/hunter2", "rtsp://h/live/***"),
            ("//me:hunter2@cam/1", "***"),
            ("hunter2@cam/1", "***"),
            ("rtsp:\\\\me:hunter2@cam", "rtsp:***"),
            ("rtsps://h:7441/aBcD3fGh1jKlMn0P", "rtsps://h:7441/***"),
            (
                "http://h/550e8400-e29b-41d4-a716-446655440000/a.ts",
                "http://h/***",
            ),
            ("http://h/abcd-efgh-ijkl-mnop-qrst/a.ts", "http://h/***"),
        ] {
            assert_eq!(source(text), want, "{text}");
            // The harmless form does not change again.
            assert_eq!(source(want), want);
        }
        assert_eq!(output("http://h/live/hunter2"), "http://h/live/***");
        assert_eq!(hosts("a:1, b:2"), "a:1,b:2");
        assert_eq!(
            hosts("me:hunter2,me:hunter2@h:1,SASL_SSL://h:1"),
            "***,***,***"
        );
    }
}
