//! Turns the operators of a file into nodes of a [`Graph`], and checks options, constants and
//! shapes of each kind.
use super::{
    ModelError, OperatorProblem,
    graph::{Activation, Convolution, Graph, MapShape, Node, Op, TensorId, shape},
    tflite::{TensorType, TfliteFile, TfliteOperator},
};

/// The most weights of a model. The selfie segmentation networks have 106 thousand.
const MAX_WEIGHTS: usize = 1 << 22;

/// Codes of the built-in operators that are known (`enum BuiltinOperator` of the schema).
mod code {
    pub(super) const ADD: i32 = 0;
    pub(super) const AVERAGE_POOL_2D: i32 = 1;
    pub(super) const CONV_2D: i32 = 3;
    pub(super) const DEPTHWISE_CONV_2D: i32 = 4;
    pub(super) const DEQUANTIZE: i32 = 6;
    pub(super) const LOGISTIC: i32 = 14;
    pub(super) const MUL: i32 = 18;
    pub(super) const RELU: i32 = 19;
    pub(super) const RESIZE_BILINEAR: i32 = 23;
    pub(super) const MEAN: i32 = 40;
    pub(super) const HARD_SWISH: i32 = 117;
}
/// MediaPipe's custom operator: a transposed convolution that adds a bias.
const TRANSPOSE_BIAS: &str = "Convolution2DTransposeBias";

/// Whether operators of this kind can be run.
pub(super) fn is_known(operator: &TfliteOperator<'_>) -> bool {
    use code::*;
    let known = [
        ADD,
        AVERAGE_POOL_2D,
        CONV_2D,
        DEPTHWISE_CONV_2D,
        DEQUANTIZE,
        LOGISTIC,
        MUL,
        RELU,
        RESIZE_BILINEAR,
        MEAN,
        HARD_SWISH,
    ];
    known.contains(&operator.code) || operator.is_custom(TRANSPOSE_BIAS)
}

/// Reads constants. Remembers which tensors are f16 constants turned into f32, and counts the
/// weights.
pub(super) struct ConstantReader<'f, 'a> {
    file: &'f TfliteFile<'a>,
    /// By tensor: the constant that it was made from.
    source: Vec<Option<TensorId>>,
    weights: usize,
}

impl<'f, 'a> ConstantReader<'f, 'a> {
    pub(super) fn new(file: &'f TfliteFile<'a>) -> Self {
        ConstantReader {
            file,
            source: vec![None; file.tensors.len()],
            weights: 0,
        }
    }

    /// The numbers of a constant tensor of this shape. All must be finite.
    fn floats(&mut self, id: TensorId, dims: &[usize]) -> Result<Vec<f32>, OperatorProblem> {
        let tensor = &self.file.tensors[self.source[id].unwrap_or(id)];
        if !tensor.shape.iter().eq(dims.iter().map(|d| *d as i32)) {
            return Err(OperatorProblem::ConstantShape {
                found: tensor.shape.iter().take(8).collect(),
                expected: dims.to_vec(),
            });
        }
        let count = dims
            .iter()
            .try_fold(1usize, |n, d| n.checked_mul(*d))
            .filter(|n| self.weights + n <= MAX_WEIGHTS);
        let count = count.ok_or(OperatorProblem::TooManyWeights(MAX_WEIGHTS))?;
        let size = match tensor.kind {
            TensorType::F32 => 4,
            TensorType::F16 => 2,
            other => return Err(OperatorProblem::ConstantType(other.name())),
        };
        if tensor.data.len() != count * size {
            return Err(OperatorProblem::ConstantLength {
                count,
                found: tensor.data.len(),
                expected: count * size,
            });
        }
        self.weights += count;
        let values: Vec<f32> = if size == 4 {
            tensor
                .data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect()
        } else {
            tensor
                .data
                .as_chunks::<2>()
                .0
                .iter()
                .map(|b| half_to_f32(u16::from_le_bytes(*b)))
                .collect()
        };
        if values.iter().all(|v| v.is_finite()) {
            Ok(values)
        } else {
            Err(OperatorProblem::ConstantNotFinite)
        }
    }

