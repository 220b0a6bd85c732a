//! The checked graph: typed operators over tensors `[1][height][width][channels]`, in an order in
//! which they can run.
//!
//! [`build_graph`](super::builder::build_graph) guarantees: one operator writes each tensor before
//! others read it, so there are no circles; every shape in the file equals the one that follows
//! from the operators; all indices and constants are valid; the sum of all sizes is bounded.
use super::tflite::TfliteFile;

/// Index of a tensor.
pub(super) type TensorId = usize;

/// The largest height, width or number of channels.
const MAX_SIDE: usize = 4096;
/// The most numbers in all activations together: 128 MB. The general network has 7 million.
pub(super) const MAX_ACTIVATIONS: usize = 1 << 25;

/// Size of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// Pixels down.
    pub height: usize,
    /// Pixels across.
    pub width: usize,
    /// Numbers of each pixel.
    pub channels: usize,
}

impl MapShape {
    /// The number of values.
    pub(super) fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether it is one pixel.
    pub(super) fn is_pixel(self) -> bool {
        self.height == 1 && self.width == 1
    }
}

impl std::fmt::Display for MapShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.height, self.width, self.channels)
    }
}

/// A convolution with its constants.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Convolution {
    pub(super) input: TensorId,
    /// Height and width of the kernel.
    pub(super) kernel: [usize; 2],
    pub(super) stride: usize,
    /// Rows above and columns left of the map that count as zeros.
    pub(super) padding: [usize; 2],
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// `[outputs][kernel height][kernel width][inputs]`; depthwise `[kernel height][kernel
    /// width][channels]`.
    pub(super) weights: Vec<f32>,
    /// `[outputs]`.
    pub(super) bias: Vec<f32>,
}

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x * clamp(x / 6 + 1 / 2, 0, 1)`.
    HardSwish,
    /// `1 / (1 + exp(-x))`.
    Logistic,
}

/// The computation of an operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    /// Sum over the kernel and all input channels.
    Convolution(Convolution),
    /// Sum over the kernel, for each channel alone.
    Depthwise(Convolution),
    /// 2x2 kernel, stride 2: each input pixel gives a square of four output pixels.
    TransposedConvolution(Convolution),
    /// The same function of each value.
    Activation(TensorId, Activation),
    /// Mean over height and width.
    Mean(TensorId),
    /// Sum of two maps of the same size.
    Add(TensorId, TensorId),
    /// Product of a map and one value per channel.
    Scale {
        /// The map.
        map: TensorId,
        /// One pixel.
        factors: TensorId,
    },
    /// Bilinear interpolation to the output's size, pixel centres at one half.
    Resize(TensorId),
}

/// One operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Position in the file.
    pub(super) index: usize,
    /// Name in the file.
    pub(super) name: String,
    pub(super) op: Op,
    pub(super) output: TensorId,
}

impl Node {
    /// The tensors that it reads.
    pub(super) fn inputs(&self) -> impl Iterator<Item = TensorId> {
        let (a, b) = match &self.op {
            Op::Convolution(c) | Op::Depthwise(c) | Op::TransposedConvolution(c) => (c.input, None),
            Op::Activation(a, _) | Op::Mean(a) | Op::Resize(a) => (*a, None),
            Op::Add(a, b) | Op::Scale { map: a, factors: b } => (*a, Some(*b)),
        };
        std::iter::once(a).chain(b)
    }
}

/// A graph with one input and one output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graph {
    /// In an order in which each reads the input or tensors of nodes before it.
    pub(super) nodes: Vec<Node>,
    /// Shapes by tensor; `None` for constants.
    pub(super) shapes: Vec<Option<MapShape>>,
    pub(super) input: TensorId,
    pub(super) output: TensorId,
}

impl Graph {
    /// Shape of a tensor that some node writes, or of the input.
    pub(super) fn shape(&self, id: TensorId) -> MapShape {
        self.shapes[id].unwrap_or(MapShape {
            height: 0,
            width: 0,
            channels: 0,
        })
    }
}

/// The shape of a map as the file states it; `None` for other ranks and for sizes beyond the
/// limits.
pub(super) fn shape(file: &TfliteFile<'_>, id: TensorId) -> Option<MapShape> {
    let mut sides = file.tensors[id].shape.iter().map(|d| {
        usize::try_from(d)
            .ok()
            .filter(|d| (1..=MAX_SIDE).contains(d))
    });
    let (Some(Some(1)), Some(Some(height)), Some(Some(width)), Some(Some(channels)), None) = (
        sides.next(),
        sides.next(),
        sides.next(),
        sides.next(),
        sides.next(),
    ) else {
        return None;
    };
    let shape = MapShape {
        height,
        width,
        channels,
    };
    (height * width <= MAX_ACTIVATIONS && shape.len() <= MAX_ACTIVATIONS).then_some(shape)
}
