//! The FFmpeg options for each kind of video and stream.
use super::SinkError;
use super::encoder::{EncoderPixels, EncoderSetup};
use super::encoder_input::TIME_UNITS;
use mattebox_core::compose::Composed;
use std::fmt;
use std::path::Path;

/// The extensions of videos, as messages list them.
pub(super) const VIDEOS: &[&str] = &["mp4", "mov", "mkv", "webm", "ts", "gif"];
/// The formats that can be transparent.
const TRANSPARENT: &str =
    "webm (VP9), mov (ProRes 4444), mkv (FFV1) or gif (all or nothing), or a folder of PNG files";
/// Protocols of addresses, as messages list them.
pub(super) const SCHEMES: &[&str] = &[
    "rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "tcp", "rtp", "http", "https",
];

/// The default quality of VP9.
const VP9_CRF: u8 = 24;

/// The container of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VideoFormat {
    Mp4,
    Mov,
    Mkv,
    WebM,
    Gif,
    Y4m,
    Rtsp,
    Flv,
    MpegTs,
    RtpMpegTs,
}

/// The treatment of sound in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SoundCoding {
    /// It is copied.
    Copy,
    /// The format cannot hold it, so this encoder encodes it again.
    Encode(&'static str),
    /// The format has no sound.
    None,
}

/// The kind of output that gets the bytes of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VideoCarrier {
    /// A file. An unfinished one plays up to its end.
    File,
    /// A named pipe or standard output: written bytes cannot be changed.
    Pipe,
    /// A server.
    Address,
}

/// The size of pictures, and whether they are transparent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PictureShape {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) alpha: bool,
}

impl PictureShape {
    pub(super) fn of(picture: &Composed) -> Self {
        let (width, height) = picture.dimensions();
        PictureShape {
            width,
            height,
            alpha: matches!(picture, Composed::Rgba(_)),
        }
    }

    /// Keeps the first shape, and refuses one that differs from it.
    pub(super) fn check(
        self,
        first: &mut Option<PictureShape>,
        name: &str,
        frames: u64,
    ) -> Result<(), SinkError> {
        let old = *first.get_or_insert(self);
        match old == self {
            true => Ok(()),
            false => Err(SinkError::SizeChanged {
                name: name.to_owned(),
                frames,
                old: old.to_string(),
                new: self.to_string(),
            }),
        }
    }
}

impl fmt::Display for PictureShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}x{}{}",
            self.width,
            self.height,
            if self.alpha { " with alpha" } else { "" }
        )
    }
}

impl VideoFormat {
    /// The format of a file by its name.
    pub(super) fn of_path(path: &Path) -> Option<VideoFormat> {
        let extension = path.extension()?.to_string_lossy().to_lowercase();
        VideoFormat::of_extension(&extension)
    }

    /// The format of a file by its extension in lower case.
    pub(super) fn of_extension(extension: &str) -> Option<VideoFormat> {
        match extension {
            "mp4" | "m4v" => Some(VideoFormat::Mp4),
            "mov" => Some(VideoFormat::Mov),
            "mkv" => Some(VideoFormat::Mkv),
            "webm" => Some(VideoFormat::WebM),
            "ts" => Some(VideoFormat::MpegTs),
            "gif" => Some(VideoFormat::Gif),
            _ => None,
        }
    }

    /// The format of a stream by the protocol of its address.
    pub(super) fn of_url(url: &str) -> Option<VideoFormat> {
        match url.split("://").next()? {
            "rtsp" | "rtsps" => Some(VideoFormat::Rtsp),
            "rtmp" | "rtmps" => Some(VideoFormat::Flv),
            "srt" | "udp" | "tcp" | "http" | "https" => Some(VideoFormat::MpegTs),
            "rtp" => Some(VideoFormat::RtpMpegTs),
            _ => None,
        }
    }

    /// Why the format cannot hold such pictures, if it cannot.
    pub(super) fn refusal(self, alpha: bool) -> Option<String> {
        let transparent = matches!(
            self,
            VideoFormat::Mov | VideoFormat::Mkv | VideoFormat::WebM | VideoFormat::Gif
        );
        (alpha && !transparent).then(|| {
            format!("this format cannot be transparent: use {TRANSPARENT}, or another background")
        })
    }

