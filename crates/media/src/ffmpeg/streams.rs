//! The description of a stream in FFmpeg's log.
use mattebox_core::yuv::{Matrix, Range};

/// A video stream.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct VideoStream {
    /// Its index among the streams of the file.
    pub index: u32,
    /// Players show this stream by default.
    pub is_default: bool,
    /// It is a cover picture, or another single picture beside sound.
    pub is_cover: bool,
    /// Its pictures are JPEG.
    pub is_motion_jpeg: bool,
    /// Width and height in pixels, if known.
    pub size: Option<(u32, u32)>,
    /// Pictures per second.
    pub fps: Option<f64>,
    /// The meaning of its samples.
    pub colours: Colours,
    /// Its pictures are interlaced.
    pub is_interlaced: bool,
}

/// The meaning of a picture's samples, as far as FFmpeg prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Colours {
    /// The samples are red, green and blue.
    pub is_rgb: bool,
    /// The matrix from luma and chroma to colours.
    pub matrix: Option<Matrix>,
    /// The range of the samples.
    pub range: Option<Range>,
    /// The coding of light beyond that of a usual screen.
    pub light: Option<Light>,
    /// Its primaries are those of BT.2020.
    pub is_wide: bool,
}

/// The coding of light beyond that of a usual screen (ITU-R BT.2100).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Light {
    /// SMPTE ST 2084.
    Pq,
    /// ARIB STD-B67.
    Hlg,
}

impl Colours {
    /// The matrix. If FFmpeg does not print it, the one that players assume: BT.709 for HD, BT.601
    /// for smaller pictures.
    pub fn matrix_of(&self, size: Option<(u32, u32)>) -> Matrix {
        let by_size = match size {
            Some((width, height)) if width >= 1280 || height > 576 => Matrix::Bt709,
            _ => Matrix::Bt601,
        };
        self.matrix.unwrap_or(by_size)
    }

    /// Reads a text such as `yuv420p(tv, bt709/bt2020/smpte2084, top first)`. Also tells whether
    /// the video is interlaced.
    fn read(text: &str) -> (Self, bool) {
        let (format, tags) = match text.split_once('(') {
            Some((format, rest)) => (format, rest.trim_end_matches(')')),
            None => (text, ""),
        };
        let mut colours = Colours {
            is_rgb: is_rgb(format),
            range: format.starts_with("yuvj").then_some(Range::Full),
            ..Colours::default()
        };
        let mut is_interlaced = false;
        for tag in tags.split(", ") {
            match tag {
                "tv" => colours.range = Some(Range::Limited),
                "pc" => colours.range = Some(Range::Full),
                "progressive" => {}
                _ if tag.ends_with(" first") || tag.ends_with("(swapped)") => is_interlaced = true,
                _ => {
                    let mut names = tag.split('/');
                    let space = names.next().unwrap_or_default();
                    let primaries = names.next().unwrap_or(space);
                    let transfer = names.next().unwrap_or(space);
                    colours.matrix = colours.matrix.or(matrix(space));
                    colours.is_wide |= primaries == "bt2020";
                    colours.light = match transfer {
                        "smpte2084" => Some(Light::Pq),
                        "arib-std-b67" => Some(Light::Hlg),
                        _ => colours.light,
                    };
                }
            }
        }
        (colours, is_interlaced)
    }
}

fn is_rgb(format: &str) -> bool {
    [
        "rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr",
    ]
    .iter()
    .any(|name| format.starts_with(name))
}

fn matrix(space: &str) -> Option<Matrix> {
    match space {
        "bt709" | "smpte240m" => Some(Matrix::Bt709),
        "bt470bg" | "smpte170m" | "fcc" => Some(Matrix::Bt601),
        "bt2020nc" | "bt2020c" => Some(Matrix::Bt2020),
        _ => None,
    }
}

impl VideoStream {
    /// Reads a line such as `Stream #0:1[0x2](und): Video: h264 (High), yuv420p(tv, bt709), 640x360
    /// [SAR 1:1 DAR 16:9], 25 fps (default)`. `None` if it is of another kind.
    pub fn read(line: &str) -> Option<Self> {
        let (place, what) = line.split_once(" Video: ")?;
        let index = place
            .strip_prefix("Stream #0:")?
            .split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()?;
        let parts = parts(what);
        let codec = parts.first().copied().unwrap_or_default();
        let (colours, is_interlaced) = parts.get(1).map(|text| Colours::read(text))?;
        let size = |part: &&str| {
            let (width, height) = part.split(' ').next()?.split_once('x')?;
            Some((width.parse().ok()?, height.parse().ok()?))
        };
        let rate = |unit: &str| {
            let part = parts
                .iter()
                .find(|part| part.split(' ').nth(1) == Some(unit))?;
            super::log::frame_rate(part.split(' ').next()?)
        };
        Some(VideoStream {
            index,
            is_default: line.contains("(default)"),
            is_cover: line.contains("(attached pic)") || line.contains("(still image)"),
            is_motion_jpeg: codec.split(' ').next() == Some("mjpeg"),
            size: parts.iter().skip(1).find_map(size),
            fps: rate("fps").or_else(|| rate("tbr")),
            colours,
            is_interlaced,
        })
    }

