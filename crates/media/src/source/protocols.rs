//! The protocols that FFmpeg may use for a source.
//!
//! A source's data can name more to open: playlists, session descriptions, references inside
//! containers. A stream of the network must not make FFmpeg read this machine's files, and a file
//! must not make it use the network. The lists are FFmpeg's `-protocol_whitelist`
//! (<https://ffmpeg.org/ffmpeg-protocols.html>).

/// For a file.
pub(super) const FILE: &str = "file,crypto,data";
/// For standard input and named pipes.
pub(super) const PIPE: &str = "pipe,crypto,data";

const RTSP: &str = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto";
const RTMP: &str = "rtmp,rtmps,rtmpt,rtmpts,rtmpe,rtmpte,ffrtmphttp,ffrtmpcrypt,\
    tcp,tls,http,https,httpproxy,crypto";
const WEB: &str = "http,https,httpproxy,tcp,tls,crypto,data";

/// For an address, by its scheme.
pub(super) fn of_scheme(scheme: &str) -> String {
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => WEB.to_owned(),
        "rtsp" | "rtsps" => RTSP.to_owned(),
        "file" => FILE.to_owned(),
        // The address names the files to read.
        "concat" | "concatf" | "subfile" | "cache" | "async" => format!("{scheme},{FILE}"),
        _ if scheme.starts_with("rtmp") => RTMP.to_owned(),
        "ipfs" | "ipns" | "mmsh" | "gopher" | "gophers" => format!("{scheme},{WEB}"),
        // The address names the protocol inside: hls+https://…
        _ if scheme.starts_with("hls") => format!("hls,{scheme},{WEB}"),
        _ if scheme.starts_with("crypto+") => format!("{scheme},{WEB}"),
        _ => format!("{scheme},rtp,udp,tcp,tls,crypto,data"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_protocols_open_no_file() {
        let schemes = [
            "http", "https", "rtsp", "rtsps", "rtmp", "rtmpts", "udp", "tcp", "srt", "rtp", "sftp",
            "mmsh", "hls+http", "unix", "HTTP", "ipfs",
        ];
        for scheme in schemes {
            let list = of_scheme(scheme);
            let mut names = list.split(',');
            assert!(names.all(|name| !["file", "pipe", "fd", "subfile", "concat"].contains(&name)));
            let own = scheme.to_ascii_lowercase();
            assert!(list.split(',').any(|name| name == own), "{scheme}: {list}");
        }
    }

    #[test]
    fn a_file_opens_no_network_protocol() {
        for list in [FILE, PIPE, &of_scheme("file")] {
            assert!(
                list.split(',')
                    .all(|name| ["file", "pipe", "crypto", "data"].contains(&name))
            );
        }
    }
}
