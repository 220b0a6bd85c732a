//! A frame whose matte is known, as the caller gets it.
use super::{
    ProcessorStep, Rejection,
    still_files::StillFiles,
    tools::{BlankFile, ToolKey, Tools},
};
use image::{GrayImage, RgbImage};
use mattebox_core::compose::{Background, Composed};

/// Files of frames without people that a thread keeps, for cameras with different sizes or
/// backgrounds.
const MAX_BLANKS: usize = 4;

/// A frame whose matte is known. The full matte, the picture and the file are each made at the
/// first call that needs them, so the others cost nothing.
pub struct MattedFrame<'a> {
    tools: &'a mut Tools,
    step: ProcessorStep<'a>,
    picture: &'a RgbImage,
    background: Background,
    /// All frames have one background, so files may be used again. This only saves work: both
    /// caches compare the background itself.
    is_fixed: bool,
    is_refined: bool,
    is_composed: bool,
    still: Option<StillCache<'a>>,
}

/// Access to the files of still frames, for a frame that is like the one before.
#[derive(Clone, Copy)]
struct StillCache<'a> {
    tools: &'a ToolKey,
    files: &'a StillFiles,
}

impl<'a> MattedFrame<'a> {
    pub(super) fn new(
        tools: &'a mut Tools,
        step: ProcessorStep<'a>,
        picture: &'a RgbImage,
        background: Background,
        is_fixed: bool,
    ) -> Self {
        MattedFrame {
            tools,
            step,
            picture,
            background,
            is_fixed,
            is_refined: false,
            is_composed: false,
            still: None,
        }
    }

    /// Notes that the frame is like the one before: its file may be kept.
    pub(super) fn is_like_before(&mut self, tools: &'a ToolKey, files: &'a StillFiles) {
        self.still = Some(StillCache { tools, files });
    }

    /// The picture as it came.
    pub fn picture(&self) -> &RgbImage {
        self.picture
    }

    /// How much of each pixel is person, 0 to 255.
    pub fn alpha(&mut self) -> &GrayImage {
        self.refine();
        self.tools.matte.alpha()
    }

    /// Whether the network did not run, because the picture is like the one before.
    pub fn is_still(&self) -> bool {
        self.still.is_some()
    }

    /// The matte as a PNG file.
    pub fn encode_alpha(&mut self) -> Result<&[u8], Rejection> {
        self.refine();
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

    /// The picture as it came, and its matte.
    pub fn matte(&mut self) -> (&RgbImage, &GrayImage) {
        self.refine();
        (self.picture, self.tools.matte.alpha())
    }

    /// The picture as it came, its matte, and the people before the new background.
    pub fn views(&mut self) -> (&RgbImage, &GrayImage, &Composed) {
        self.compose();
        (self.picture, self.tools.matte.alpha(), &self.tools.composed)
    }

    /// The people without a background, which is transparent.
    pub fn cut_out(&mut self) -> Composed {
        self.refine();
        let mut out = Composed::default();
        let Tools {
            compositor,
            matte,
            cleans_up,
            ..
        } = &mut *self.tools;
        let picture = self.picture;
        self.step.compose(|| {
            compositor.compose(
                picture,
                matte,
                &Background::Transparent,
                *cleans_up,
                &mut out,
            );
        });
        out
    }

    /// The people before the new background. The caller owns the picture; the memory of `spare` is
    /// used again.
    pub fn take_composed(&mut self, spare: Composed) -> Composed {
        self.compose();
        self.is_composed = false;
        std::mem::replace(&mut self.tools.composed, spare)
    }

    /// The people before the new background, as a file in the format of the settings.
    pub fn encode(&mut self) -> Result<&[u8], Rejection> {
        let Some(StillCache { tools, files }) = self.still.filter(|_| self.is_fixed) else {
            self.encode_new()?;
            return Ok(&self.tools.bytes);
        };
        let coarse = &self.tools.coarse;
        let look = || files.key(tools, self.picture, coarse, &self.background);
        let key = self.step.encode(look);
        match key.and_then(|key| files.get(key)) {
            Some(file) => file.as_ref().clone_into(&mut self.tools.bytes),
            None => {
                self.encode_new()?;
                if let Some(key) = key {
                    files.keep(key, &self.tools.bytes);
                }
            }
        }
        Ok(&self.tools.bytes)
    }

    fn encode_new(&mut self) -> Result<(), Rejection> {
        self.refine();
        // A blurred background shows the room, which differs from frame to frame.
        let is_blurred = matches!(self.background, Background::Blur { .. });
        if self.is_fixed && !is_blurred && self.tools.matte.is_blank() {
            self.encode_blank()
        } else {
            self.encode_composed()
        }
    }

    /// The file of a frame without people: one that is kept, if size and background are equal.
    fn encode_blank(&mut self) -> Result<(), Rejection> {
        let size = self.picture.dimensions();
        let tools = &mut *self.tools;
        let mut blanks = tools.blanks.iter();
        if let Some(at) = blanks.position(|blank| blank.fits(size, &self.background)) {
            let blank = &tools.blanks[at];
            blank.file.clone_into(&mut tools.bytes);
            tools.blanks[..=at].rotate_right(1);
            return Ok(());
        }
        self.encode_composed()?;
        let blank = BlankFile {
            size,
            background: self.background.clone(),
            file: self.tools.bytes.clone(),
        };
        self.tools.blanks.truncate(MAX_BLANKS - 1);
        self.tools.blanks.insert(0, blank);
        Ok(())
    }

    fn encode_composed(&mut self) -> Result<(), Rejection> {
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
        encoded.map_err(Rejection::not_encodable)
    }

    fn refine(&mut self) {
        if !std::mem::replace(&mut self.is_refined, true) {
            self.step.refine(|| self.tools.refine(self.picture));
        }
    }

    fn compose(&mut self) {
        self.refine();
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
