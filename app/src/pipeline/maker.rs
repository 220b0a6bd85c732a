//! One thread's tools for frames, with their buffers: segment, refine, compose, encode.
use super::stats::{Stage, StageClock};
use image::{GrayImage, RgbImage};
use mattebox_core::{
    codec::{EncodeError, Encoder, ImageFormat},
    compose::{Background, Composed, Compositor},
    frame::Timestamp,
    matte::{Coarse, MatteMode, MatteState, Refiner, Segmenter},
    model::Model,
    simd::{SimdError, SimdLevel},
};
use std::sync::Arc;

/// What is made of every frame.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) model: Arc<Model>,
    pub(crate) matte: MatteMode,
    pub(crate) simd: SimdLevel,
    pub(crate) foreground_cleanup: bool,
    pub(crate) skip_still: bool,
    pub(crate) format: ImageFormat,
    pub(crate) jpeg_quality: u8,
}

impl Recipe {
    /// A hard matte has no mixed pixels to clean.
    pub(crate) fn cleans_up(&self) -> bool {
        self.foreground_cleanup && self.matte == MatteMode::Soft
    }
}

/// The tools, for one frame after another: [`Maker::segment`], [`Maker::refine`], [`Maker::compose`], [`Maker::encode`], in this order.
pub(crate) struct Maker {
    clock: Arc<StageClock>,
    cleans_up: bool,
    segmenter: Segmenter,
    refiner: Refiner,
    compositor: Compositor,
    encoder: Encoder,
    alpha_encoder: Encoder,
    coarse: Coarse,
    alpha: GrayImage,
    bytes: Vec<u8>,
    /// What the frame became.
    picture: Composed,
}

impl Maker {
    /// Tools whose CPU time `clock` counts.
    pub(crate) fn new(recipe: &Recipe, clock: &Arc<StageClock>) -> Result<Self, SimdError> {
        Ok(Maker {
            clock: clock.clone(),
            cleans_up: recipe.cleans_up(),
            segmenter: Segmenter::new(&recipe.model, recipe.matte, recipe.simd)?.skipping_still(recipe.skip_still),
            refiner: Refiner::new(recipe.simd)?,
            compositor: Compositor::new(recipe.simd)?,
            encoder: Encoder::new(recipe.format, recipe.jpeg_quality),
            alpha_encoder: Encoder::new(ImageFormat::Png, recipe.jpeg_quality),
            coarse: Coarse::default(),
            alpha: GrayImage::default(),
            bytes: Vec::new(),
            picture: Composed::default(),
        })
    }

    /// Finds out where people are. True if the network was not asked, because the picture is like the one before.
    pub(crate) fn segment(&mut self, picture: &RgbImage, time: Timestamp, state: &mut MatteState) -> bool {
        let Maker { clock, segmenter, coarse, .. } = self;
        clock.time(Stage::Segment, || segmenter.segment_into(picture, time, state, coarse));
        self.coarse.is_still()
    }

    /// Brings the matte to the picture's size.
    pub(crate) fn refine(&mut self, picture: &RgbImage) {
        let Maker { clock, refiner, coarse, alpha, .. } = self;
        clock.time(Stage::Refine, || refiner.refine(picture, coarse, alpha));
    }

    /// The matte as a PNG file.
    pub(crate) fn encode_alpha(&mut self) -> Result<&[u8], EncodeError> {
        let Maker { clock, alpha_encoder, alpha, bytes, .. } = self;
        clock.time(Stage::Encode, || alpha_encoder.encode_gray(alpha, bytes))?;
        Ok(bytes)
    }

    /// Puts the background behind the people. `spare` is a picture whose memory can be used again.
    pub(crate) fn compose(&mut self, picture: &RgbImage, background: &Background, spare: Option<Composed>) {
        if let Some(spare) = spare {
            self.picture = spare;
        }
        let Maker { clock, compositor, alpha, picture: into, cleans_up, .. } = self;
        clock.time(Stage::Compose, || compositor.compose(picture, alpha, background, *cleans_up, into));
    }

    /// Takes what was composed.
    pub(crate) fn take_picture(&mut self) -> Composed {
        std::mem::take(&mut self.picture)
    }

    /// What was composed as a file.
    pub(crate) fn encode(&mut self) -> Result<&[u8], EncodeError> {
        let Maker { clock, encoder, picture, bytes, .. } = self;
        clock.time(Stage::Encode, || encoder.encode(picture, bytes))?;
        Ok(bytes)
    }
}
