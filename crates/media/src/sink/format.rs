//! The FFmpeg options for each kind of video and stream.
use super::SinkError;
use super::encoder::{EncoderPixels, EncoderSetup};
use super::encoder_input::TIME_UNITS;
use mattebox_core::compose::Composed;
use std::fmt;
use std::path::Path;

/// Ends of the names of videos, as messages list them.
pub(super) const VIDEOS: &[&str] = &["mp4", "mov", "mkv", "webm", "ts", "gif"];
/// Those of them that can be transparent.
const TRANSPARENT: &str =
    "webm (VP9), mov (ProRes 4444), mkv (FFV1) or gif (all or nothing), or a folder of PNG files";
/// Protocols of addresses, as messages list them.
pub(super) const SCHEMES: &[&str] = &[
    "rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "tcp", "rtp", "http", "https",
];

/// The quality of VP9 where none is asked for.
const VP9_CRF: u8 = 24;

/// A way to pack a video.
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

/// What becomes of sound in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SoundCoding {
    /// It is kept as it is.
    Copy,
    /// The format cannot hold it as it is, and it is encoded by this encoder.
    Encode(&'static str),
    /// The format has no sound.
    None,
}

/// What the bytes of a video are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VideoCarrier {
    /// A file. Everything up to where it breaks off can be played.
    File,
    /// A named pipe or standard output: what was written cannot be changed.
    Pipe,
    /// A server.
    Address,
}

/// Size and kind of pictures.
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

    /// Remembers the first shape, and refuses one that differs from it.
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

    /// The format of a file by the end of its name, in lower case.
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

    /// What becomes of sound of this codec.
    pub(super) fn sound(self, codec: &str) -> SoundCoding {
        let (held, otherwise): (&[&str], _) = match self {
            VideoFormat::Gif | VideoFormat::Y4m => return SoundCoding::None,
            // It holds whatever there is.
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

    /// What such pictures are encoded with, where that is no choice. `None`: it is H.264, by an
    /// encoder that can be chosen.
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

    /// Whether a quality can be asked for.
    pub(super) fn takes_crf(self, alpha: bool) -> bool {
        self == VideoFormat::WebM || self.only_coding(alpha).is_none()
    }

    /// The output options, all but the name of the output. `encoder` is the one of H.264, if it is
    /// that.
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
                // A palette for each picture: one for all would have to wait for the last.
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
            // It knows a rate only.
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

    /// How a file is cut into pieces of half a second that reach the disk one by one. `delay_moov`
    /// lets the head of the file know how late its first picture comes.
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

    /// Whether players want an index at the beginning of the file, which is known only at its end.
    pub(super) fn has_index(self) -> bool {
        matches!(self, VideoFormat::Mp4 | VideoFormat::Mov)
    }

    /// The name by which FFmpeg knows it, of a format with an index.
    pub(super) fn muxer(self) -> &'static str {
        match self {
            VideoFormat::Mov => "mov",
            _ => "mp4",
        }
    }
}

/// How pictures become H.264: the filters, the encoder and its options.
pub(super) fn encoding(shape: PictureShape, encoder: &EncoderSetup) -> Vec<String> {
    let mut options = vec!["-c:v".to_owned(), encoder.name.clone()];
    options.extend(encoder.options.iter().cloned());
    let mut add = |words: &str| options.extend(words.split(' ').map(str::to_owned));
    colour(&mut add, even(shape), encoder.pixels);
    options.extend(enc_time_base(encoder.time_units));
    options
}

/// In steps of a frame, two pictures that come close together would be one.
fn enc_time_base(units: u32) -> [String; 2] {
    ["-enc_time_base:v".to_owned(), format!("1:{units}")]
}

/// What a picture says of its colours.
const BT709: &str = "range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709";

/// Converts to the colours of HD video (BT.709, limited range) whatever the size, and says so in
/// the file. Left alone, FFmpeg would use those of SD and say nothing, and players would guess by
/// the size. Each picture says it too: the encoder of ProRes asks those.
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

/// H.264 with colour at half resolution has even sizes only: the last column and row are repeated
/// where one is missing, so that nothing is cut off.
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
    fn what_messages_list_is_what_is_accepted() {
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