    /// The dimensions of a constant tensor.
    fn dims(&self, id: TensorId) -> Result<Vec<usize>, OperatorProblem> {
        let tensor = &self.file.tensors[self.source[id].unwrap_or(id)];
        tensor
            .shape
            .iter()
            .take(5)
            .map(|d| usize::try_from(d).map_err(|_| OperatorProblem::ConstantSide(d)))
            .collect()
    }

    /// The integers of a constant tensor.
    fn ints(&self, id: TensorId) -> Result<Vec<i32>, OperatorProblem> {
        let tensor = &self.file.tensors[id];
        if tensor.kind != TensorType::I32 || tensor.data.is_empty() || tensor.data.len() > 16 {
            return Err(OperatorProblem::Parameter {
                kind: tensor.kind.name(),
                bytes: tensor.data.len(),
            });
        }
        Ok(tensor
            .data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| i32::from_le_bytes(*b))
            .collect())
    }
}

/// IEEE 754 half precision to single precision, exact.
fn half_to_f32(half: u16) -> f32 {
    let exponent = (half >> 10) & 31;
    let fraction = half & 1023;
    let magnitude = match exponent {
        0 => f32::from(fraction) * f32::from_bits(0x3380_0000), // 2^-24
        31 if fraction == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => f32::from_bits((u32::from(exponent) + 112) << 23 | u32::from(fraction) << 13),
    };
    if half >> 15 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

/// Adds the node of one known operator to the graph: two nodes where an activation is part of the
/// operator, none for `DEQUANTIZE`.
pub(super) fn lower<'a>(
    reader: &mut ConstantReader<'_, 'a>,
    graph: &mut Graph,
    operator: &TfliteOperator<'a>,
) -> Result<(), ModelError> {
    let found = Lowering {
        reader,
        graph,
        operator,
    }
    .run();
    found.map_err(|problem| ModelError::Operator {
        index: operator.index,
        name: operator.name(),
        problem,
    })
}

/// An operator, the shape that its output gets and whether a ReLU follows within it.
struct LoweredOperator {
    op: Op,
    shape: MapShape,
    relu: bool,
}

struct Lowering<'l, 'f, 'a> {
    reader: &'l mut ConstantReader<'f, 'a>,
    graph: &'l mut Graph,
    operator: &'l TfliteOperator<'a>,
}

