//! The ordered half of matting: the network, and what it remembers from frame to frame.
use super::MatteMode;
use super::blobs::Rect;
use super::focus::{Focus, close_up};
use super::grid::{Grid, Guide, Reducer};
use super::resample::{Resampler, Rounding, Taps};
use super::smooth::{Motion, quantise, smooth};
use super::state::{MAX_GUESTS, MatteState, Seen};
use crate::frame::Timestamp;
use crate::model::{Executor, Model};
use crate::simd::{SimdError, SimdLevel};
use fearless_simd::Level;
use image::RgbImage;
use std::sync::Arc;

/// The share of moving cells from which a frame has nothing to do with the one before.
const CUT: f32 = 0.6;

/// What [`Segmenter`] hands to [`super::Refiner`]: the matte at low resolution and what is needed to bring it to the
/// picture's size.
#[derive(Debug, Clone, PartialEq)]
pub struct Coarse {
    /// Width and height of the picture it belongs to.
    pub(super) size: (u32, u32),
    pub(super) map: Map,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Map {
    /// The network's confidence for the whole picture, `[height][width]`.
    Hard { confidence: Vec<f32>, width: usize, height: usize },
    /// The smoothed confidence of each cell of `grid`, in 1/65535, and the cells' colours.
    Soft { grid: Grid, guide: Guide, map: Vec<u16> },
}

/// Finds the people in pictures: the network and its buffers for one thread.
pub struct Segmenter {
    mode: MatteMode,
    level: Level,
    reducer: Reducer,
    motion: Motion,
    view: View,
}

impl Segmenter {
    /// A segmenter for one thread.
    ///
    /// # Errors
    /// This processor lacks the instructions of `simd`.
    pub fn new(model: &Arc<Model>, mode: MatteMode, simd: SimdLevel) -> Result<Self, SimdError> {
        let view = View::new(model, simd)?;
        Ok(Segmenter { mode, level: simd.level()?, reducer: Reducer::default(), motion: Motion::default(), view })
    }

    /// Segments one frame of a stream. For [`MatteMode::Soft`] the frames of one camera must come in order, each with the
    /// state that the one before left; a picture of another size starts anew. [`MatteMode::Hard`] does not touch the state.
    pub fn segment(&mut self, picture: &RgbImage, time: Timestamp, state: &mut MatteState) -> Coarse {
        let size = picture.dimensions();
        if self.mode == MatteMode::Hard || picture.is_empty() {
            return self.stateless(picture);
        }
        let grid = Grid::of(size.0, size.1);
        let guide = self.reducer.reduce(self.level, picture, grid);
        let luma = guide.luma();
        let before = state.seen.take().filter(|seen| seen.size == size);
        let (focus, map) = match before {
            Some(seen) => {
                self.motion.measure(self.level, grid, &seen.luma, &luma);
                let moving = self.motion.cells.iter().filter(|&&m| m > 0.5).count() as f32;
                let (raw, focus) = if moving > CUT * grid.len() as f32 {
                    self.first(picture, grid, time)
                } else {
                    self.next(picture, grid, time, seen.focus)
                };
                (focus, smooth(self.level, &raw, &self.motion.cells, &seen.map))
            }
            None => {
                let (raw, focus) = self.first(picture, grid, time);
                (focus, raw.into_iter().map(quantise).collect())
            }
        };
        state.seen = Some(Seen { size, focus, map: map.clone(), luma });
        Coarse { size, map: Map::Soft { grid, guide, map } }
    }

    /// Segments a picture that is not part of a stream.
    pub fn segment_still(&mut self, picture: &RgbImage) -> Coarse {
        self.segment(picture, Timestamp(0), &mut MatteState::default())
    }

    fn stateless(&mut self, picture: &RgbImage) -> Coarse {
        let (width, height) = (self.view.width, self.view.height);
        let confidence = if picture.is_empty() { vec![0.0; width * height] } else { self.view.mediapipe(picture).to_vec() };
        Coarse { size: picture.dimensions(), map: Map::Hard { confidence, width, height } }
    }

    /// Two passes: everything, then closely at who is there; one more for each small person apart from them.
    fn first(&mut self, picture: &RgbImage, grid: Grid, time: Timestamp) -> (Vec<f32>, Focus) {
        let size = picture.dimensions();
        let mut focus = Focus::whole(size, time);
        let far = self.view.look(picture, grid, focus.crop);
        let people = focus.people(grid, &far, time);
        focus.follow(grid, size, people.bounds, time);
        let mut raw = if focus.sees_everything(size) { far.clone() } else { self.view.look(picture, grid, focus.crop) };
        self.meet(picture, grid, time, &mut focus, &mut raw, &far, MAX_GUESTS);
        let people = focus.people(grid, &raw, time);
        focus.follow(grid, size, people.bounds, time);
        (raw, focus)
    }

