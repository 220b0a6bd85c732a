//! Connected parts of a mask.
use std::ops::Range;

/// A connected part of a mask (4-neighbourhood), in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blob {
    /// Cells in it.
    pub(super) area: usize,
    /// The smallest box around it.
    pub(super) bounds: Rect,
}

/// A box: `x0 <= x < x1`, `y0 <= y < y1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x0: u32,
    pub(super) y0: u32,
    pub(super) x1: u32,
    pub(super) y1: u32,
}

impl Rect {
    /// All of a picture of this size.
    pub(super) fn whole(width: u32, height: u32) -> Rect {
        Rect {
            x0: 0,
            y0: 0,
            x1: width,
            y1: height,
        }
    }

    pub(super) fn width(&self) -> u32 {
        self.x1 - self.x0
    }

    pub(super) fn height(&self) -> u32 {
        self.y1 - self.y0
    }

    /// The smallest box around both.
    pub(super) fn union(&self, other: &Rect) -> Rect {
        Rect {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// The smallest box around `before`, if there is one, and `one`.
    pub(super) fn around(before: Option<Rect>, one: Rect) -> Rect {
        before.map_or(one, |before| before.union(&one))
    }

    /// Whether they share a cell.
    pub(super) fn meets(&self, other: &Rect) -> bool {
        self.x0 < other.x1 && other.x0 < self.x1 && self.y0 < other.y1 && other.y0 < self.y1
    }

    /// The cells of each of its rows, in a map of this width.
    pub(super) fn rows(&self, width: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let Rect { x0, y0, x1, y1 } = *self;
        (y0 as usize..y1 as usize).map(move |y| y * width + x0 as usize..y * width + x1 as usize)
    }

    pub(super) fn area(&self) -> u64 {
        u64::from(self.width()) * u64::from(self.height())
    }

    /// The area that both cover.
    pub(super) fn common(&self, other: &Rect) -> u64 {
        let length =
            |a0: u32, a1: u32, b0: u32, b1: u32| u64::from(a1.min(b1).saturating_sub(a0.max(b0)));
        length(self.x0, self.x1, other.x0, other.x1) * length(self.y0, self.y1, other.y0, other.y1)
    }

    /// Whether all of `other` lies inside.
    pub(super) fn contains(&self, other: &Rect) -> bool {
        self.x0 <= other.x0 && self.y0 <= other.y0 && other.x1 <= self.x1 && other.y1 <= self.y1
    }

    /// Each side moved out by its share of the box's size, but at least `least`, kept inside
    /// `width` x `height`.
    pub(super) fn with_margin(&self, share: f32, least: u32, width: u32, height: u32) -> Rect {
        let by = |n: u32| ((share * n as f32).ceil() as u32).max(least);
        let dx = by(self.width());
        let dy = by(self.height());
        Rect {
            x0: self.x0.saturating_sub(dx),
            y0: self.y0.saturating_sub(dy),
            x1: self.x1.saturating_add(dx).min(width),
            y1: self.y1.saturating_add(dy).min(height),
        }
    }

    /// Each side moved out by its share of the box's size and at least one cell, also beyond the
    /// grid.
    pub(super) fn with_surroundings(&self, share: f32) -> Rect {
        self.with_margin(share, 1, u32::MAX, u32::MAX)
    }

    /// A box of a grid's cells, in pixels of a picture of this size.
    pub(super) fn in_pixels(&self, cell: usize, (width, height): (u32, u32)) -> Rect {
        let cell = cell as u32;
        let end = |n: u32, size: u32| n.saturating_mul(cell).min(size);
        Rect {
            x0: self.x0 * cell,
            y0: self.y0 * cell,
            x1: end(self.x1, width),
            y1: end(self.y1, height),
        }
    }

    /// A box of pixels, in whole cells of a grid.
    pub(super) fn in_cells(&self, cell: usize) -> Rect {
        let cell = cell as u32;
        Rect {
            x0: self.x0 / cell,
            y0: self.y0 / cell,
            x1: self.x1.div_ceil(cell),
            y1: self.y1.div_ceil(cell),
        }
    }
}

/// A stretch of one row of the mask.
#[derive(Debug, Clone, Copy)]
struct BlobRun {
    y: u32,
    x0: u32,
    x1: u32,
    /// Index of another run of the same blob, or its own.
    parent: usize,
}

/// The blobs of a mask and which cells belong to which.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    runs: Vec<BlobRun>,
    /// For each run, its blob.
    owner: Vec<usize>,
    /// In the order of their first cell.
    pub(super) blobs: Vec<Blob>,
}

impl Blobs {
    /// Finds the blobs of the cells of `[..][width]` for which `inside` holds.
    pub(super) fn find<T: Copy>(cells: &[T], width: usize, inside: impl Fn(T) -> bool) -> Blobs {
        let mut runs: Vec<BlobRun> = Vec::new();
        let mut above = 0..0;
        for (y, row) in cells.chunks_exact(width.max(1)).enumerate() {
            let start = runs.len();
            let mut x = 0;
            loop {
                let x0 = x + length(&row[x..], |v| !inside(v));
                if x0 == row.len() {
                    break;
                }
                x = x0 + length(&row[x0..], &inside);
                runs.push(BlobRun {
                    y: y as u32,
                    x0: x0 as u32,
                    x1: x as u32,
                    parent: runs.len(),
                });
            }
            let mut up = above.start;
            for i in start..runs.len() {
                while up < above.end && runs[up].x1 <= runs[i].x0 {
                    up += 1;
                }
                let mut j = up;
                while j < above.end && runs[j].x0 < runs[i].x1 {
                    join(&mut runs, i, j);
                    j += 1;
                }
            }
            above = start..runs.len();
        }
        Self::collect(runs)
    }