impl Lowering<'_, '_, '_> {
    fn run(&mut self) -> Result<(), OperatorProblem> {
        let output = self.only_output()?;
        if self.graph.shapes[output].is_some() || self.reader.source[output].is_some() {
            return Err(OperatorProblem::WrittenTwice(output));
        }
        if !self.reader.file.tensors[output].data.is_empty() {
            return Err(OperatorProblem::WrittenConstant(output));
        }
        let lowered = match self.operator.code {
            code::DEQUANTIZE => return self.dequantize(output),
            code::CONV_2D => self.convolution(false)?,
            code::DEPTHWISE_CONV_2D => self.convolution(true)?,
            code::RELU => self.activation(Activation::Relu)?,
            code::HARD_SWISH => self.activation(Activation::HardSwish)?,
            code::LOGISTIC => self.activation(Activation::Logistic)?,
            code::AVERAGE_POOL_2D => self.average_pool()?,
            code::MEAN => self.mean()?,
            code::ADD => self.add()?,
            code::MUL => self.multiply()?,
            code::RESIZE_BILINEAR => self.resize(output)?,
            _ => self.transposed_convolution()?,
        };
        let kind = self.reader.file.tensors[output].kind;
        if kind != TensorType::F32 {
            return Err(OperatorProblem::OutputType(kind.name()));
        }
        if shape(self.reader.file, output) != Some(lowered.shape) {
            return Err(OperatorProblem::OutputShape(lowered.shape));
        }
        let index = self.operator.index;
        let name = self.operator.name();
        let mut written = output;
        if lowered.relu {
            written = self.graph.shapes.len();
            self.graph.shapes.push(Some(lowered.shape));
        }
        self.graph.nodes.push(Node {
            index,
            name: name.clone(),
            op: lowered.op,
            output: written,
        });
        if lowered.relu {
            self.graph.nodes.push(Node {
                index,
                name,
                op: Op::Activation(written, Activation::Relu),
                output,
            });
        }
        self.graph.shapes[output] = Some(lowered.shape);
        Ok(())
    }

    fn only_output(&self) -> Result<TensorId, OperatorProblem> {
        let mut outputs = self.operator.outputs.iter();
        match (outputs.next(), outputs.next()) {
            (Some(id), None) => Ok(id as usize),
            _ => Err(OperatorProblem::OutputCount(self.operator.outputs.len())),
        }
    }

    fn inputs<const N: usize>(&self) -> Result<[TensorId; N], OperatorProblem> {
        let ids: Vec<TensorId> = self
            .operator
            .inputs
            .iter()
            .take(N + 1)
            .filter_map(|i| usize::try_from(i).ok())
            .collect();
        ids.try_into().map_err(|_| OperatorProblem::InputCount {
            found: self.operator.inputs.len(),
            expected: N,
        })
    }

    /// Shape of a map that an operator before this one wrote.
    fn map(&self, id: TensorId) -> Result<MapShape, OperatorProblem> {
        self.graph.shapes[id].ok_or(OperatorProblem::UnwrittenInput(id))
    }

    /// A 32-bit option that must be positive.
    fn positive(&self, id: usize, default: i32) -> Result<usize, OperatorProblem> {
        let value = self.option(|t| t.i32(id, default, "operator's options"), default)?;
        usize::try_from(value)
            .ok()
            .filter(|v| (1..=4096).contains(v))
            .ok_or(OperatorProblem::OptionValue { id, value })
    }

    fn option<T>(
        &self,
        read: impl Fn(&super::flatbuffer::Table<'_>) -> Result<T, ModelError>,
        default: T,
    ) -> Result<T, OperatorProblem> {
        self.operator
            .options
            .as_ref()
            .map_or(Ok(default), read)
            .map_err(|e| OperatorProblem::DamagedOptions(Box::new(e)))
    }

    /// Refuses options of another kind of operator.
    fn expect_options(&self, kind: u8) -> Result<(), OperatorProblem> {
        match (self.operator.options_type, &self.operator.options) {
            (found, Some(_)) if found == kind => Ok(()),
            (found, _) => Err(OperatorProblem::OptionsKind {
                found,
                expected: kind,
            }),
        }
    }

    /// Whether a ReLU is part of the operator.
    fn fused_relu(&self, id: usize) -> Result<bool, OperatorProblem> {
        match self.option(|t| t.u8(id, "fused activation"), 0)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(OperatorProblem::FusedActivation(other)),
        }
    }

    fn dequantize(&mut self, output: TensorId) -> Result<(), OperatorProblem> {
        let [from] = self.inputs()?;
        let tensor = &self.reader.file.tensors[from];
        if tensor.data.is_empty() || tensor.kind != TensorType::F16 {
            return Err(OperatorProblem::Conversion(tensor.kind.name()));
        }
        let to = &self.reader.file.tensors[output];
        if to.kind != TensorType::F32 || !to.shape.iter().eq(tensor.shape.iter()) {
            return Err(OperatorProblem::ConversionOutput);
        }
        self.reader.source[output] = Some(from);
        Ok(())
    }

    fn convolution(&mut self, depthwise: bool) -> Result<LoweredOperator, OperatorProblem> {
        let [input, filter, bias] = self.inputs()?;
        let shape = self.map(input)?;
        self.expect_options(if depthwise { 2 } else { 1 })?;
        // the depth multiplier stands between the strides and the rest
        let after = usize::from(depthwise);
        let stride_x = self.positive(1, 0)?;
        let stride_y = self.positive(2, 0)?;
        if stride_x != stride_y {
            return Err(OperatorProblem::Strides {
                height: stride_y,
                width: stride_x,
            });
        }
        if self.positive(4 + after, 1)? != 1 || self.positive(5 + after, 1)? != 1 {
            return Err(OperatorProblem::Dilation);
        }
        let &[outputs, height, width, inputs] = &self.reader.dims(filter)?[..] else {
            return Err(OperatorProblem::FilterDimensions);
        };
        let (outputs, expected) = if depthwise {
            (inputs, [1, shape.channels])
        } else {
            (outputs, [outputs, shape.channels])
        };
        let weights = self
            .reader
            .floats(filter, &[expected[0], height, width, expected[1]])?;
        let bias = self.reader.floats(bias, &[outputs])?;
        if weights.is_empty() {
            return Err(OperatorProblem::EmptyFilter);
        }
        let padding = self.option(|t| t.u8(0, "padding"), 0)?;
        let (out_height, top) = output_side(shape.height, height, stride_y, padding)?;
        let (out_width, left) = output_side(shape.width, width, stride_x, padding)?;
        let convolution = Convolution {
            input,
            kernel: [height, width],
            stride: stride_x,
            padding: [top, left],
            inputs: shape.channels,
            outputs,
            weights,
            bias,
        };
        let op = if depthwise {
            Op::Depthwise(convolution)
        } else {
            Op::Convolution(convolution)
        };
        let shape = MapShape {
            height: out_height,
            width: out_width,
            channels: outputs,
        };
        Ok(LoweredOperator {
            op,
            shape,
            relu: self.fused_relu(3 + after)?,
        })
    }

    fn transposed_convolution(&mut self) -> Result<LoweredOperator, OperatorProblem> {
        let [input, filter, bias] = self.inputs()?;
        let shape = self.map(input)?;
        // padding (1 = same, 2 = valid: alike here), stride by width, stride by height
        let options: Vec<i32> = self
            .operator
            .custom_options
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| i32::from_le_bytes(*b))
            .collect();
        if !matches!(&options[..], [1 | 2, 2, 2]) {
            return Err(OperatorProblem::TransposedOptions(
                options.into_iter().take(8).collect(),
            ));
        }
        let &[outputs, 2, 2, inputs] = &self.reader.dims(filter)?[..] else {
            return Err(OperatorProblem::TransposedKernel);
        };
        let weights = self
            .reader
            .floats(filter, &[outputs, 2, 2, shape.channels])?;
        let bias = self.reader.floats(bias, &[outputs])?;
        let convolution = Convolution {
            input,
            kernel: [2, 2],
            stride: 2,
            padding: [0, 0],
            inputs,
            outputs,
            weights,
            bias,
        };
        let shape = MapShape {
            height: 2 * shape.height,
            width: 2 * shape.width,
            channels: outputs,
        };
        Ok(LoweredOperator {
            op: Op::TransposedConvolution(convolution),
            shape,
            relu: false,
        })
    }

    fn activation(&self, activation: Activation) -> Result<LoweredOperator, OperatorProblem> {
        let [input] = self.inputs()?;
        Ok(LoweredOperator {
            op: Op::Activation(input, activation),
            shape: self.map(input)?,
            relu: false,
        })
    }

    fn average_pool(&self) -> Result<LoweredOperator, OperatorProblem> {
        let [input] = self.inputs()?;
        let shape = self.map(input)?;
        self.expect_options(5)?;
        let width = self.positive(3, 0)?;
        let height = self.positive(4, 0)?;
        if (height, width) != (shape.height, shape.width) {
            return Err(OperatorProblem::AverageSize {
                height,
                width,
                shape,
            });
        }
        self.positive(1, 0)?;
        self.positive(2, 0)?;
        Ok(LoweredOperator {
            op: Op::Mean(input),
            shape: pixel(shape.channels),
            relu: self.fused_relu(5)?,
        })
    }

    fn mean(&self) -> Result<LoweredOperator, OperatorProblem> {
        let [input, axes] = self.inputs()?;
        let shape = self.map(input)?;
        self.expect_options(27)?;
        let mut axes = self.reader.ints(axes)?;
        axes.sort_unstable();
        if axes != [1, 2] || !self.option(|t| t.bool(0, "kept dimensions"), false)? {
            return Err(OperatorProblem::MeanAxes(axes));
        }
        Ok(LoweredOperator {
            op: Op::Mean(input),
            shape: pixel(shape.channels),
            relu: false,
        })
    }

    fn add(&self) -> Result<LoweredOperator, OperatorProblem> {
        let [a, b] = self.inputs()?;
        self.expect_options(11)?;
        let shape = self.map(a)?;
        let other = self.map(b)?;
        if shape != other {
            return Err(OperatorProblem::Addition(shape, other));
        }
        Ok(LoweredOperator {
            op: Op::Add(a, b),
            shape,
            relu: self.fused_relu(0)?,
        })
    }

    fn multiply(&self) -> Result<LoweredOperator, OperatorProblem> {
        let [a, b] = self.inputs()?;
        self.expect_options(21)?;
        let first = self.map(a)?;
        let second = self.map(b)?;
        let (map, factors, shape, other) = if second.is_pixel() {
            (a, b, first, second)
        } else {
            (b, a, second, first)
        };
        if !other.is_pixel() || other.channels != shape.channels {
            return Err(OperatorProblem::Multiplication(first, second));
        }
        Ok(LoweredOperator {
            op: Op::Scale { map, factors },
            shape,
            relu: self.fused_relu(0)?,
        })
    }

    fn resize(&self, output: TensorId) -> Result<LoweredOperator, OperatorProblem> {
        let [input, size] = self.inputs()?;
        let channels = self.map(input)?.channels;
        self.expect_options(15)?;
        let align_corners = self.option(|t| t.bool(2, "align corners"), false)?;
        if align_corners || !self.option(|t| t.bool(3, "half pixel centres"), false)? {
            return Err(OperatorProblem::ResizeAlignment);
        }
        let size = self.reader.ints(size)?;
        let shape = shape(self.reader.file, output).ok_or(OperatorProblem::ResizeOutput)?;
        if size != [shape.height as i32, shape.width as i32] {
            return Err(OperatorProblem::ResizeSize {
                size,
                output: shape,
            });
        }
        Ok(LoweredOperator {
            op: Op::Resize(input),
            shape: MapShape { channels, ..shape },
            relu: false,
        })
    }
}

