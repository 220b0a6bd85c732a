//! The order and size of a file's input and output.
use std::fmt;

/// Where the colours stand in a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelOrder {
    /// One plane per colour: `[1][3][height][width]`.
    Planes,
    /// The colours of a pixel side by side: `[1][height][width][3]`.
    Pixels,
}

/// The input of a network: one RGB picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputLayout {
    /// Where the colours stand.
    pub order: ChannelOrder,
    /// Width and height in pixels; 0 where the file leaves it open.
    pub size: (usize, usize),
}

impl InputLayout {
    /// Reads the shape of an input; sizes that are not fixed are negative.
    pub(crate) fn of(shape: &[i64]) -> Option<InputLayout> {
        let &[batch, a, b, c] = shape else {
            return None;
        };
        if !(batch == 1 || batch < 0) {
            return None;
        }
        let (order, height, width) = match (a, c) {
            (3, _) => (ChannelOrder::Planes, b, c),
            (_, 3) => (ChannelOrder::Pixels, a, b),
            _ => return None,
        };
        let size = |n: i64| match n {
            0 => None,
            n if n < 0 => Some(0),
            n => usize::try_from(n).ok().filter(|&n| n <= MAX_SIDE),
        };
        Some(InputLayout {
            order,
            size: (size(width)?, size(height)?),
        })
    }

    /// The same with `side` for sizes that the file leaves open.
    pub(crate) fn sized(self, side: usize) -> InputLayout {
        let or = |n: usize| if n == 0 { side } else { n };
        InputLayout {
            size: (or(self.size.0), or(self.size.1)),
            ..self
        }
    }

    /// The shape of a tensor for one picture.
    pub(crate) fn shape(&self) -> [usize; 4] {
        let (width, height) = self.size;
        match self.order {
            ChannelOrder::Planes => [1, 3, height, width],
            ChannelOrder::Pixels => [1, height, width, 3],
        }
    }
}

/// The longest side of a network's picture. Larger ones take seconds a frame.
const MAX_SIDE: usize = 4096;

/// `1x3x256x256`, with `?` for sizes that are not fixed.
pub(crate) struct ShapeText<'a>(pub(crate) &'a [i64]);

impl fmt::Display for ShapeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, &n) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("x")?;
            }
            match n < 0 {
                true => f.write_str("?")?,
                false => write!(f, "{n}")?,
            }
        }
        Ok(())
    }
}

/// Whether a tensor of this shape can be one value per pixel of a picture of `size`: its sides are
/// the picture's, in this order, and everything else is 1. Sizes that are not fixed fit anything.
pub(crate) fn is_mask(shape: &[i64], size: (usize, usize)) -> bool {
    let is = |n: i64, side: usize| n < 0 || usize::try_from(n) == Ok(side);
    (0..shape.len().saturating_sub(1)).any(|at| {
        is(shape[at], size.1)
            && is(shape[at + 1], size.0)
            && shape[..at]
                .iter()
                .chain(&shape[at + 2..])
                .all(|&n| is(n, 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_read_from_the_shape() {
        let layout = |order, size| Some(InputLayout { order, size });
        assert_eq!(
            InputLayout::of(&[1, 3, 192, 256]),
            layout(ChannelOrder::Planes, (256, 192))
        );
        assert_eq!(
            InputLayout::of(&[-1, 192, 256, 3]),
            layout(ChannelOrder::Pixels, (256, 192))
        );
        assert_eq!(
            InputLayout::of(&[-1, 3, -1, -1]),
            layout(ChannelOrder::Planes, (0, 0))
        );
        for wrong in [
            &[1, 1, 256, 256][..],
            &[2, 3, 256, 256],
            &[3, 256, 256],
            &[1, 3, 0, 256],
            &[1, 3, 5000, 256],
        ] {
            assert_eq!(InputLayout::of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_mask_has_one_value_per_pixel() {
        let size = (256, 192);
        for mask in [
            &[1, 1, 192, 256][..],
            &[1, 192, 256, 1],
            &[1, 192, 256],
            &[192, 256],
            &[-1, 1, -1, -1],
        ] {
            assert!(is_mask(mask, size), "{mask:?}");
        }
        for other in [
            &[1, 2, 192, 256][..],
            &[1, 1, 256, 192],
            &[1, 1, 96, 128],
            &[192 * 256],
            &[],
        ] {
            assert!(!is_mask(other, size), "{other:?}");
        }
    }
}
