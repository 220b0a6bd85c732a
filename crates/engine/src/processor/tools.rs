//! The segmenter, compositor and encoders of one thread for one kind of matte, with their buffers.
use super::{Rejection, Step};
use crate::{FrameSettings, Networks, StartError};
use image::{GrayImage, RgbImage};
use mattebox_core::{
    codec::{Encoder, ImageFormat},
    compose::{Background, Composed, Compositor},
    frame::Timestamp,
    matte::{Coarse, Matte, MatteMode, MatteState, People, PlateMode, Refiner, Segmenter},
};
use mattebox_net::SimdLevel;

/// The settings that decide which tools are made: frames that share them share the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ToolKey {
    model: usize,
    matte: MatteMode,
    people: People,
    plate: PlateMode,
    foreground_cleanup: bool,
    skip_still: bool,
    format: ImageFormat,
    jpeg_quality: u8,
    simd: SimdLevel,
}

impl ToolKey {
    pub(super) fn of(settings: &FrameSettings, networks: &Networks) -> Self {
        ToolKey {
            model: networks.finder.address(),
            matte: settings.matte,
            people: settings.people,
            plate: settings.plate,
            foreground_cleanup: settings.foreground_cleanup,
            skip_still: settings.skip_still,
            format: settings.format,
            jpeg_quality: settings.jpeg_quality,
            simd: settings.simd,
        }
    }
}

/// Segments, refines, composes and encodes, in this order.
pub(super) struct Tools {
    cleans_up: bool,
    segmenter: Segmenter,
    refiner: Refiner,
    compositor: Compositor,
    encoder: Encoder,
    alpha_encoder: Encoder,
    coarse: Coarse,
    matte: Matte,
    composed: Composed,
    bytes: Vec<u8>,
}

impl Tools {
    pub(super) fn new(settings: &FrameSettings, networks: &Networks) -> Result<Self, StartError> {
        let simd = settings.simd;
        let finder = networks.finder.network(simd)?;
        let mut segmenter = Segmenter::with_network(finder, settings.matte, simd)?
            .showing(settings.people)
            .learning_room(settings.plate == PlateMode::Auto)
            .skipping_still(settings.skip_still);
        if let Some(fine) = &networks.fine {
            segmenter = segmenter.drawing_edges(fine.network(simd)?, simd)?;
        }
        Ok(Tools {
            cleans_up: settings.foreground_cleanup && settings.matte.has_state(),
            segmenter,
            refiner: Refiner::new(simd)?,
            compositor: Compositor::new(simd)?,
            encoder: Encoder::new(settings.format, settings.jpeg_quality),
            alpha_encoder: Encoder::new(ImageFormat::Png, settings.jpeg_quality),
            coarse: Coarse::default(),
            matte: Matte::default(),
            composed: Composed::default(),
            bytes: Vec::new(),
        })
    }

    /// Finds out where people are. True if the network was not asked, because the picture is like
    /// the one before.
    pub(super) fn segment(
        &mut self,
        picture: &RgbImage,
        time: Timestamp,
        state: &mut MatteState,
    ) -> bool {
        self.segmenter
            .segment_into(picture, time, state, &mut self.coarse);
        self.coarse.is_still()
    }

    /// Brings the matte to the picture's size.
    pub(super) fn refine(&mut self, picture: &RgbImage) {
        self.refiner.refine(picture, &self.coarse, &mut self.matte);
    }
}

/// A frame whose matte is known. What is asked for is made when it is asked for, once.
pub struct MattedFrame<'a> {
    pub(super) tools: &'a mut Tools,
    pub(super) step: Step<'a>,
    pub(super) picture: &'a RgbImage,
    pub(super) background: Background,
    pub(super) still: bool,
    pub(super) is_composed: bool,
}

impl MattedFrame<'_> {
    /// The picture as it came.
    pub fn picture(&self) -> &RgbImage {
        self.picture
    }

    /// How much of each pixel is person, 0 to 255.
    pub fn alpha(&self) -> &GrayImage {
        self.tools.matte.alpha()
    }

    /// Whether the network was not asked, because the picture is like the one before.
    pub fn is_still(&self) -> bool {
        self.still
    }

    /// The matte as a PNG file.
    pub fn encode_alpha(&mut self) -> Result<&[u8], Rejection> {
        let Tools {
            alpha_encoder,
            matte,
            bytes,
            ..
        } = &mut *self.tools;
        self.step
            .encode(|| alpha_encoder.encode_gray(matte.alpha(), bytes))
            .map_err(Rejection::not_encodable)?;
        Ok(&self.tools.bytes)
    }

    /// The picture as it came, its matte, and the people before the new background.
    pub fn views(&mut self) -> (&RgbImage, &GrayImage, &Composed) {
        self.compose();
        (self.picture, self.tools.matte.alpha(), &self.tools.composed)
    }

    /// The people before the new background.
    pub fn composed(&mut self) -> &Composed {
        self.compose();
        &self.tools.composed
    }

    /// The same as a picture of the caller's own. `spare` is one whose memory can be used again.
    pub fn take_composed(&mut self, spare: Composed) -> Composed {
        self.compose();
        self.is_composed = false;
        std::mem::replace(&mut self.tools.composed, spare)
    }

    /// The same as a file in the format of the settings.
    pub fn encode(&mut self) -> Result<&[u8], Rejection> {
        let Tools {
            encoder,
            compositor,
            matte,
            composed,
            bytes,
            cleans_up,
            ..
        } = &mut *self.tools;
        let encoded = if self.is_composed {
            self.step.encode(|| encoder.encode(composed, bytes))
        } else {
            let mut rows = self
                .step
                .compose(|| compositor.begin(self.picture, matte, &self.background, *cleans_up));
            self.step.encode(|| encoder.encode_rows(&mut rows, bytes))
        };
        encoded.map_err(Rejection::not_encodable)?;
        Ok(&self.tools.bytes)
    }

    fn compose(&mut self) {
        if std::mem::replace(&mut self.is_composed, true) {
            return;
        }
        let Tools {
            compositor,
            matte,
            composed,
            cleans_up,
            ..
        } = &mut *self.tools;
        let picture = self.picture;
        let background = &self.background;
        self.step
            .compose(|| compositor.compose(picture, matte, background, *cleans_up, composed));
    }
}
