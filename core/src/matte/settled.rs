//! Where the network is sure of a cell and of all its neighbours, colours have no say.
//!
//! The guided filter explains a whole window by colour. Where the room has the person's colours (a dark picture frame beside dark
//! hair), it smears the person along it, up to twice the window's radius away; and it pricks holes into the person where they have
//! the room's colours. Only near the map's own edge is there something to decide.
use super::grid::Grid;

/// Cells are settled as room if the largest map value around them is below this, and as person if the smallest is above its
/// counterpart. The map has 16 bits.
const ROOM: u16 = (0.2 * 65535.0) as u16;
const PERSON: u16 = u16::MAX - ROOM;

/// Buffers for one row.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Largest and smallest value of three rows, column by column, with one more column on either side.
    largest: Vec<u16>,
    smallest: Vec<u16>,
}

impl Settled {
    /// Replaces the function `a . rgb + b` of settled cells by a constant: `room_and_person`. `planes`: three of `a`, one of `b`.
    pub(super) fn apply(&mut self, planes: &mut [Vec<f32>; 4], grid: Grid, map: &[u16], room_and_person: [f32; 2]) {
        let n = grid.width;
        self.largest.resize(n + 2, 0);
        self.smallest.resize(n + 2, 0);
        for y in 0..grid.height {
            let row = |y: usize| &map[y * n..(y + 1) * n];
            let rows = [row(y.saturating_sub(1)), row(y), row((y + 1).min(grid.height - 1))];
            let columns = self.largest[1..=n].iter_mut().zip(&mut self.smallest[1..=n]);
            for (((large, small), (above, here)), below) in columns.zip(rows[0].iter().zip(rows[1])).zip(rows[2]) {
                *large = *above.max(here).max(below);
                *small = *above.min(here).min(below);
            }
            for edges in [&mut self.largest, &mut self.smallest] {
                (edges[0], edges[n + 1]) = (edges[1], edges[n]);
            }
            for (x, (large, small)) in self.largest.windows(3).zip(self.smallest.windows(3)).enumerate() {
                let constant = match (large, small) {
                    (l, _) if l.iter().all(|&v| v < ROOM) => room_and_person[0],
                    (_, s) if s.iter().all(|&v| v > PERSON) => room_and_person[1],
                    _ => continue,
                };
                for (plane, value) in planes.iter_mut().zip([0.0, 0.0, 0.0, constant]) {
                    plane[y * n + x] = value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cells_near_the_maps_edge_keep_their_function() {
        // The left half is person, the right half is room.
        let (width, height) = (8, 4);
        let grid = Grid::of(width as u32, height as u32);
        assert_eq!((grid.width, grid.height), (width, height), "pictures this small have a cell per pixel");
        let map: Vec<u16> = (0..width * height).map(|i| if i % width < 4 { u16::MAX } else { 0 }).collect();
        let mut planes: [Vec<f32>; 4] = std::array::from_fn(|_| vec![7.0; grid.len()]);
        Settled::default().apply(&mut planes, grid, &map, [-1.0, 2.0]);
        for y in 0..height {
            let row = |k: usize| &planes[k][y * width..][..width];
            assert_eq!(row(0), [0.0, 0.0, 0.0, 7.0, 7.0, 0.0, 0.0, 0.0]);
            assert_eq!(row(3), [2.0, 2.0, 2.0, 7.0, 7.0, -1.0, -1.0, -1.0]);
        }
    }
}
