//! The segmenter, compositor and encoders of one thread for one kind of matte, with their buffers.
use crate::{FrameSettings, Networks, StartError};
use image::RgbImage;
use mattebox_core::{
    codec::{Encoder, ImageFormat},
    compose::{Background, Composed, Compositor},
    frame::Timestamp,
    matte::{CoarseMatte, Matte, MatteMode, MatteState, People, PlateMode, Refiner, Segmenter},
};
use mattebox_net::SimdLevel;
use std::sync::Arc;

/// The settings on which the tools depend. Frames with the same share their tools.
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

/// The file of a frame without people: only its background.
pub(super) struct BlankFile {
    pub(super) size: (u32, u32),
    pub(super) background: Background,
    pub(super) file: Vec<u8>,
}

impl BlankFile {
    /// Whether every frame of this size without people before `background` has this file.
    pub(super) fn fits(&self, size: (u32, u32), background: &Background) -> bool {
        let is_same = match (&self.background, background) {
            (Background::Picture(a), Background::Picture(b)) => Arc::ptr_eq(a, b),
            (a, b) => a == b,
        };
        is_same && self.size == size
    }
}

/// Segments, refines, composes and encodes, in this order.
pub(super) struct Tools {
    pub(super) cleans_up: bool,
    segmenter: Segmenter,
    refiner: Refiner,
    pub(super) compositor: Compositor,
    pub(super) encoder: Encoder,
    pub(super) alpha_encoder: Encoder,
    pub(super) coarse: CoarseMatte,
    pub(super) matte: Matte,
    pub(super) composed: Composed,
    pub(super) bytes: Vec<u8>,
    /// The files of the last frames without people, newest first.
    pub(super) blanks: Vec<BlankFile>,
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
            coarse: CoarseMatte::default(),
            matte: Matte::default(),
            composed: Composed::default(),
            bytes: Vec::new(),
            blanks: Vec::new(),
        })
    }

    /// Finds the people. True if the network did not run, because the picture is like the one
    /// before.
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

    /// Refines the matte to the picture's size.
    pub(super) fn refine(&mut self, picture: &RgbImage) {
        self.refiner.refine(picture, &self.coarse, &mut self.matte);
    }
}
