//! The first half of matting, which needs frames in order: the network, and the memory from frame
//! to frame.
use super::MatteMode;
use super::average::{self, Meter, noise_after, noise_floor};
use super::blobs::Rect;
use super::coarse::{CoarseMap, CoarseMatte, SoftMap};
use super::evidence::{Evidence, FrameMotion};
use super::fine::{EdgeDrawer, Subject};
use super::focus::{Focus, close_up};
use super::focus::{MAX_SMALL_REGIONS, MOVES, PERSON_ABOVE};
use super::grid::{Grid, Reducer};
use super::guided::RADIUS_OF_640;
use super::key_frame::KeyFrame;
use super::network::Network;
use super::people::{Chooser, People, TrackedPerson};
use super::plate::{self, Plate, Room};
use super::resample::{Resampler, Rounding, Taps};
use super::smooth::{MAP_ONE, Motion, quantise, smooth};
use super::state::{MatteState, SegmenterMemory};
use crate::frame::Timestamp;
use fearless_simd::Level;
use image::RgbImage;
use mattebox_net::{Executor, Model};
use mattebox_net::{SimdError, SimdLevel};
use std::sync::Arc;

/// If a larger share of the cells moves, the frame begins a new scene.
const CUT: f32 = 0.6;

/// The most people of a group that get a close look in a first frame.
const MOST_AT_FIRST: usize = 8;

/// Finds the people in pictures: the network and its buffers for one thread.
pub struct Segmenter {
    mode: MatteMode,
    level: Level,
    reducer: Reducer,
    motion: Motion,
    meter: Meter,
    /// The luma of each cell, and that of the remembered colours.
    luma: Vec<u8>,
    before: Vec<u8>,
    maps: ConfidenceMaps,
    view: NetworkView,
    /// Draws the edges, for the fine matte.
    fine: Option<EdgeDrawer>,
    chooser: Chooser,
    room: Room,
    learns_room: bool,
    skips_still: bool,
}

impl Segmenter {
    /// A segmenter for one thread.
    ///
    /// # Errors
    /// This processor lacks the instructions of `simd`.
    pub fn new(model: &Arc<Model>, mode: MatteMode, simd: SimdLevel) -> Result<Self, SimdError> {
        Self::with_network(Box::new(Executor::new(model, simd)?), mode, simd)
    }

    /// Like [`Segmenter::new`], with any network.
    ///
    /// # Errors
    /// This processor lacks the instructions of `simd`.
    pub fn with_network(
        network: Box<dyn Network>,
        mode: MatteMode,
        simd: SimdLevel,
    ) -> Result<Self, SimdError> {
        let view = NetworkView::new(network, simd)?;
        let (reducer, motion, meter, maps) = Default::default();
        Ok(Segmenter {
            mode,
            level: simd.level()?,
            reducer,
            motion,
            meter,
            luma: Vec::new(),
            before: Vec::new(),
            maps,
            view,
            fine: None,
            chooser: Chooser::default(),
            room: Room::default(),
            learns_room: true,
            skips_still: false,
        })
    }

    /// Lets `network` draw the edges: of every frame for [`MatteMode::FineAlways`], of key frames
    /// for [`MatteMode::Fine`].
    ///
    /// # Errors
    /// This processor lacks the instructions of `simd`.
    pub fn drawing_edges(
        mut self,
        network: Box<dyn Network>,
        simd: SimdLevel,
    ) -> Result<Self, SimdError> {
        self.fine = Some(EdgeDrawer::new(network, simd)?);
        Ok(self)
    }

    /// Shows only some of the people. A soft matte follows the shown people from frame to frame; a
    /// hard one shows the largest of each frame.
    #[must_use]
    pub fn showing(mut self, people: People) -> Self {
        self.chooser = Chooser::new(people);
        self
    }

    /// Sets whether to learn the room behind the people of a camera that stands still, which
    /// corrects soft mattes. The default is true.
    #[must_use]
    pub fn learning_room(mut self, learns: bool) -> Self {
        self.learns_room = learns;
        self
    }

    /// Sets whether to skip the network for a picture like an earlier one. For [`MatteMode::Soft`]
    /// that is the camera's last picture on which the network ran. The new one may differ from it
    /// by the camera's noise, and its own colours still shape the matte's edge. For
    /// [`MatteMode::Hard`] it is the last picture of this segmenter, and the network's input must
    /// be the same to the last bit.
    #[must_use]
    pub fn skipping_still(mut self, skips: bool) -> Self {
        self.skips_still = skips;
        self
    }