    /// The treatment of sound of this codec.
    pub(super) fn sound(self, codec: &str) -> SoundCoding {
        let (held, otherwise): (&[&str], _) = match self {
            VideoFormat::Gif | VideoFormat::Y4m => return SoundCoding::None,
            // It holds any codec.
            VideoFormat::Mkv => return SoundCoding::Copy,
            VideoFormat::WebM => (&["opus", "vorbis"], "libopus"),
            VideoFormat::Mp4 => (&["aac", "mp3", "ac3", "eac3", "alac", "opus"], "aac"),
            VideoFormat::Mov => (&["aac", "mp3", "ac3", "eac3", "alac", "pcm_"], "aac"),
            VideoFormat::Flv => (&["aac", "mp3"], "aac"),
            VideoFormat::MpegTs | VideoFormat::RtpMpegTs => {
                (&["aac", "mp2", "mp3", "ac3", "eac3", "opus"], "aac")
            }
            VideoFormat::Rtsp => (&["aac", "mp3", "opus", "pcm_mulaw", "pcm_alaw"], "aac"),
        };
        let is_held = held.iter().any(|name| match name.ends_with('_') {
            true => codec.starts_with(name),
            false => codec == *name,
        });
        match is_held {
            true => SoundCoding::Copy,
            false => SoundCoding::Encode(otherwise),
        }
    }

    /// Whether it has sound at all.
    pub(super) fn has_sound(self) -> bool {
        self.sound("") != SoundCoding::None
    }

    /// Whether it is made to be watched while it is written.
    pub(super) fn is_live(self) -> bool {
        matches!(
            self,
            VideoFormat::Rtsp | VideoFormat::Flv | VideoFormat::MpegTs | VideoFormat::RtpMpegTs
        )
    }

    /// The only coding of such pictures, for messages. `None`: H.264, with a choice of encoders.
    pub(super) fn only_coding(self, alpha: bool) -> Option<&'static str> {
        match (self, alpha) {
            (VideoFormat::Gif, _) => Some("GIF pictures"),
            (VideoFormat::Y4m, _) => Some("bare samples"),
            (VideoFormat::WebM, _) => Some("VP9"),
            (VideoFormat::Mov, true) => Some("ProRes 4444, for it is transparent"),
            (VideoFormat::Mkv, true) => Some("FFV1, for it is transparent"),
            _ => None,
        }
    }

    /// Whether a quality can be set.
    pub(super) fn takes_crf(self, alpha: bool) -> bool {
        self == VideoFormat::WebM || self.only_coding(alpha).is_none()
    }

    /// The output options, all but the name of the output. `encoder` is set for H.264.
    pub(super) fn options(
        self,
        shape: PictureShape,
        carrier: VideoCarrier,
        encoder: Option<&EncoderSetup>,
        crf: Option<u8>,
    ) -> Vec<String> {
        let mut options: Vec<String> = Vec::new();
        let mut add = |words: &str| options.extend(words.split(' ').map(str::to_owned));
        match (self, shape.alpha) {
            (VideoFormat::Gif, _) => {
                // A palette for each picture: a common one would need all pictures first.
                add("-loop 0 -vf");
                add("split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1");
            }
            (VideoFormat::WebM, alpha) => {
                add(&format!(
                    "-c:v libvpx-vp9 -crf {} -b:v 0 -deadline realtime -cpu-used 6 -row-mt 1",
                    crf.unwrap_or(VP9_CRF)
                ));
                add("-auto-alt-ref 0 -lag-in-frames 0");
                let pixels = if alpha { "yuva420p" } else { "yuv420p" };
                colour(&mut add, None, EncoderPixels::Memory(pixels));
            }
            (VideoFormat::Mov, true) => {
                add("-c:v prores_ks -profile:v 4444 -alpha_bits 16 -vendor apl0");
                colour(&mut add, None, EncoderPixels::Memory("yuva444p10le"));
            }
            (VideoFormat::Y4m, _) => {
                colour(&mut add, even(shape), EncoderPixels::Memory("yuv420p"))
            }
            (VideoFormat::Mkv, true) => add("-c:v ffv1 -level 3 -pix_fmt bgra"),
            _ => {}
        }
        match encoder {
            Some(encoder) => options.extend(encoding(shape, encoder)),
            // This format has only a rate.
            None if self == VideoFormat::Y4m => {}
            None => options.extend(enc_time_base(TIME_UNITS)),
        }
        let mut add = |words: &str| options.extend(words.split(' ').map(str::to_owned));
        match carrier {
            VideoCarrier::File => add(self.small_pieces()),
            VideoCarrier::Pipe if self.has_index() => {
                add("-movflags frag_keyframe+empty_moov+default_base_moof");
            }
            VideoCarrier::Pipe | VideoCarrier::Address => {}
        }
        add(match self {
            VideoFormat::Mp4 => "-f mp4",
            VideoFormat::Mov => "-f mov",
            VideoFormat::Mkv => "-f matroska",
            VideoFormat::WebM => "-f webm",
            VideoFormat::Gif => "-f gif",
            VideoFormat::Y4m => "-f yuv4mpegpipe",
            VideoFormat::Rtsp => "-rtsp_transport tcp -f rtsp",
            VideoFormat::Flv => "-f flv",
            VideoFormat::MpegTs => "-f mpegts",
            VideoFormat::RtpMpegTs => "-f rtp_mpegts",
        });
        options
    }

    /// The options that cut a file into pieces of half a second, which reach the disk one by one.
    /// With `delay_moov` the head of the file has the delay of the first picture.
    fn small_pieces(self) -> &'static str {
        match self {
            VideoFormat::Mp4 | VideoFormat::Mov => {
                "-movflags frag_keyframe+delay_moov+default_base_moof -frag_duration 500000 \
                 -flush_packets 1"
            }
            VideoFormat::Mkv | VideoFormat::WebM => "-cluster_time_limit 500 -flush_packets 1",
            _ => "-flush_packets 1",
        }
    }

    /// Whether players prefer an index at the beginning of the file, which only a finished file can
    /// have.
    pub(super) fn has_index(self) -> bool {
        matches!(self, VideoFormat::Mp4 | VideoFormat::Mov)
    }

    /// FFmpeg's name of a format with an index.
    pub(super) fn muxer(self) -> &'static str {
        match self {
            VideoFormat::Mov => "mov",
            _ => "mp4",
        }
    }
}

