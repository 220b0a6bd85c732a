//! Any kernel on a row of any shape. Fuzzing, and a small test of it, compare the levels with
//! these.
use super::{
    HARD_SWISH, InitialSums, NONE, PackedMatrix, RELU, RowLayout, add_row_sums, by_place,
    depthwise, extend_edges, fully_connected, pointwise, stem, tail,
    testing::{assert_close, block_at, numbers, padded_row, plain_row, stored_row},
};
use crate::{graph::Activation, simd::SimdLevel};
use fearless_simd::{Simd, dispatch};

/// A kernel, the shape of its row and the seed of its numbers. It uses the kernels' instances that
/// the executor uses, so that none is compiled for tests alone.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    kernel: Kernel,
    /// Channels of the input and of the output; multiples of 8.
    channels: [usize; 2],
    /// Pixels of the output, a multiple of 8.
    pixels: usize,
    /// Pixels in front of a padded row.
    pad: usize,
    seed: u32,
}

#[derive(Debug, Clone, Copy)]
enum Kernel {
    Pointwise {
        activation: u8,
        start: u8,
        split: bool,
    },
    Depthwise {
        taps: usize,
        stride: usize,
        activation: u8,
        add: bool,
    },
    Stem {
        activation: u8,
    },
    Tail,
    RowSums,
    FullyConnected(Option<Activation>),
}

const RESIDUAL: u8 = 1;
const ENLARGED: u8 = 2;

impl Case {
    /// Makes a case of any bytes.
    pub fn new(bytes: [u8; 6]) -> Case {
        let [kind, inputs, outputs, pixels, variant, seed] = bytes;
        let times_8 = |byte: u8| 8 * (1 + usize::from(byte) % 17);
        // Three small choices.
        let a = variant % 3;
        let b = variant / 3 % 3;
        let c = variant / 9 % 3;
        let activation = [NONE, RELU, HARD_SWISH][usize::from(a)];
        // Some kernels always have an activation in the executor.
        let never_none = if activation == NONE { RELU } else { activation };
        let kernel = match kind % 8 {
            0..=2 => match b {
                RESIDUAL => Kernel::Pointwise {
                    activation: NONE,
                    start: RESIDUAL,
                    split: false,
                },
                ENLARGED => Kernel::Pointwise {
                    activation: RELU,
                    start: ENLARGED,
                    split: false,
                },
                _ => Kernel::Pointwise {
                    activation,
                    start: 0,
                    split: c == 1 && activation != NONE,
                },
            },
            3 | 4 if c == 2 => Kernel::Depthwise {
                taps: 3,
                stride: 1,
                activation: RELU,
                add: true,
            },
            3 | 4 => Kernel::Depthwise {
                taps: if c == 0 { 3 } else { 5 },
                stride: 1 + usize::from(b) % 2,
                activation: never_none,
                add: false,
            },
            5 => Kernel::Stem {
                activation: never_none,
            },
            6 => Kernel::Tail,
            _ if b == 0 => Kernel::RowSums,
            _ => Kernel::FullyConnected(
                [None, Some(Activation::Relu), Some(Activation::Logistic)][usize::from(a)],
            ),
        };
        let pixels = match kernel {
            Kernel::Stem { .. } => times_8(pixels).max(16),
            Kernel::Tail => 2 * times_8(pixels),
            _ => times_8(pixels),
        };
        Case {
            kernel,
            channels: [times_8(inputs), times_8(outputs)],
            pixels,
            pad: usize::from(seed) % 3,
            seed: seed.into(),
        }
    }

    /// Compares every level with the scalar one.
    pub fn check(&self) {
        let expected = self.run(SimdLevel::Scalar);
        for level in SimdLevel::available() {
            assert_close(&self.run(level), &expected, &format!("{level}, {self:?}"));
        }
    }

    /// The plain result, `[pixel][channel]`; means instead of sums. Inputs are between -1 and 1.
    fn run(&self, level: SimdLevel) -> Vec<f32> {
        let block = block_at(level);
        dispatch!(level.level().expect("the level is available"), s => self.run_at(s, block))
    }

    fn run_at<S: Simd>(&self, s: S, block: usize) -> Vec<f32> {
        let [k, n] = self.channels;
        match self.kernel {
            Kernel::Pointwise {
                activation,
                start,
                split,
            } => self.pointwise(s, block, activation, start, split),
            Kernel::Depthwise {
                taps: 3,
                stride,
                activation,
                add,
            } => self.depthwise::<S, 3>(s, block, stride, activation, add),
            Kernel::Depthwise {
                stride,
                activation,
                add,
                ..
            } => self.depthwise::<S, 5>(s, block, stride, activation, add),
            Kernel::Stem { activation } => {
                let rows: [Vec<f32>; 3] =
                    std::array::from_fn(|i| self.numbers(i as u32, 6 * self.pixels));
                let rows = rows.each_ref().map(|row| &row[..]);
                let weights = PackedMatrix::new(27, n, &self.numbers(3, 27 * n));
                let bias = self.numbers(4, n);
                let mut y = vec![f32::NAN; self.pixels * n];
                match activation {
                    HARD_SWISH => stem::<S, HARD_SWISH>(s, rows, &weights, &bias, &mut y),
                    _ => stem::<S, RELU>(s, rows, &weights, &bias, &mut y),
                }
                plain_row(&y, n, RowLayout::plain(self.pixels), self.pixels, block)
            }
            Kernel::Tail => {
                let x = stored_row(&self.numbers(0, self.pixels * k), k, block);
                let weights = by_place(&self.numbers(1, 4 * k));
                let mut out = vec![f32::NAN; 4 * self.pixels];
                tail(s, &x, &weights, self.numbers(2, 1)[0], &mut out);
                out
            }
            Kernel::RowSums => {
                let mut sum = self.numbers(0, k);
                add_row_sums(
                    s,
                    &stored_row(&self.numbers(1, self.pixels * k), k, block),
                    &mut sum,
                );
                self.means(&sum)
            }
            Kernel::FullyConnected(activation) => {
                let x = self.numbers(0, k);
                let w = self.numbers(1, k * n);
                let bias = self.numbers(2, n);
                let mut y = vec![f32::NAN; n];
                fully_connected(s, &x, &w, &bias, activation, &mut y);
                y
            }
        }
    }