    fn collect(mut runs: Vec<BlobRun>) -> Blobs {
        let mut found = Blobs {
            owner: Vec::with_capacity(runs.len()),
            ..Blobs::default()
        };
        for i in 0..runs.len() {
            let root = root(&mut runs, i);
            let BlobRun { y, x0, x1, .. } = runs[i];
            let bounds = Rect {
                x0,
                y0: y,
                x1,
                y1: y + 1,
            };
            // a root is the first run of its blob, so that it was met before
            let blob = if root == i {
                found.blobs.len()
            } else {
                found.owner[root]
            };
            if root == i {
                found.blobs.push(Blob { area: 0, bounds });
            }
            let target = &mut found.blobs[blob];
            target.area += (x1 - x0) as usize;
            target.bounds = target.bounds.union(&bounds);
            found.owner.push(blob);
        }
        found.runs = runs;
        found
    }

    /// The cells of blob `blob`, as stretches `(y, x0, x1)`.
    pub(super) fn stretches(
        &self,
        blob: usize,
    ) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let of_blob = self
            .runs
            .iter()
            .zip(&self.owner)
            .filter(move |(_, owner)| **owner == blob);
        of_blob.map(|(run, _)| (run.y as usize, run.x0 as usize, run.x1 as usize))
    }
}

/// The number of cells at the front that are `alike`.
fn length<T: Copy>(cells: &[T], alike: impl Fn(T) -> bool) -> usize {
    // many at a time, in a loop without branches, for which the compiler uses vectors
    let all = |cells: &[T; 16]| cells.iter().fold(true, |all, &v| all & alike(v));
    let whole = cells
        .as_chunks()
        .0
        .iter()
        .take_while(|cells| all(cells))
        .count()
        * 16;
    whole + cells[whole..].iter().take_while(|&&v| alike(v)).count()
}

fn root(runs: &mut [BlobRun], mut i: usize) -> usize {
    while runs[i].parent != i {
        runs[i].parent = runs[runs[i].parent].parent;
        i = runs[i].parent;
    }
    i
}

/// Puts two runs into one blob; the earlier run stays the root.
fn join(runs: &mut [BlobRun], i: usize, j: usize) {
    let a = root(runs, i);
    let b = root(runs, j);
    runs[a.max(b)].parent = a.min(b);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(picture: &[&str]) -> Blobs {
        let cells: Vec<f32> = picture
            .iter()
            .flat_map(|row| row.bytes())
            .map(|c| f32::from(u8::from(c == b'#')))
            .collect();
        Blobs::find(&cells, picture[0].len(), |v| v > 0.5)
    }

    #[test]
    fn parts_that_touch_only_at_corners_are_apart() {
        let blobs = find(&["##..", "..##", "#.##"]).blobs;
        assert_eq!(blobs.iter().map(|b| b.area).collect::<Vec<_>>(), [2, 4, 1]);
    }

    #[test]
    fn arms_that_meet_below_are_one() {
        let found = find(&["#.#.#", "#.#.#", "###.#", "..###"]);
        assert_eq!(
            found.blobs,
            [Blob {
                area: 13,
                bounds: Rect {
                    x0: 0,
                    y0: 0,
                    x1: 5,
                    y1: 4
                }
            }]
        );
        assert_eq!(found.stretches(0).map(|(_, a, b)| b - a).sum::<usize>(), 13);
    }

    proptest! {
        #[test]
        fn every_cell_belongs_to_one_blob(
            cells in proptest::collection::vec(0u8..2, 1..200),
            width in 1usize..20,
        ) {
            let rows = cells.len() / width;
            let cells: Vec<f32> = cells[..rows * width].iter().map(|&c| f32::from(c)).collect();
            let found = Blobs::find(&cells, width, |v| v > 0.5);
            let total: usize = found.blobs.iter().map(|b| b.area).sum();
            prop_assert_eq!(total, cells.iter().filter(|&&c| c > 0.5).count());
            let mut owner = vec![usize::MAX; cells.len()];
            for blob in 0..found.blobs.len() {
                for (y, x0, x1) in found.stretches(blob) {
                    owner[y * width + x0..y * width + x1].fill(blob);
                }
            }
            // neighbours have the same owner: no blob is cut in two
            for i in 0..cells.len() {
                let right = (i % width + 1 < width).then_some(i + 1);
                let below = Some(i + width).filter(|&j| j < cells.len());
                for j in [right, below].into_iter().flatten() {
                    prop_assert!(cells[i] < 0.5 || cells[j] < 0.5 || owner[i] == owner[j]);
                }
            }
        }
    }
}
