//! One thread's tools for frames, with their buffers: segment, refine, compose, encode.
use crate::{
    codec::{EncodeError, Encoder, ImageFormat},
    compose::{Background, Composed, Compositor},
    frame::Timestamp,
    matte::{Coarse, MatteMode, MatteState, Refiner, Segmenter},
};
use image::{GrayImage, RgbImage};
use mattebox_net::{Model, SimdError, SimdLevel};
use std::sync::Arc;

/// What is made of every frame.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The network.
    pub model: Arc<Model>,
    /// Which matte.
    pub matte: MatteMode,
    /// Which vector instructions.
    pub simd: SimdLevel,
    /// Whether the old background's colour is taken out of mixed pixels. A hard matte has none.
    pub foreground_cleanup: bool,
    /// Whether the network leaves out pictures that are like the one before.
    pub skip_still: bool,
    /// The format of files.
    pub format: ImageFormat,
    /// Of JPEG files, 1 to 100.
    pub jpeg_quality: u8,
}

/// The tools, for one frame after another: [`Maker::segment`], [`Maker::refine`], [`Maker::compose`], [`Maker::encode`], in this order.
pub struct Maker {
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
    /// Tools for a recipe.
    pub fn new(recipe: &Recipe) -> Result<Self, SimdError> {
        Ok(Maker {
            cleans_up: recipe.foreground_cleanup && recipe.matte == MatteMode::Soft,
            segmenter: Segmenter::new(&recipe.model, recipe.matte, recipe.simd)?
                .skipping_still(recipe.skip_still),
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
    pub fn segment(&mut self, picture: &RgbImage, time: Timestamp, state: &mut MatteState) -> bool {
        self.segmenter
            .segment_into(picture, time, state, &mut self.coarse);
        self.coarse.is_still()
    }

    /// Brings the matte to the picture's size.
    pub fn refine(&mut self, picture: &RgbImage) {
        self.refiner.refine(picture, &self.coarse, &mut self.alpha);
    }

    /// The matte.
    pub fn alpha(&self) -> &GrayImage {
        &self.alpha
    }

    /// The matte as a PNG file.
    pub fn encode_alpha(&mut self) -> Result<&[u8], EncodeError> {
        self.alpha_encoder
            .encode_gray(&self.alpha, &mut self.bytes)?;
        Ok(&self.bytes)
    }

    /// Puts the background behind the people. `spare` is a picture whose memory can be used again.
    pub fn compose(
        &mut self,
        picture: &RgbImage,
        background: &Background,
        spare: Option<Composed>,
    ) {
        if let Some(spare) = spare {
            self.picture = spare;
        }
        self.compositor.compose(
            picture,
            &self.alpha,
            background,
            self.cleans_up,
            &mut self.picture,
        );
    }

    /// What was composed.
    pub fn picture(&self) -> &Composed {
        &self.picture
    }

    /// Takes what was composed.
    pub fn take_picture(&mut self) -> Composed {
        std::mem::take(&mut self.picture)
    }

    /// What was composed as a file.
    pub fn encode(&mut self) -> Result<&[u8], EncodeError> {
        self.encoder.encode(&self.picture, &mut self.bytes)?;
        Ok(&self.bytes)
    }
}