    /// Segments one frame of a stream. For [`MatteMode::Soft`] pass the frames of one camera in
    /// order, each with the state of the one before. A picture of another size resets the state.
    /// [`MatteMode::Hard`] does not touch it.
    pub fn segment(
        &mut self,
        picture: &RgbImage,
        time: Timestamp,
        state: &mut MatteState,
    ) -> CoarseMatte {
        let mut coarse = CoarseMatte::default();
        self.segment_into(picture, time, state, &mut coarse);
        coarse
    }

    /// Like [`Segmenter::segment`], into `coarse`, whose buffers are used again.
    pub fn segment_into(
        &mut self,
        picture: &RgbImage,
        time: Timestamp,
        state: &mut MatteState,
        coarse: &mut CoarseMatte,
    ) {
        let size = picture.dimensions();
        coarse.size = size;
        coarse.is_still = false;
        if self.mode == MatteMode::Hard || picture.is_empty() {
            return self.stateless(picture, coarse);
        }
        let grid = Grid::of(size.0, size.1);
        let mut soft = SoftMap::reusing(std::mem::take(&mut coarse.map), grid);
        let next_crop = state.seen.as_ref().filter(|seen| seen.size == size);
        let next_crop = next_crop.map(|seen| seen.focus.crop);
        self.reduce(picture, next_crop, &mut soft);
        soft.guide.luma(self.level, &mut self.luma);
        if let Some(seen) = state.seen.as_mut().filter(|seen| seen.size == size) {
            coarse.is_still = self.follow(picture, time, seen, &mut soft);
        } else {
            let (focus, evidence) = self.first(picture, grid, time);
            soft.map.clear();
            soft.map.extend(self.maps.raw.iter().map(|&p| quantise(p)));
            let map = soft.map.clone();
            let mut persons = Vec::new();
            self.choose(grid, &map, &mut persons, time);
            let mut key = None;
            self.draw_edges(picture, focus.crop, &mut soft, &mut key, false);
            self.gray_out(&mut soft);
            state.seen = Some(SegmenterMemory {
                size,
                focus,
                map,
                colours: soft.average.clone(),
                evidence,
                time: time.0,
                noise: None,
                persons,
                key,
                plate: self.learns_room.then(|| Plate::new(grid, time.0)),
            });
        }
        coarse.map = CoarseMap::Soft(soft);
    }

    /// Makes the guide of `picture`, and at the same time the network's input for the crop that is
    /// probably next, so that large pictures are read from memory once.
    fn reduce(&mut self, picture: &RgbImage, next_crop: Option<Rect>, soft: &mut SoftMap) {
        let level = self.level;
        let grid = soft.grid;
        self.view.prepared = None;
        match next_crop.filter(|_| !self.skips_still) {
            Some(crop) => {
                soft.guide.resize(grid);
                let mut input = self.view.prepare(crop);
                for y in 0..grid.height {
                    self.reducer.row(level, picture, grid, y, &mut soft.guide);
                    input.add(picture, (y + 1) * grid.cell);
                }
            }
            None => self.reducer.reduce(level, picture, grid, &mut soft.guide),
        }
    }