/// The options for H.264: the filters, the encoder and its own options.
pub(super) fn encoding(shape: PictureShape, encoder: &EncoderSetup) -> Vec<String> {
    let mut options = vec!["-c:v".to_owned(), encoder.name.clone()];
    options.extend(encoder.options.iter().cloned());
    let mut add = |words: &str| options.extend(words.split(' ').map(str::to_owned));
    colour(&mut add, even(shape), encoder.pixels);
    options.extend(enc_time_base(encoder.time_units));
    options
}

/// With a clock in steps of a frame, two close pictures would become one.
fn enc_time_base(units: u32) -> [String; 2] {
    ["-enc_time_base:v".to_owned(), format!("1:{units}")]
}

/// The colour properties of a picture.
const BT709: &str = "range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709";

/// Converts every size to the colours of HD video (BT.709, limited range), and marks the file with
/// them. By default FFmpeg uses the colours of SD without a mark, and players guess by the size.
/// Each picture has the mark too, which the encoder of ProRes reads.
fn colour(add: &mut impl FnMut(&str), first: Option<String>, pixels: EncoderPixels) {
    let first = first.map(|filter| filter + ",").unwrap_or_default();
    let (last, format) = match pixels {
        EncoderPixels::Memory(format) => (String::new(), format!("-pix_fmt {format} ")),
        EncoderPixels::Uploaded(format) => (format!(",format={format},hwupload"), String::new()),
    };
    add("-vf");
    add(&format!(
        "{first}scale=out_color_matrix=bt709:out_range=limited,setparams={BT709}{last}"
    ));
    add(&format!(
        "{format}-color_range tv -colorspace bt709 -color_primaries bt709 -color_trc bt709"
    ));
}

/// H.264 with colour at half resolution has only even sizes: an odd size gets its last column or
/// row twice, so that nothing is cut off.
fn even(shape: PictureShape) -> Option<String> {
    let right = shape.width % 2;
    let bottom = shape.height % 2;
    let width = shape.width + right;
    let height = shape.height + bottom;
    (right + bottom > 0).then(|| {
        format!("pad={width}:{height},fillborders=right={right}:bottom={bottom}:mode=smear")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_formats_in_messages_are_accepted() {
        assert!(
            VIDEOS
                .iter()
                .all(|extension| VideoFormat::of_extension(extension).is_some())
        );
        assert!(
            SCHEMES
                .iter()
                .all(|scheme| VideoFormat::of_url(&format!("{scheme}://h")).is_some())
        );
    }

    #[test]
    fn only_odd_sizes_are_padded() {
        let pad = |width, height| {
            even(PictureShape {
                width,
                height,
                alpha: false,
            })
        };
        assert_eq!(pad(640, 360), None);
        assert_eq!(
            pad(333, 188).unwrap(),
            "pad=334:188,fillborders=right=1:bottom=0:mode=smear"
        );
    }

    #[test]
    fn a_format_without_alpha_names_those_with_it() {
        assert!(VideoFormat::Mp4.refusal(true).unwrap().contains("webm"));
        assert!(
            VideoFormat::Rtsp.refusal(true).is_some() && VideoFormat::Mp4.refusal(false).is_none()
        );
        assert!(VideoFormat::Mov.refusal(true).is_none());
    }
}