fn pixel(channels: usize) -> MapShape {
    MapShape {
        height: 1,
        width: 1,
        channels,
    }
}

/// Length of one side after a convolution and the padding in front of it. `padding` 0 is "same", 1
/// "valid".
fn output_side(
    side: usize,
    kernel: usize,
    stride: usize,
    padding: u8,
) -> Result<(usize, usize), OperatorProblem> {
    match padding {
        0 => {
            let out = side.div_ceil(stride);
            Ok((out, ((out - 1) * stride + kernel).saturating_sub(side) / 2))
        }
        1 if kernel <= side => Ok(((side - kernel) / stride + 1, 0)),
        1 => Err(OperatorProblem::LargeKernel {
            kernel,
            input: side,
        }),
        other => Err(OperatorProblem::Padding(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_read_exactly() {
        let cases = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
        ];
        for (half, value) in cases {
            assert_eq!(half_to_f32(half), value, "{half:#06x}");
        }
        assert!(half_to_f32(0x7c01).is_nan());
    }

    #[test]
    fn sides_follow_tensorflow_s_rules() {
        assert_eq!(output_side(256, 3, 2, 0), Ok((128, 0)));
        assert_eq!(output_side(9, 5, 1, 0), Ok((9, 2)));
        assert_eq!(output_side(9, 3, 2, 0), Ok((5, 1)));
        assert_eq!(output_side(9, 3, 2, 1), Ok((4, 0)));
        assert!(output_side(2, 3, 1, 1).is_err());
        assert!(output_side(2, 3, 1, 2).is_err());
    }
}