    /// Segments a frame after an earlier one. Returns whether the network was skipped because the
    /// frame is like the earlier one.
    fn follow(
        &mut self,
        picture: &RgbImage,
        time: Timestamp,
        seen: &mut SegmenterMemory,
        soft: &mut SoftMap,
    ) -> bool {
        let level = self.level;
        let grid = soft.grid;
        seen.colours.luma(level, &mut self.before);
        let change = self
            .meter
            .measure(level, grid, &mut self.before, &self.luma);
        soft.noise = noise_after(seen.noise, change);
        self.motion.measure(level, grid, &self.before, &self.luma);
        // a key frame must be drawn before it can be carried
        let lacks_key = self.mode == MatteMode::Fine && seen.key.is_none();
        if self.skips_still && self.motion.is_still() && !lacks_key {
            // the state does not change, so that small changes add up until they count
            soft.map.clone_from(&seen.map);
            self.choose(grid, &seen.map, &mut seen.persons.clone(), time);
            let mut key = seen.key.clone();
            if let Some(key) = &mut key {
                key.expose(change.gain);
            }
            self.draw_edges(picture, seen.focus.crop, soft, &mut key, true);
            soft.average.clone_from(&seen.colours);
            std::mem::swap(&mut soft.motion, &mut self.motion.cells);
            return true;
        }
        let floor = noise_floor(soft.noise);
        let passed = time.0.saturating_sub(seen.time);
        let moved = FrameMotion {
            cells: &self.motion.cells,
            noise: floor,
            typical: change.typical,
        };
        seen.evidence.note(level, grid, &moved, &seen.map, passed);
        seen.time = time.0;
        let moving = self.motion.cells.iter().filter(|&&m| m > MOVES).count() as f32;
        if moving > CUT * grid.len() as f32 {
            (seen.focus, seen.evidence) = self.first(picture, grid, time);
            seen.persons.clear();
            seen.key = None;
            if let Some(plate) = &mut seen.plate {
                plate.forget();
            }
        } else {
            self.next(picture, grid, time, seen);
        }
        std::mem::swap(&mut soft.motion, &mut self.motion.cells);
        if self.learns_room {
            let plate = &mut seen.plate;
            let plate = plate.get_or_insert_with(|| Plate::new(grid, time.0));
            let sight = plate::RoomFrame {
                level,
                grid,
                colours: &soft.guide,
                motion: &soft.motion,
                floor,
                noise: soft.noise,
                time: time.0,
            };
            self.room.correct(&sight, plate, &mut self.maps.raw);
        } else {
            seen.plate = None;
        }
        let raw = &self.maps.raw;
        smooth(level, raw, &soft.motion, floor, &seen.map, &mut soft.map);
        seen.map.copy_from_slice(&soft.map);
        self.choose(grid, &seen.map, &mut seen.persons, time);
        let gain = change.gain;
        if let Some(key) = &mut seen.key {
            key.expose(gain);
        }
        self.draw_edges(picture, seen.focus.crop, soft, &mut seen.key, false);
        self.gray_out(soft);
        let noise = soft.noise;
        let colours = &mut seen.colours;
        average::follow(level, colours, &soft.average, &soft.motion, gain, noise);
        soft.average.clone_from(&seen.colours);
        seen.noise = Some(noise);
        false
    }

    /// Chooses the people who are shown.
    fn choose(
        &mut self,
        grid: Grid,
        map: &[u16],
        persons: &mut Vec<TrackedPerson>,
        time: Timestamp,
    ) {
        let half = quantise(PERSON_ABOVE);
        self.chooser
            .follow(grid.width, map, |p| p > half, persons, time.0);
    }

    /// Lets the fine network draw, if there is one, removes the people who are not shown, and finds
    /// the settled cells. The remembered map stays that of the general network, with all people.
    fn draw_edges(
        &mut self,
        picture: &RgbImage,
        crop: Rect,
        soft: &mut SoftMap,
        key: &mut Option<KeyFrame>,
        is_like_before: bool,
    ) {
        if self.mode != MatteMode::Fine {
            *key = None;
        }
        if let Some(fine) = &mut self.fine {
            let subject = Subject {
                picture,
                grid: soft.grid,
                crop,
                luma: &self.luma,
                noise: noise_floor(soft.noise),
            };
            match self.mode {
                MatteMode::FineAlways => fine.draw(&subject, &mut soft.map),
                MatteMode::Fine => fine.follow(&subject, &mut soft.map, key, is_like_before),
                MatteMode::Soft | MatteMode::Hard => {}
            }
        }
        self.chooser.hide(&mut soft.map);
        soft.settled.find(self.level, soft.grid, &soft.map);
    }

    /// Sets the average colours to those of the picture near open cells, and to its luma elsewhere,
    /// which takes less room in a state.
    fn gray_out(&self, soft: &mut SoftMap) {
        soft.average.clone_from(&soft.guide);
        let reach = 2 * soft.grid.cells_of_640(RADIUS_OF_640);
        soft.settled
            .gray_out(soft.grid, reach, &self.luma, &mut soft.average);
    }

    /// Segments a picture that is not part of a stream.
    pub fn segment_still(&mut self, picture: &RgbImage) -> CoarseMatte {
        self.segment(picture, Timestamp(0), &mut MatteState::default())
    }