    /// One pass at the crop, one at the guests where there are any, and now and then one at everything.
    fn next(&mut self, picture: &RgbImage, grid: Grid, time: Timestamp, mut focus: Focus) -> (Vec<f32>, Focus) {
        let size = picture.dimensions();
        let mut raw = self.view.look(picture, grid, focus.crop);
        if let Some(crop) = focus.guest_crop(grid, size) {
            let guests = self.view.look(picture, grid, crop);
            take_more(&mut raw, &guests);
        }
        let mut people = focus.people(grid, &raw, time);
        let alert = people.bounds.is_none() || focus.moves_outside(grid, size, &self.motion.cells);
        focus.frames_since_look = focus.frames_since_look.saturating_add(1);
        if focus.wants_look(time, alert) {
            (focus.looked, focus.frames_since_look) = (time.0, 0);
            let far = if focus.sees_everything(size) {
                raw.clone()
            } else {
                self.view.look(picture, grid, Rect::whole(size.0, size.1))
            };
            self.meet(picture, grid, time, &mut focus, &mut raw, &far, 1);
            people = focus.people(grid, &raw, time);
        }
        focus.follow(grid, size, people.bounds, time);
        (raw, focus)
    }

    /// Adds to `raw` the people that a look at everything, `far`, shows and the crop did not. Up to `most` strangers are
    /// looked at closely, and taken in if the network still sees them there.
    fn meet(
        &mut self,
        picture: &RgbImage,
        grid: Grid,
        time: Timestamp,
        focus: &mut Focus,
        raw: &mut [f32],
        far: &[f32],
        most: usize,
    ) {
        let known = focus.people(grid, raw, time).known;
        let newcomers = focus.newcomers(grid, far, &known);
        for part in newcomers.parts {
            for y in part.y0 as usize..part.y1 as usize {
                let row = y * grid.width + part.x0 as usize..y * grid.width + part.x1 as usize;
                take_more(&mut raw[row.clone()], &far[row]);
            }
        }
        let count = newcomers.strangers.len();
        let turn = usize::from(focus.turn) % count.max(1);
        for &bounds in newcomers.strangers.iter().cycle().skip(turn).take(count.min(most)) {
            let close = self.view.look(picture, grid, close_up(grid, picture.dimensions(), bounds));
            if focus.welcome(grid, &close, bounds, time) {
                take_more(raw, &close);
            }
        }
    }
}

/// The larger of both.
fn take_more(to: &mut [f32], from: &[f32]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = to.max(from);
    }
}

/// The network and how it sees a part of a picture.
struct View {
    executor: Executor,
    level: Level,
    width: usize,
    height: usize,
    resampler: Resampler,
    input: Vec<f32>,
    confidence: Vec<f32>,
}

impl View {
    fn new(model: &Arc<Model>, simd: SimdLevel) -> Result<View, SimdError> {
        let (width, height) = (model.input_width(), model.input_height());
        Ok(View {
            executor: Executor::new(model, simd)?,
            level: simd.level()?,
            width,
            height,
            resampler: Resampler::default(),
            input: vec![0.0; width * height * 3],
            confidence: vec![0.0; width * height],
        })
    }

    /// Runs the network on the input. Confidences below one in a million become 0: products of the smallest of them would be
    /// denormal numbers, which cost a hundred times more than others. NaN, which a user's own network might give, becomes 0 too.
    fn run(&mut self) {
        self.executor.run(&self.input, &mut self.confidence);
        for p in &mut self.confidence {
            *p = if *p > 1e-6 { p.min(1.0) } else { 0.0 };
        }
    }

    /// The confidence for the whole picture, resampled as MediaPipe does.
    fn mediapipe(&mut self, picture: &RgbImage) -> &[f32] {
        let xs = Taps::mediapipe(self.width, picture.width() as usize);
        let ys = Taps::mediapipe(self.height, picture.height() as usize);
        self.resampler.picture(self.level, picture, &xs, &ys, Rounding::Bytes, &mut self.input);
        self.run();
        &self.confidence
    }

    /// The confidence of each cell of `grid`, 0..=1, looking at `crop` (in pixels, not empty); 0 outside.
    fn look(&mut self, picture: &RgbImage, grid: Grid, crop: Rect) -> Vec<f32> {
        let axis = |n: usize, from: u32, to: u32| {
            let step = f64::from(to - from) / n as f64;
            Taps::new(n, f64::from(from) + step / 2.0, step, from as usize, to as usize)
        };
        let (xs, ys) = (axis(self.width, crop.x0, crop.x1), axis(self.height, crop.y0, crop.y1));
        self.resampler.picture(self.level, picture, &xs, &ys, Rounding::None, &mut self.input);
        self.run();

        let mut raw = vec![0.0; grid.len()];
        let cell = grid.cell as f64;
        let back = |n: usize, from: u32, to: u32, cells: usize| {
            // the cells whose centres lie in the crop, at least one
            let first = (((f64::from(from) / cell - 0.5).ceil()).max(0.0) as usize).min(cells - 1);
            let end = (((f64::from(to) / cell - 0.5).ceil()).max(0.0) as usize).clamp(first + 1, cells);
            let scale = n as f64 / f64::from(to - from);
            (first, Taps::new(end - first, ((first as f64 + 0.5) * cell - f64::from(from)) * scale, cell * scale, 0, n))
        };
        let (x0, xs) = back(self.width, crop.x0, crop.x1, grid.width);
        let (y0, ys) = back(self.height, crop.y0, crop.y1, grid.height);
        self.resampler.plane(self.level, &self.confidence, self.width, &xs, &ys, &mut raw[y0 * grid.width + x0..], grid.width);
        raw
    }
}
