//! The fine matte: a network that is better at close portraits, used where it shows the same
//! people.
//!
//! It draws hair that the general network smears, and leaves out things beside the person. But it
//! fails on people far away, groups and empty rooms. So the general network finds the people and
//! the crop, and the fine one is believed where both agree: it may add to people, and take away
//! from their edge, but not from their middle. A person whom only the general network sees is drawn
//! by that one.
use super::blobs::{Blobs, Rect};
use super::focus::PERSON_ABOVE;
use super::grid::Grid;
use super::key_frame::{CorrectionCarrier, KeyFrame};
use super::network::Network;
use super::segment::NetworkView;
use super::smooth::{MAP_ONE, quantise};
use super::window::around;
use image::RgbImage;
use mattebox_net::{SimdError, SimdLevel};

/// The least overlap of both masks (intersection over union) for which the fine one is believed;
/// and the least share of a person that it must see to be believed about them.
const AGREEMENT: f32 = 0.7;
/// Parts smaller than this share of the picture are no people.
const SMALLEST: f32 = 0.0005;
/// The margin around a person whom only the general network sees, in a picture 640 pixels long.
const MARGIN_OF_640: f32 = 8.0;
/// The width, in cells, of the edge of a person from which the fine network may take away.
const EDGE: usize = 1;
/// A cell that is below one half by this much is surely not inside a person.
const HARDLY: f32 = 0.2;

/// The fine network and its buffers.
pub(super) struct EdgeDrawer {
    view: NetworkView,
    /// The fine network's alpha of each cell, 0..=1.
    alpha: Vec<f32>,
    /// The general network's confidence.
    own: Vec<f32>,
    /// The general network's confidence, where it is sure of all cells around.
    inside: Vec<f32>,
    /// Its smallest values along rows.
    across: Vec<f32>,
    carrier: CorrectionCarrier,
    /// The map before a key frame is drawn.
    before: Vec<u16>,
    /// The boxes in cells around people whom only the general network sees.
    kept: Vec<Rect>,
}

/// The input of the fine matte.
pub(super) struct Subject<'a> {
    pub(super) picture: &'a RgbImage,
    pub(super) grid: Grid,
    /// The crop of the general network.
    pub(super) crop: Rect,
    /// Of each cell.
    pub(super) luma: &'a [u8],
    /// The largest mean difference of luma that counts as noise, in levels.
    pub(super) noise: f32,
}

impl EdgeDrawer {
    pub(super) fn new(network: Box<dyn Network>, simd: SimdLevel) -> Result<EdgeDrawer, SimdError> {
        Ok(EdgeDrawer {
            view: NetworkView::new(network, simd)?,
            alpha: Vec::new(),
            own: Vec::new(),
            inside: Vec::new(),
            across: Vec::new(),
            carrier: CorrectionCarrier::default(),
            before: Vec::new(),
            kept: Vec::new(),
        })
    }

    /// Draws key frames, and corrects the maps of other frames by the last key frame. If
    /// `is_like_before`, the network was skipped for this picture: no key frame is due.
    pub(super) fn follow(
        &mut self,
        subject: &Subject,
        map: &mut [u16],
        key: &mut Option<KeyFrame>,
        is_like_before: bool,
    ) {
        let Subject { grid, luma, .. } = *subject;
        self.before.clear();
        self.before.extend_from_slice(map);
        if let Some(key) = key {
            let is_due = self.carrier.carry(grid, luma, subject.noise, map, key);
            if !is_due || is_like_before {
                return;
            }
            map.copy_from_slice(&self.before);
        }
        self.draw(subject, map);
        let key = key.get_or_insert_default();
        key.renew(grid, luma, &self.before, map);
    }

    /// Looks at the crop of the picture. If both networks show the same people, `map` becomes the
    /// fine one's alpha.
    pub(super) fn draw(&mut self, subject: &Subject, map: &mut [u16]) {
        let grid = subject.grid;
        let alpha = &mut self.alpha;
        self.view.look(subject.picture, grid, subject.crop, alpha);
        self.own.clear();
        self.own.extend(map.iter().map(|&v| f32::from(v) / MAP_ONE));
        if !self.agree(grid) {
            return;
        }
        self.surely_inside(grid);
        let cells = map.iter_mut().zip(&self.alpha);
        for ((cell, &alpha), &inside) in cells.zip(&self.inside) {
            *cell = quantise(alpha.max(inside));
        }
        for kept in &self.kept {
            for row in kept.rows(grid.width) {
                for (cell, &own) in map[row.clone()].iter_mut().zip(&self.own[row]) {
                    *cell = quantise(own).max(*cell);
                }
            }
        }
    }

    /// Finds the inside of people: the cells around which the general network is more than half
    /// sure of all. There the fine network sometimes leaves holes in shirts and hair.
    fn surely_inside(&mut self, grid: Grid) {
        let (width, height) = (grid.width, grid.height);
        let smallest = |cells: &mut dyn Iterator<Item = f32>| cells.fold(1.0, f32::min);
        self.across.clear();
        for row in self.own.chunks_exact(width) {
            let window = |x| smallest(&mut row[around(x, EDGE, width)].iter().copied());
            self.across.extend((0..width).map(window));
        }
        self.inside.clear();
        for (i, &own) in self.own.iter().enumerate() {
            let (x, rows) = (i % width, around(i / width, EDGE, height));
            let least = smallest(&mut rows.map(|y| self.across[y * width + x]));
            let sure = (least - (PERSON_ABOVE - HARDLY)) / HARDLY;
            self.inside.push(sure.clamp(0.0, 1.0) * own);
        }
    }