    fn stateless(&mut self, picture: &RgbImage, coarse: &mut CoarseMatte) {
        let width = self.view.width;
        let height = self.view.height;
        let mut confidence = match std::mem::take(&mut coarse.map) {
            CoarseMap::Hard { confidence, .. } => confidence,
            CoarseMap::Soft(_) => Vec::new(),
        };
        confidence.clear();
        if picture.is_empty() {
            confidence.resize(width * height, 0.0);
        } else {
            let (seen, is_still) = self.view.mediapipe(picture, self.skips_still);
            confidence.extend_from_slice(seen);
            coarse.is_still = is_still;
            let is_person = |p| p > PERSON_ABOVE;
            self.chooser
                .follow(width, &confidence, is_person, &mut Vec::new(), 0);
            self.chooser.hide(&mut confidence);
        }
        coarse.map = CoarseMap::Hard {
            confidence,
            width,
            height,
        };
    }

    /// A first frame: a look at the whole picture, then one at the people in it, and one more at
    /// each small person apart from them.
    fn first(&mut self, picture: &RgbImage, grid: Grid, time: Timestamp) -> (Focus, Evidence) {
        let size = picture.dimensions();
        let mut focus = Focus::whole(size, time);
        self.view
            .look(picture, grid, focus.crop, &mut self.maps.far);
        let people = focus.people(grid, &self.maps.far, time);
        focus.follow(grid, size, people.bounds, time);
        if focus.sees_everything(size) {
            self.maps.raw.clone_from(&self.maps.far);
        } else {
            self.view
                .look(picture, grid, focus.crop, &mut self.maps.raw);
        }
        let everywhere = Evidence::everywhere(grid);
        self.check_newcomers(
            picture,
            grid,
            time,
            &mut focus,
            MAX_SMALL_REGIONS,
            &everywhere,
        );
        let ConfidenceMaps { raw, far, close } = &mut self.maps;
        close.clone_from(raw);
        take_more(close, far);
        let group = focus.group(grid, size, close, |p| p > PERSON_ABOVE);
        if !group.is_empty() {
            raw.clone_from(close);
        }
        for bounds in group.into_iter().take(MOST_AT_FIRST) {
            self.look_at_more(picture, grid, close_up(grid, size, bounds));
        }
        let evidence = Evidence::first(grid, &self.maps.far, &self.maps.raw);
        evidence.gate(grid, &mut self.maps.raw);
        let people = focus.people(grid, &self.maps.raw, time);
        focus.follow(grid, size, people.bounds, time);
        (focus, evidence)
    }

    /// A look at the crop, one at the small regions if there are any, and now and then one at the
    /// whole picture. The crop follows whole blobs; the parts that are not believed are removed
    /// last.
    fn next(
        &mut self,
        picture: &RgbImage,
        grid: Grid,
        time: Timestamp,
        seen: &mut SegmenterMemory,
    ) {
        let size = picture.dimensions();
        let SegmenterMemory {
            focus,
            evidence,
            map,
            ..
        } = seen;
        self.view
            .look(picture, grid, focus.crop, &mut self.maps.raw);
        self.look_at_group(picture, grid, focus, map);
        if let Some(crop) = focus.small_region_crop(grid, size) {
            self.look_at_more(picture, grid, crop);
        }
        evidence.gate_blobs(grid, &mut self.maps.raw);
        let mut people = focus.people(grid, &self.maps.raw, time);
        if let Some(wider) = people
            .bounds
            .and_then(|people| focus.wider(grid, size, people))
        {
            self.view.look(picture, grid, wider, &mut self.maps.close);
            evidence.gate_blobs(grid, &mut self.maps.close);
            take_more(&mut self.maps.raw, &self.maps.close);
            people = focus.people(grid, &self.maps.raw, time);
        }
        let outside = focus.moves_outside(grid, size, &self.motion.cells);
        focus.frames_since_look = focus.frames_since_look.saturating_add(1);
        if focus.wants_look(time, outside, people.bounds.is_some()) {
            (focus.looked, focus.frames_since_look) = (time.0, 0);
            if focus.sees_everything(size) {
                self.maps.far.clone_from(&self.maps.raw);
            } else {
                self.view.look(
                    picture,
                    grid,
                    Rect::whole(size.0, size.1),
                    &mut self.maps.far,
                );
            }
            evidence.gate_blobs(grid, &mut self.maps.far);
            self.check_newcomers(picture, grid, time, focus, 1, evidence);
            people = focus.people(grid, &self.maps.raw, time);
        }
        focus.follow(grid, size, people.bounds, time);
        evidence.gate(grid, &mut self.maps.raw);
    }