    fn pointwise<S: Simd>(
        &self,
        s: S,
        block: usize,
        activation: u8,
        start: u8,
        split: bool,
    ) -> Vec<f32> {
        let [k, n] = self.channels;
        let px = self.pixels;
        let x = stored_row(&self.numbers(0, px * k), k, block);
        let weights = PackedMatrix::new(k, n, &self.numbers(1, k * n));
        let bias = self.numbers(2, n);
        let residual = stored_row(&self.numbers(3, px * n), n, block);
        let small = [4, 5].map(|salt| {
            let mut row = stored_row(&self.numbers(salt, (px / 2 + 2) * n), n, block);
            extend_edges(s, &mut row, px / 2);
            row
        });
        let (start, to) = match start {
            RESIDUAL => (
                InitialSums::Residual(&bias, &residual),
                RowLayout::plain(px),
            ),
            ENLARGED => (
                InitialSums::Enlarged(&small[0], &small[1]),
                RowLayout::padded(px, 3, 1, self.pad.min(2)),
            ),
            _ => (
                InitialSums::Bias(&bias),
                RowLayout::padded(px, 5, 1 + usize::from(split), self.pad),
            ),
        };
        let mut y = vec![f32::NAN; to.len * n];
        match activation {
            RELU => pointwise::<S, RELU>(s, &x, &weights, start, &mut y, to),
            HARD_SWISH => pointwise::<S, HARD_SWISH>(s, &x, &weights, start, &mut y, to),
            _ => pointwise::<S, NONE>(s, &x, &weights, start, &mut y, to),
        }
        let written = y.iter().filter(|v| !v.is_nan()).count();
        assert_eq!(written, px * n, "the padding is not touched");
        plain_row(&y, n, to, px, block)
    }

    fn depthwise<S: Simd, const K: usize>(
        &self,
        s: S,
        block: usize,
        stride: usize,
        activation: u8,
        add: bool,
    ) -> Vec<f32> {
        let c = self.channels[0];
        let px = self.pixels;
        let width = self.pixels * stride;
        let from = RowLayout::padded(width, K, stride, self.pad);
        let rows: [Vec<f32>; K] =
            std::array::from_fn(|i| padded_row(&self.numbers(i as u32, width * c), c, from, block));
        let rows = rows.each_ref().map(|row| &row[..]);
        let weights = PackedMatrix::new(K * K, c, &self.numbers(20, K * K * c));
        let bias = self.numbers(21, c);
        let mut y = vec![f32::NAN; px * c];
        let mut sum = self.numbers(22, c);
        macro_rules! run {
            ($kernel:literal, $stride:literal, $activation:ident, $add:literal) => {{
                let rows = std::array::from_fn(|i| rows[i]);
                depthwise::<S, $kernel, $stride, $activation, $add>(
                    s, rows, from, &weights, &bias, &mut y, &mut sum,
                )
            }};
        }
        match (K, stride, activation, add) {
            (3, 1, _, true) => run!(3, 1, RELU, true),
            (3, 1, HARD_SWISH, _) => run!(3, 1, HARD_SWISH, false),
            (3, 1, ..) => run!(3, 1, RELU, false),
            (3, _, HARD_SWISH, _) => run!(3, 2, HARD_SWISH, false),
            (3, ..) => run!(3, 2, RELU, false),
            (_, 1, HARD_SWISH, _) => run!(5, 1, HARD_SWISH, false),
            (_, 1, ..) => run!(5, 1, RELU, false),
            (_, _, HARD_SWISH, _) => run!(5, 2, HARD_SWISH, false),
            _ => run!(5, 2, RELU, false),
        }
        let mut result = plain_row(&y, c, RowLayout::plain(px), px, block);
        result.extend(self.means(&sum));
        result
    }

    fn numbers(&self, salt: u32, count: usize) -> Vec<f32> {
        numbers(self.seed * 64 + salt, count)
    }

    fn means(&self, sum: &[f32]) -> Vec<f32> {
        sum.iter().map(|v| v / self.pixels as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Case;
    use proptest::{array::uniform6, prelude::*};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn every_level_has_the_same_kernels(bytes in uniform6(any::<u8>())) {
            Case::new(bytes).check();
        }
    }
}
