//! Errors of one operator.
use super::{ModelError, graph::MapShape};
use thiserror::Error;

/// Why a known operator cannot be run. The file is at fault, or asks for more than is supported.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OperatorProblem {
    /// A constant of another shape than the operator needs.
    #[error("a constant has the shape {found:?}, not {expected:?}")]
    ConstantShape {
        /// The first dimensions in the file.
        found: Vec<i32>,
        /// The dimensions that the operator needs.
        expected: Vec<usize>,
    },
    /// More weights than any network of the family has.
    #[error("there are more than {0} weights")]
    TooManyWeights(usize),
    /// A constant of another type than float32 or float16.
    #[error("a constant is {0}, not float32 or float16")]
    ConstantType(&'static str),
    /// A constant whose bytes do not fit its shape.
    #[error("a constant of {count} numbers has {found} bytes, not {expected}")]
    ConstantLength {
        /// Numbers of its shape.
        count: usize,
        /// Bytes in the file.
        found: usize,
        /// Bytes of that many numbers.
        expected: usize,
    },
    /// A constant that holds an infinity or NaN.
    #[error("a constant is infinite or not a number")]
    ConstantNotFinite,
    /// A constant with a negative dimension.
    #[error("a constant has a side of {0}")]
    ConstantSide(i32),
    /// A parameter that is not a few int32.
    #[error("a parameter is {kind} of {bytes} bytes, not a few int32")]
    Parameter {
        /// Its type.
        kind: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A tensor that two operators write.
    #[error("tensor {0} is written a second time")]
    WrittenTwice(usize),
    /// A constant that an operator writes.
    #[error("tensor {0} is written, although it is a constant")]
    WrittenConstant(usize),
    /// An output of another type than float32.
    #[error("its output is {0}, not float32")]
    OutputType(&'static str),
    /// An output of another shape than the inputs give.
    #[error("its output has another shape than {0}, which follows from its inputs")]
    OutputShape(MapShape),
    /// No output, or several.
    #[error("it has {0} outputs, not one")]
    OutputCount(usize),
    /// Another number of inputs than the operator takes.
    #[error("it has {found} inputs, not {expected}")]
    InputCount {
        /// Inputs in the file.
        found: usize,
        /// Inputs that the operator takes.
        expected: usize,
    },
    /// An input that no operator has written yet.
    #[error("its input, tensor {0}, is written by no operator before it")]
    UnwrittenInput(usize),
    /// An option outside of its range.
    #[error("option {id} is {value}")]
    OptionValue {
        /// Number of the field in the table of options.
        id: usize,
        /// Its value.
        value: i32,
    },
    /// The table of options is damaged.
    #[error("{0}")]
    DamagedOptions(Box<ModelError>),
    /// The options of another operator, or none.
    #[error("its options are missing or of kind {found}, not {expected}")]
    OptionsKind {
        /// Kind of the options in the file.
        found: u8,
        /// Kind of the operator's options.
        expected: u8,
    },
    /// A fused activation other than ReLU.
    #[error("the fused activation {0} is not supported, only none and ReLU")]
    FusedActivation(u8),
    /// A conversion of something else than a float16 constant.
    #[error("it converts {0}; only float16 constants are supported")]
    Conversion(&'static str),
    /// A conversion whose output does not fit its input.
    #[error("its output has another shape than its input or is not float32")]
    ConversionOutput,
    /// Strides that differ in height and width.
    #[error("strides {height}x{width} differ")]
    Strides {
        /// Stride down.
        height: usize,
        /// Stride across.
        width: usize,
    },
    /// A dilated convolution.
    #[error("dilation is not supported")]
    Dilation,
    /// A filter that is not a 4-dimensional tensor.
    #[error("its filter has not four dimensions")]
    FilterDimensions,
    /// A filter without weights.
    #[error("its filter is empty")]
    EmptyFilter,
    /// Options of a transposed convolution that are not supported.
    #[error("its options are {0:?}, not padding 1 or 2 and strides 2, 2")]
    TransposedOptions(Vec<i32>),
    /// A transposed convolution with another kernel than 2x2.
    #[error("its kernel is not 2x2")]
    TransposedKernel,
    /// An average over a part of the map.
    #[error("it averages over {height}x{width} of {shape}; only the whole map is supported")]
    AverageSize {
        /// Height of the average.
        height: usize,
        /// Width of the average.
        width: usize,
        /// The map.
        shape: MapShape,
    },
    /// A mean over other axes than height and width.
    #[error("it averages over the axes {0:?}; only [1, 2] with kept dimensions is supported")]
    MeanAxes(Vec<i32>),
    /// An addition of different shapes.
    #[error("it adds {0} and {1}; only equal shapes are supported")]
    Addition(MapShape, MapShape),
    /// A multiplication of something else than a map and one value per channel.
    #[error("it multiplies {0} and {1}; only a map and one value per channel are supported")]
    Multiplication(MapShape, MapShape),
    /// A resize whose pixels are not aligned by half pixel centres.
    #[error("only half pixel centres without aligned corners are supported")]
    ResizeAlignment,
    /// A resize whose output is not a map.
    #[error("its output is not a map [1][height][width][channels]")]
    ResizeOutput,
    /// A resize to another size than its output has.
    #[error("its size is {size:?}, its output {output}")]
    ResizeSize {
        /// The size that it asks for.
        size: Vec<i32>,
        /// Its output.
        output: MapShape,
    },
    /// A kernel larger than the map under it.
    #[error("its kernel of {kernel} is larger than its input of {input}")]
    LargeKernel {
        /// Side of the kernel.
        kernel: usize,
        /// Side of the input.
        input: usize,
    },
    /// A padding that the format does not know.
    #[error("padding {0} is unknown")]
    Padding(u8),
    /// Numbers of channels that the kernels do not support.
    #[error("it has {inputs} inputs and {outputs} outputs; multiples of 8 are supported")]
    Channels {
        /// Channels that it reads.
        inputs: usize,
        /// Channels that it writes.
        outputs: usize,
    },
    /// A depthwise kernel that is not supported.
    #[error(
        "a kernel of {height}x{width} with stride {stride}; 3x3 and 5x5 with stride 1 or 2 are \
         supported"
    )]
    DepthwiseKernel {
        /// Height of the kernel.
        height: usize,
        /// Width of the kernel.
        width: usize,
        /// Its stride.
        stride: usize,
    },
    /// A depthwise convolution whose padding is not "same".
    #[error("it goes from {0} to {1}; only \"same\" padding is supported")]
    NotSame(MapShape, MapShape),
    /// A map whose width is not a multiple of 8.
    #[error("a map is {0} pixels wide; multiples of 8 are supported")]
    MapWidth(usize),
    /// A first convolution that does not read three colours.
    #[error("it reads {0} channels; the three colours are supported")]
    StemInputs(usize),
    /// A first convolution whose number of outputs is not a multiple of 8.
    #[error("it has {0} outputs; multiples of 8 are supported")]
    StemOutputs(usize),
    /// A picture that the first convolution does not halve.
    #[error(
        "it goes from {0} to {1}; an even height and a width that is a multiple of 32 are supported"
    )]
    PictureSize(MapShape, MapShape),
    /// A network without encoder.
    #[error("no inverted residual block follows it")]
    NoEncoder,
    /// The last map of the encoder has a width that is not supported.
    #[error("a map's width is not a multiple of 8")]
    HeadWidth,
    /// A network without decoder.
    #[error("no decoder stands in front of it")]
    NoDecoder,
    /// A last convolution with channels that are not supported.
    #[error("it goes from {inputs} channels to {outputs}; a multiple of 8 and 1 are supported")]
    TailChannels {
        /// Channels that it reads.
        inputs: usize,
        /// Channels that it writes.
        outputs: usize,
    },
    /// The last map of the decoder has a width that is not supported.
    #[error("a map's width is not a multiple of 16")]
    TailWidth,
    /// An output of another size than the input.
    #[error("the output is {output}, the input {input}")]
    OutputSize {
        /// Shape of the output.
        output: MapShape,
        /// Shape of the input.
        input: MapShape,
    },
    /// A residual that would be added to values of another scale.
    #[error("a residual from a map behind a hard swish is not supported")]
    ScaledResidual,
    /// A decoder whose depthwise convolution is not supported.
    #[error("a decoder's depthwise convolution has a 3x3 kernel and stride 1")]
    DecoderKernel,
}
