//! The coarse matte.
use super::grid::{Grid, Guide};
use super::settled::SettledCells;

/// The coarse matte that [`super::Segmenter`] makes for [`super::Refiner`]: a matte at low
/// resolution, with the data that bring it to the picture's size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CoarseMatte {
    /// Width and height of the picture it belongs to.
    pub(super) size: (u32, u32),
    pub(super) map: CoarseMap,
    pub(super) is_still: bool,
}

impl CoarseMatte {
    /// Whether the network was skipped, because the picture is like an earlier one (see
    /// [`super::Segmenter::skipping_still`]).
    pub fn is_still(&self) -> bool {
        self.is_still
    }

    /// Passes a few bytes to `pass` that almost always differ between different pictures.
    pub fn for_each_sample(&self, mut pass: impl FnMut(&[u8])) {
        match &self.map {
            CoarseMap::Hard { confidence, .. } => pass(bytemuck::cast_slice(confidence)),
            CoarseMap::Soft(soft) => soft.guide.planes.iter().for_each(|plane| pass(plane)),
        }
    }

    /// Passes all bytes to `pass` that the full matte depends on, except the picture's own.
    pub fn for_each_part(&self, mut pass: impl FnMut(&[u8])) {
        pass(bytemuck::cast_slice(&[self.size.0, self.size.1]));
        match &self.map {
            CoarseMap::Hard {
                confidence,
                width,
                height,
            } => {
                pass(bytemuck::cast_slice(&[*width as u64, *height as u64]));
                pass(bytemuck::cast_slice(confidence));
            }
            CoarseMap::Soft(soft) => {
                pass(bytemuck::cast_slice(&soft.map));
                for plane in soft.guide.planes.iter().chain(&soft.average.planes) {
                    pass(plane);
                }
                pass(bytemuck::cast_slice(&soft.motion));
                pass(&soft.noise.to_ne_bytes());
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum CoarseMap {
    /// The network's confidence for the whole picture, `[height][width]`.
    Hard {
        confidence: Vec<f32>,
        width: usize,
        height: usize,
    },
    /// The smoothed confidence of each cell, and the cells' colours.
    Soft(Box<SoftMap>),
}

impl Default for CoarseMap {
    fn default() -> Self {
        CoarseMap::Hard {
            confidence: Vec::new(),
            width: 0,
            height: 0,
        }
    }
}

/// The soft matte on the grid.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SoftMap {
    pub(super) grid: Grid,
    /// The confidence of each cell, in 1/65535.
    pub(super) map: Vec<u16>,
    /// The cells whose alpha is certain without the colours.
    pub(super) settled: SettledCells,
    /// The colours of each cell.
    pub(super) guide: Guide,
    /// The same, averaged over time where nothing moves.
    pub(super) average: Guide,
    /// By how many levels the luma around each cell changed; empty for a first frame.
    pub(super) motion: Vec<f32>,
    /// The noise of a cell's luma, in levels.
    pub(super) noise: f32,
}

impl SoftMap {
    /// Buffers for `grid`: those of `before` if it has any.
    pub(super) fn reusing(before: CoarseMap, grid: Grid) -> Box<SoftMap> {
        match before {
            CoarseMap::Soft(mut soft) => {
                soft.grid = grid;
                soft.motion.clear();
                soft.noise = 0.0;
                soft
            }
            CoarseMap::Hard { .. } => Box::new(SoftMap {
                grid,
                map: Vec::new(),
                settled: SettledCells::default(),
                guide: Guide::default(),
                average: Guide::default(),
                motion: Vec::new(),
                noise: 0.0,
            }),
        }
    }
}