    /// Adds a look at another crop to the raw map.
    fn look_at_more(&mut self, picture: &RgbImage, grid: Grid, crop: Rect) {
        let ConfidenceMaps { raw, close, .. } = &mut self.maps;
        self.view.look(picture, grid, crop, close);
        take_more(raw, close);
    }

    /// Looks closely at one person of a group. The others keep their last confidence until their
    /// turn.
    fn look_at_group(&mut self, picture: &RgbImage, grid: Grid, focus: &mut Focus, map: &[u16]) {
        let size = picture.dimensions();
        let half = quantise(PERSON_ABOVE);
        let group = focus.group(grid, size, map, |p| p > half);
        if group.is_empty() {
            return;
        }
        focus.round = focus.round.wrapping_add(1);
        let turn = usize::from(focus.round) % group.len();
        for (i, &bounds) in group.iter().enumerate() {
            if i == turn {
                self.look_at_more(picture, grid, close_up(grid, size, bounds));
                continue;
            }
            for row in bounds.rows(grid.width) {
                for (raw, &before) in self.maps.raw[row.clone()].iter_mut().zip(&map[row]) {
                    *raw = raw.max(f32::from(before) / MAP_ONE);
                }
            }
        }
    }

    /// Adds people to the raw map that the look at the whole picture shows and the crop does not.
    /// Up to `most` candidates get a close look, and are added if the network still sees them
    /// there.
    fn check_newcomers(
        &mut self,
        picture: &RgbImage,
        grid: Grid,
        time: Timestamp,
        focus: &mut Focus,
        most: usize,
        evidence: &Evidence,
    ) {
        let ConfidenceMaps { raw, far, close } = &mut self.maps;
        let known = focus.people(grid, raw, time).cells(grid);
        let newcomers = focus.newcomers(grid, far, &known);
        for part in newcomers.parts {
            for row in part.rows(grid.width) {
                take_more(&mut raw[row.clone()], &far[row]);
            }
        }
        let count = newcomers.candidates.len();
        let turn = usize::from(focus.turn) % count.max(1);
        for &bounds in newcomers
            .candidates
            .iter()
            .cycle()
            .skip(turn)
            .take(count.min(most))
        {
            self.view.look(
                picture,
                grid,
                close_up(grid, picture.dimensions(), bounds),
                close,
            );
            evidence.gate_blobs(grid, close);
            if focus.confirm(grid, close, bounds, time) {
                take_more(raw, close);
            }
        }
    }
}

/// The confidence of each cell of one frame, `[height][width]` of the grid, 0..=1.
#[derive(Default)]
struct ConfidenceMaps {
    /// Of the crop; then of all looks together.
    raw: Vec<f32>,
    /// Of the whole picture.
    far: Vec<f32>,
    /// Of the small regions, or of one candidate.
    close: Vec<f32>,
}

/// Sets each number to the larger of both.
fn take_more(to: &mut [f32], from: &[f32]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = to.max(from);
    }
}

/// The network, with the buffers for its view of a part of a picture.
pub(super) struct NetworkView {
    network: Box<dyn Network>,
    level: Level,
    width: usize,
    height: usize,
    resampler: Resampler,
    input: Vec<f32>,
    /// The crop whose input is ready.
    prepared: Option<Rect>,
    /// The input of the confidence, if still pictures are skipped.
    seen: Vec<f32>,
    confidence: Vec<f32>,
}

impl NetworkView {
    pub(super) fn new(
        network: Box<dyn Network>,
        simd: SimdLevel,
    ) -> Result<NetworkView, SimdError> {
        let width = network.width();
        let height = network.height();
        Ok(NetworkView {
            network,
            level: simd.level()?,
            width,
            height,
            resampler: Resampler::default(),
            input: vec![0.0; width * height * 3],
            prepared: None,
            seen: Vec::new(),
            confidence: vec![0.0; width * height],
        })
    }

