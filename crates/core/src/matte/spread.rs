//! Spreads values of cells over the picture's pixels, linearly between the cells' centres.
//!
//! Spread values are stored by gaps: gap `i` lies between the centres of cells `i - 1` and `i`, and
//! has as many pixels as a cell. The first begins before the picture, and the last ends after it.
use fearless_simd::{Simd, f32x8, prelude::*};
use std::ops::Range;

/// Cells per vector.
const CELLS: usize = 8;
/// The most gaps that are written after the last one: the rest of a vector.
pub(super) const MORE_GAPS: usize = CELLS;

/// The index of pixel 0 among the spread values.
pub(super) fn first_pixel(cell: usize) -> usize {
    cell - cell / 2
}

/// The two cells between whose centres a pixel lies, and its position between them.
pub(super) fn between(pixel: usize, cell: usize, cells: usize) -> (usize, usize, f32) {
    // in half pixels: the pixel's centre from the first cell's centre
    let from_first = (2 * pixel + 1).saturating_sub(cell);
    let first = from_first / (2 * cell);
    let rest = from_first % (2 * cell);
    if first + 1 >= cells {
        (cells - 1, cells - 1, 0.0)
    } else {
        (first, first + 1, rest as f32 / (2 * cell) as f32)
    }
}

/// The pixels, of `width`, that lie beside the centre of one of the `cells`, and so depend on it.
pub(super) fn pixels_around(cells: &Range<usize>, cell: usize, width: usize) -> Range<usize> {
    let pixel = |gap: usize| (gap * cell).saturating_sub(first_pixel(cell)).min(width);
    pixel(cells.start)..pixel(cells.end + 1)
}

/// Spreads a row of cells over some `gaps`. `cells[i]` is the cell before gap `i`: beyond the ends
/// of a row its last cell is repeated. Also reads and writes up to [`MORE_GAPS`] more cells and
/// gaps.
#[inline(always)]
pub(super) fn spread<S: Simd>(
    s: S,
    cells: &[f32],
    gaps: Range<usize>,
    cell: usize,
    into: &mut [f32],
) {
    match cell {
        1 => into[gaps.clone()].copy_from_slice(&cells[gaps]),
        2 => {
            for i in gaps.step_by(CELLS) {
                let here = f32x8::from_slice(s, &cells[i..i + CELLS]);
                let slope = f32x8::from_slice(s, &cells[i + 1..i + 1 + CELLS]) - here;
                let (low, high) = (here + slope * 0.25).interleave(here + slope * 0.75);
                low.store_slice(&mut into[2 * i..][..CELLS]);
                high.store_slice(&mut into[2 * i + CELLS..][..CELLS]);
            }
        }
        4 => runs::<4>(cells, gaps, 4, into),
        _ => runs::<0>(cells, gaps, cell, into),
    }
}

/// Spreads gaps of `CELL` pixels (of `cell` if that is 0).
#[inline(always)]
fn runs<const CELL: usize>(cells: &[f32], gaps: Range<usize>, cell: usize, into: &mut [f32]) {
    let cell = if CELL == 0 { cell } else { CELL };
    let step = 1.0 / cell as f32;
    let phase = if cell.is_multiple_of(2) {
        0.5 * step
    } else {
        0.0
    };
    let into = into[gaps.start * cell..gaps.end * cell].chunks_exact_mut(cell);
    for (run, pair) in into.zip(cells[gaps.start..=gaps.end].windows(2)) {
        let slope = pair[1] - pair[0];
        for (j, v) in run.iter_mut().enumerate() {
            *v = pair[0] + slope * (phase + j as f32 * step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreading_agrees_with_interpolation_between_centres() {
        for width in 1..40 {
            for cell in 1..8 {
                let cells: Vec<f32> = (0..usize::div_ceil(width, cell))
                    .map(|i| (i * i % 7) as f32)
                    .collect();
                let n = cells.len();
                let mut repeated = vec![0.0; n + 3 + MORE_GAPS];
                repeated[1..=n].copy_from_slice(&cells);
                (repeated[0], repeated[n + 1]) = (cells[0], cells[n - 1]);
                let mut found = vec![-1.0; (n + 1 + MORE_GAPS) * cell];
                let first = n / 3;
                let last = n / 2 + 1;
                for gaps in [0..first, first..last, last..n + 1] {
                    spread(
                        fearless_simd::Fallback::new(),
                        &repeated,
                        gaps,
                        cell,
                        &mut found,
                    );
                }
                for (x, found) in found[first_pixel(cell)..][..width].iter().enumerate() {
                    let (a, b, t) = between(x, cell, n);
                    let want = cells[a] + (cells[b] - cells[a]) * t;
                    assert!(
                        (found - want).abs() < 1e-5,
                        "{width} pixels, cells of {cell}, at {x}: {found} for {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn only_pixels_beside_cells_depend_on_them() {
        for width in 1..40 {
            for cell in 1..8 {
                let n = usize::div_ceil(width, cell);
                for cells in [0..1, 0..n, n / 2..n / 2 + 1, n - 1..n] {
                    let pixels = pixels_around(&cells, cell, width);
                    for x in 0..width {
                        let (a, b, t) = between(x, cell, n);
                        let depends = cells.contains(&a) || t > 0.0 && cells.contains(&b);
                        assert!(
                            !depends || pixels.contains(&x),
                            "{cells:?} of {n} cells of {cell}, {width} pixels, at {x}"
                        );
                    }
                }
            }
        }
    }
}