    /// Whether players prefer this stream to `other`.
    pub fn goes_before(&self, other: &VideoStream) -> bool {
        self.is_default && !other.is_default
    }
}

/// The name of the codec in a line such as `Stream #0:1: Audio: aac (LC), 44100 Hz, mono`. `None`
/// if it is of another kind.
pub fn audio_codec(line: &str) -> Option<&str> {
    let (_, what) = line.split_once(" Audio: ")?;
    what.split([' ', ',']).next()
}

/// Splits a description at the commas outside of brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let between = |c: char| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    };
    text.split(between).map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> VideoStream {
        VideoStream::read(line).unwrap()
    }

    #[test]
    fn a_line_is_read() {
        let stream = read(
            "Stream #0:1[0x2](und): Video: hevc (Main 10) (hvc1 / 0x31637668), yuv420p10le(tv, \
             bt2020nc/bt2020/smpte2084, top first), 720x576 [SAR 64:45 DAR 16:9], 3075 kb/s, \
             29.97 fps, 25 tbr (default)",
        );
        assert_eq!(
            stream,
            VideoStream {
                index: 1,
                is_default: true,
                is_cover: false,
                is_motion_jpeg: false,
                size: Some((720, 576)),
                fps: Some(30_000.0 / 1001.0),
                colours: Colours {
                    is_rgb: false,
                    matrix: Some(Matrix::Bt2020),
                    range: Some(Range::Limited),
                    light: Some(Light::Pq),
                    is_wide: true,
                },
                is_interlaced: true,
            }
        );
        assert_eq!(
            VideoStream::read("Stream #0:0: Audio: aac (LC), 44100 Hz"),
            None
        );
        assert_eq!(
            audio_codec("Stream #0:1: Audio: aac (LC) ([255][0][0][0] / 0x00FF), 44100 Hz"),
            Some("aac")
        );
        assert_eq!(
            audio_codec("Stream #0:1: Audio: pcm_mulaw, 8000 Hz"),
            Some("pcm_mulaw")
        );
    }

    #[test]
    fn tags_of_every_kind() {
        let colours =
            |pixels: &str| read(&format!("Stream #0:0: Video: x, {pixels}, 64x48, 5 fps")).colours;
        let (full, limited) = (Some(Range::Full), Some(Range::Limited));
        for (pixels, matrix, range) in [
            ("yuv420p", None, None),
            ("yuv420p(progressive)", None, None),
            (
                "yuv420p(tv, bt709, progressive)",
                Some(Matrix::Bt709),
                limited,
            ),
            (
                "yuvj422p(pc, bt470bg/unknown/unknown)",
                Some(Matrix::Bt601),
                full,
            ),
            ("yuvj420p", None, full),
            (
                "yuv420p(tv, smpte170m/bt470bg/bt709)",
                Some(Matrix::Bt601),
                limited,
            ),
            ("yuv420p(pc)", None, full),
            ("yuv420p(tv, unknown/bt2020/bt709, left)", None, limited),
        ] {
            let got = colours(pixels);
            assert_eq!((got.matrix, got.range), (matrix, range), "{pixels}");
            assert!(got.light.is_none() && !got.is_rgb, "{pixels}");
        }
        let hlg = colours("yuv420p10le(tv, bt2020nc/bt2020/arib-std-b67)");
        assert_eq!(hlg.light, Some(Light::Hlg));
        assert!(colours("gbrp(pc, gbr/unknown/unknown)").is_rgb && colours("bgra").is_rgb);
    }

    #[test]
    fn a_missing_matrix_is_the_one_that_players_assume() {
        let untagged = Colours::default();
        for (size, want) in [
            ((1920, 1080), Matrix::Bt709),
            ((1280, 720), Matrix::Bt709),
            ((720, 1280), Matrix::Bt709),
            ((720, 576), Matrix::Bt601),
            ((640, 360), Matrix::Bt601),
        ] {
            assert_eq!(untagged.matrix_of(Some(size)), want, "{size:?}");
        }
    }

    #[test]
    fn the_default_stream_goes_before_the_first() {
        let first = read("Stream #0:0: Video: h264, yuv420p, 160x90, 25 fps");
        let second = read("Stream #0:1: Video: h264, yuv420p, 640x360, 25 fps (default)");
        assert!(second.goes_before(&first) && !first.goes_before(&second));
        assert!(
            read("Stream #0:0: Video: png, rgba(pc), 512x512, 90k tbr (attached pic)").is_cover
        );
    }
}