    /// Whether both networks show the same people, apart from those whom only the general network
    /// sees: these are `kept`.
    fn agree(&mut self, grid: Grid) -> bool {
        let EdgeDrawer {
            alpha, own, kept, ..
        } = self;
        let (width, height) = (grid.width as u32, grid.height as u32);
        let margin = grid.cells_of_640(MARGIN_OF_640) as u32;
        let inside = |cells: &[f32]| cells.iter().filter(|&&p| p > PERSON_ABOVE).count();
        let people = Blobs::find(own, grid.width, |p| p > PERSON_ABOVE);
        let smallest = SMALLEST * grid.len() as f32;
        kept.clear();
        let mut area = 0;
        let mut both = 0;
        let mut elsewhere = inside(alpha);
        for (i, person) in people.blobs.iter().enumerate() {
            if (person.area as f32) < smallest {
                continue;
            }
            let seen: usize = people
                .stretches(i)
                .map(|(y, x0, x1)| inside(&alpha[y * grid.width + x0..y * grid.width + x1]))
                .sum();
            elsewhere -= seen;
            if seen as f32 > AGREEMENT * person.area as f32 {
                area += person.area;
                both += seen;
            } else {
                kept.push(person.bounds.with_margin(0.0, margin, width, height));
            }
        }
        both as f32 > AGREEMENT * (area + elsewhere) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that sees the same person in the middle of every picture.
    struct ConstantNetwork {
        confidence: Vec<f32>,
        side: usize,
    }

    impl Network for ConstantNetwork {
        fn width(&self) -> usize {
            self.side
        }

        fn height(&self) -> usize {
            self.side
        }

        fn run(&mut self, _: &[f32], confidence: &mut [f32]) {
            confidence.copy_from_slice(&self.confidence);
        }
    }

    /// A person in the columns `from..to` of a picture `side` wide; `edge` beside them.
    fn person(side: usize, from: usize, to: usize, edge: f32) -> Vec<f32> {
        (0..side * side)
            .map(|i| match i % side {
                x if (from..to).contains(&x) => 1.0,
                x if x + 1 == from || x == to => edge,
                _ => 0.0,
            })
            .collect()
    }

    fn drawn(confidence: Vec<f32>, own: &[f32], side: usize) -> Vec<f32> {
        let network = Box::new(ConstantNetwork { confidence, side });
        let mut fine = EdgeDrawer::new(network, SimdLevel::best()).unwrap();
        let picture = RgbImage::new(side as u32, side as u32);
        let grid = Grid::of(side as u32, side as u32);
        let mut map: Vec<u16> = own.iter().map(|&p| quantise(p)).collect();
        let subject = Subject {
            picture: &picture,
            grid,
            crop: Rect::whole(side as u32, side as u32),
            luma: &[],
            noise: 1.0,
        };
        fine.draw(&subject, &mut map);
        map.iter().map(|&v| f32::from(v) / MAP_ONE).collect()
    }

    #[test]
    fn the_fine_network_is_believed_where_both_agree() {
        let side = 200;
        let own = person(side, 60, 140, 0.0);
        let map = drawn(person(side, 60, 140, 0.4), &own, side);
        let row = &map[100 * side..101 * side];
        assert!(
            (row[59] - 0.4).abs() < 1e-3 && (row[140] - 0.4).abs() < 1e-3,
            "{row:?}"
        );
        assert_eq!((row[10], row[100]), (0.0, 1.0));
    }

    #[test]
    fn the_fine_network_takes_nothing_from_the_middle_of_a_person() {
        let side = 200;
        let own = person(side, 60, 140, 0.0);
        let mut bitten = person(side, 60, 139, 0.0);
        bitten[80 * side..120 * side]
            .chunks_exact_mut(side)
            .for_each(|row| row[90..110].fill(0.0));
        let map = drawn(bitten, &own, side);
        let row = &map[100 * side..101 * side];
        assert_eq!((row[100], row[139]), (1.0, 0.0), "{row:?}");
    }

    #[test]
    fn a_person_whom_the_fine_network_misses_stays() {
        let side = 200;
        let mut own = person(side, 60, 140, 0.0);
        own.chunks_exact_mut(side)
            .take(60)
            .for_each(|row| row[170..185].fill(0.9));
        let map = drawn(person(side, 60, 140, 0.4), &own, side);
        assert!((map[30 * side + 175] - 0.9).abs() < 1e-3);
        assert!((map[30 * side + 59] - 0.4).abs() < 1e-3);
    }

    #[test]
    fn a_fine_network_that_shows_another_person_is_ignored() {
        let side = 200;
        let own = person(side, 60, 140, 0.25);
        for other in [person(side, 100, 180, 0.4), vec![0.0; side * side]] {
            let map = drawn(other, &own, side);
            let differ = map.iter().zip(&own).any(|(a, b)| (a - b).abs() > 5e-4);
            assert!(!differ);
        }
    }
}