    /// Runs the network on the input. Confidences below one in a million become 0: products of the
    /// smallest of them would be denormal numbers, which cost a hundred times more than others.
    /// NaN, which a user's own network might give, becomes 0 too.
    fn run(&mut self) {
        self.network.run(&self.input, &mut self.confidence);
        for p in &mut self.confidence {
            *p = if *p > 1e-6 { p.min(1.0) } else { 0.0 };
        }
    }

    /// The confidence for the whole picture, resampled as MediaPipe does; and whether it is that of
    /// the picture before: with `skips_still` the network does not run on the same input again.
    fn mediapipe(&mut self, picture: &RgbImage, skips_still: bool) -> (&[f32], bool) {
        self.prepared = None;
        let xs = Taps::mediapipe(self.width, picture.width() as usize);
        let ys = Taps::mediapipe(self.height, picture.height() as usize);
        self.resampler.picture(
            self.level,
            picture,
            &xs,
            &ys,
            Rounding::Bytes,
            &mut self.input,
        );
        let is_still = skips_still && self.seen == self.input;
        if !is_still {
            self.run();
        }
        if skips_still && !is_still {
            self.seen.clone_from(&self.input);
        }
        (&self.confidence, is_still)
    }

    /// Begins to make the input for the next look, which is at `crop`.
    fn prepare(&mut self, crop: Rect) -> CropInput<'_> {
        let axis = |n: usize, from: u32, to: u32| {
            let step = f64::from(to - from) / n as f64;
            let centre = f64::from(from) + step / 2.0;
            Taps::new(n, centre, step, from as usize, to as usize)
        };
        let xs = axis(self.width, crop.x0, crop.x1);
        let ys = axis(self.height, crop.y0, crop.y1);
        self.prepared = Some(crop);
        CropInput {
            view: self,
            xs,
            ys,
            rows: 0,
        }
    }

    /// Looks at `crop` (in pixels, not empty). Sets `raw` to the confidence of each cell of `grid`,
    /// 0..=1; 0 outside the crop.
    pub(super) fn look(&mut self, picture: &RgbImage, grid: Grid, crop: Rect, raw: &mut Vec<f32>) {
        if self.prepared.take() != Some(crop) {
            self.prepare(crop).add(picture, picture.height() as usize);
            self.prepared = None;
        }
        self.run();
        // a smooth step, so that hair does not dissolve
        if self.network.is_half_sure_of_hair() {
            for p in &mut self.confidence {
                *p = *p * *p * (3.0 - 2.0 * *p);
            }
        }

        raw.clear();
        raw.resize(grid.len(), 0.0);
        let cell = grid.cell as f64;
        let back = |n: usize, from: u32, to: u32, cells: usize| {
            // the cells whose centres lie in the crop, at least one
            let first = (((f64::from(from) / cell - 0.5).ceil()).max(0.0) as usize).min(cells - 1);
            let end =
                (((f64::from(to) / cell - 0.5).ceil()).max(0.0) as usize).clamp(first + 1, cells);
            let scale = n as f64 / f64::from(to - from);
            (
                first,
                Taps::new(
                    end - first,
                    ((first as f64 + 0.5) * cell - f64::from(from)) * scale,
                    cell * scale,
                    0,
                    n,
                ),
            )
        };
        let (x0, xs) = back(self.width, crop.x0, crop.x1, grid.width);
        let (y0, ys) = back(self.height, crop.y0, crop.y1, grid.height);
        self.resampler.plane(
            self.level,
            &self.confidence,
            self.width,
            &xs,
            &ys,
            &mut raw[y0 * grid.width + x0..],
            grid.width,
        );
    }
}

/// The network's input, made while the picture's lines are read.
struct CropInput<'a> {
    view: &'a mut NetworkView,
    xs: Taps,
    ys: Taps,
    /// The number of finished rows.
    rows: usize,
}

impl CropInput<'_> {
    /// Makes the rows that need no lines of the picture from `end` on.
    fn add(&mut self, picture: &RgbImage, end: usize) {
        let rows = self.rows..self.ys.ready(self.rows, end);
        self.rows = rows.end;
        let NetworkView {
            resampler,
            input,
            level,
            ..
        } = &mut *self.view;
        let ys = (&self.ys, rows);
        resampler.picture_rows(*level, picture, &self.xs, ys, Rounding::None, input);
    }
}
