//! The work of FFmpeg beyond decoding. It depends on the input's streams, which are known only when
//! it is open: then it is opened again with a better plan.
use super::SourceOptions;
use crate::ffmpeg::log::InputHeader;
use crate::ffmpeg::streams::Light;
use tracing::warn;

/// The work on an input's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamPlan {
    /// The index of the video, if it is not the first.
    pub(super) stream: Option<u32>,
    /// Interlaced pictures are deinterlaced.
    pub(super) deinterlace: bool,
    /// Colours beyond those of a usual screen are converted.
    pub(super) gamut: Gamut,
    /// Sound is read along with the pictures.
    pub(super) sound: bool,
    /// Pictures that are higher than wide are marked, so that a turn of the camera is noticed. This
    /// fails for an odd width or height.
    pub(super) marks_portrait: bool,
}

impl Default for StreamPlan {
    fn default() -> Self {
        StreamPlan {
            stream: None,
            deinterlace: false,
            gamut: Gamut::Usual,
            sound: false,
            marks_portrait: true,
        }
    }
}

/// The parts that were left out of plans, to be reported once that helps.
#[derive(Debug, Default)]
pub(super) struct Losses(Vec<&'static str>);

impl Losses {
    /// Reports each, once.
    pub(super) fn tell(&mut self, source: &str) {
        for loss in self.0.drain(..) {
            warn!(source, "{loss}");
        }
    }
}

/// The colours that a usual screen cannot show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Gamut {
    /// None.
    #[default]
    Usual,
    /// Stronger colours: the primaries of BT.2020.
    Wide,
    /// The same, and more light, in the code of SMPTE ST 2084 (PQ).
    Pq,
    /// The same in that of ARIB STD-B67 (HLG).
    Hlg,
}

impl StreamPlan {
    /// The plan before the input is known.
    pub(super) fn first(options: &SourceOptions) -> Self {
        StreamPlan {
            sound: options.sound,
            ..StreamPlan::default()
        }
    }

    /// The plan for an input.
    pub(super) fn of(header: &InputHeader, options: &SourceOptions) -> Self {
        let Some(video) = header.video else {
            return StreamPlan::first(options);
        };
        StreamPlan {
            stream: Some(video.index).filter(|index| Some(*index) != header.first_video),
            deinterlace: video.is_interlaced && options.deinterlace,
            gamut: match (video.colours.light, video.colours.is_wide) {
                (Some(Light::Pq), _) => Gamut::Pq,
                (Some(Light::Hlg), _) => Gamut::Hlg,
                (None, true) => Gamut::Wide,
                (None, false) => Gamut::Usual,
            },
            sound: options.sound,
            marks_portrait: true,
        }
    }

    /// Leaves out one part that this FFmpeg may not be able to do. False if there is none left.
    pub(super) fn leave_out(&mut self, losses: &mut Losses) -> bool {
        match self {
            StreamPlan {
                marks_portrait: marks @ true,
                ..
            } => {
                // Its absence needs no warning.
                *marks = false;
                true
            }
            StreamPlan {
                gamut: gamut @ (Gamut::Pq | Gamut::Hlg | Gamut::Wide),
                ..
            } => {
                *gamut = Gamut::Usual;
                losses.0.push(
                    "its colours stay as they are, brighter or stronger than screens show them: \
                     this FFmpeg has no filter zscale",
                );
                true
            }
            StreamPlan {
                sound: sound @ true,
                ..
            } => {
                *sound = false;
                losses
                    .0
                    .push("its sound is left out: FFmpeg cannot pass it on");
                true
            }
            _ => false,
        }
    }

    /// The filter that deinterlaces.
    pub(super) fn deinterlacer(&self) -> Option<&'static str> {
        self.deinterlace
            .then_some("bwdif=mode=send_frame:deint=interlaced")
    }

    /// The filters that convert colours to those of a usual screen.
    pub(super) fn tone_map(&self) -> Option<String> {
        let wide = "zscale=primariesin=2020:matrixin=2020_ncl";
        let light = match self.gamut {
            Gamut::Usual => return None,
            Gamut::Wide => {
                return Some(format!(
                    "{wide}:transferin=709:primaries=709:transfer=709:matrix=709:range=limited"
                ));
            }
            Gamut::Pq => "smpte2084",
            Gamut::Hlg => "arib-std-b67",
        };
        // Light in units of 203 cd/m2, the white of text and paper (ITU-R BT.2408). Pictures are
        // sRGB.
        Some(format!(
            "{wide}:transferin={light}:transfer=linear:npl=203,format=gbrpf32le,\
             zscale=primaries=709,tonemap=mobius:param=0.9:desat=0,\
             zscale=transfer=iec61966-2-1:matrix=709:range=limited"
        ))
    }
}
