//! The plan that the executor follows, derived from a matched network, with all weights folded and
//! packed.
//!
//! Folded here, without changing the result:
//! - Hard swish is computed as `x/6 -> hard_swish(x)/6`, so maps behind it are stored as a sixth of
//!   their values. The `scale` of a map is that factor; the convolution that reads a map divides by
//!   it, the one that writes it multiplies.
//! - The 1x1 convolution `up` behind a bilinear resize and the `mix` behind the sum are both
//!   linear, and the resize commutes with them: `mix(gate * skip + up(resize(x)))` is `mix * gate *
//!   skip + resize((mix * up)(x))`, at a quarter of the cost.
//! - The resize keeps the mean, so that the mean of `skip + up(resize(x))` follows from the means
//!   of its parts.
//! - A gate is never multiplied into a map: it scales the rows of the next matrix, at run time.
//! - A block's last convolution is linear. Where it does not make the map smaller, and nothing is
//!   added to its output, that output is never computed: its readers read the map in front instead,
//!   with a matrix that includes the convolution ([`EncoderPlan::is_unprojected`]).
//! - The tail's weights carry the `-log2(e)` of the logistic.
use super::{
    ModelError, OperatorProblem,
    graph::{Activation, Graph},
    kernels::{AlignedFloats, HARD_SWISH, PackedMatrix, RELU, RowLayout, by_place},
    matching::{ConvolutionLayer, DecoderBlock, EncoderBlock, GateBlock, MatchedNetwork},
};

/// Everything that the executor needs to know.
#[derive(Debug)]
pub(super) struct NetworkPlan {
    /// Of the input, in pixels.
    pub(super) height: usize,
    /// Of the input, in pixels.
    pub(super) width: usize,
    pub(super) stem: Pointwise,
    pub(super) stem_activation: u8,
    pub(super) encoder: Vec<EncoderPlan>,
    pub(super) head: HeadPlan,
    pub(super) decoder: Vec<DecoderPlan>,
    pub(super) tail: Tail,
}

/// A packed matrix and its bias.
#[derive(Debug)]
pub(super) struct Pointwise {
    pub(super) weights: PackedMatrix,
    pub(super) bias: AlignedFloats,
}

/// A matrix `[k][n]` for one pixel and its bias.
#[derive(Debug)]
pub(super) struct SmallMatrix {
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) weights: AlignedFloats,
    pub(super) bias: AlignedFloats,
}

/// mean -> `reduce` -> ReLU -> `expand` -> logistic.
#[derive(Debug)]
pub(super) struct GatePlan {
    pub(super) reduce: SmallMatrix,
    pub(super) expand: SmallMatrix,
}

/// A depthwise convolution.
#[derive(Debug)]
pub(super) struct Depthwise {
    /// Side of the kernel: 3 or 5.
    pub(super) kernel: usize,
    /// 1 or 2.
    pub(super) stride: usize,
    /// Rows of zeros above the map.
    pub(super) top: usize,
    /// How the rows that it reads are stored.
    pub(super) row: RowLayout,
    pub(super) activation: u8,
    /// A matrix `[kernel * kernel][c]`.
    pub(super) weights: PackedMatrix,
    pub(super) bias: AlignedFloats,
}

/// A map that is kept until the decoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StoredMap {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

/// One inverted residual block. The pass that runs it first finishes the block before it (or the
/// stem).
#[derive(Debug)]
pub(super) struct EncoderPlan {
    /// The stored part of the input.
    pub(super) input: StoredMap,
    /// Whether a decoder needs the input's mean.
    pub(super) is_skip: bool,
    /// Whether the stored input lacks the projection of the block before, which then is part of
    /// all matrices that read it.
    pub(super) is_unprojected: bool,
    /// Where the projection before is missing: without its matrix, which a gate scales, but with
    /// its bias.
    pub(super) expand: Pointwise,
    pub(super) expand_activation: u8,
    pub(super) depthwise: Depthwise,
    pub(super) gate: Option<GatePlan>,
    pub(super) project: Pointwise,
    pub(super) residual: bool,
}

/// The head, which first finishes the last block.
#[derive(Debug)]
pub(super) struct HeadPlan {
    pub(super) input: StoredMap,
    pub(super) features: Pointwise,
    pub(super) gate: SmallMatrix,
}

/// One decoder.
#[derive(Debug)]
pub(super) struct DecoderPlan {
    /// Index of the encoder block whose input is added.
    pub(super) skip: usize,
    /// The factor from the stored skip to its true values.
    pub(super) skip_factor: f32,
    pub(super) gate: GatePlan,
    /// For the mean alone.
    pub(super) up: SmallMatrix,
    /// `mix * up` for the map in front of the resize; it has the bias of both, and is divided by 16
    /// as the kernel asks for.
    pub(super) merged: Pointwise,
    /// For the skip; without bias.
    pub(super) mix: PackedMatrix,
    pub(super) depthwise: Depthwise,
}

/// The transposed convolution.
#[derive(Debug)]
pub(super) struct Tail {
    /// In the order of [`by_place`].
    pub(super) weights: AlignedFloats,
    pub(super) bias: f32,
}

/// The factor of the stored values of a map behind this activation.
fn scale_behind(activation: Activation) -> f32 {
    if activation == Activation::HardSwish {
        1.0 / 6.0
    } else {
        1.0
    }
}

fn kernel_activation(activation: Activation) -> u8 {
    if activation == Activation::HardSwish {
        HARD_SWISH
    } else {
        RELU
    }
}

fn refuse(layer: &ConvolutionLayer<'_>, problem: OperatorProblem) -> ModelError {
    ModelError::Operator {
        index: layer.node.index,
        name: layer.node.name.clone(),
        problem,
    }
}

fn require(
    layer: &ConvolutionLayer<'_>,
    condition: bool,
    problem: impl FnOnce() -> OperatorProblem,
) -> Result<(), ModelError> {
    if condition {
        Ok(())
    } else {
        Err(refuse(layer, problem()))
    }
}

fn scaled(values: &[f32], factor: f32) -> Vec<f32> {
    values.iter().map(|v| v * factor).collect()
}

/// The weights `[n][k]` of a convolution as a matrix `[k][n]`.
fn matrix(layer: &ConvolutionLayer<'_>, factor: f32) -> Vec<f32> {
    let n = layer.outputs;
    let k = layer.weights.len() / layer.outputs;
    (0..k * n)
        .map(|i| layer.weights[i % n * k + i / n] * factor)
        .collect()
}

/// Checks that the kernels support a layer's numbers of channels.
fn check_channels(layer: &ConvolutionLayer<'_>) -> Result<(), ModelError> {
    let fits = layer.inputs.is_multiple_of(8) && layer.outputs.is_multiple_of(8);
    require(layer, fits, || OperatorProblem::Channels {
        inputs: layer.inputs,
        outputs: layer.outputs,
    })
}

/// Packs a convolution that reads a map of one scale and writes one of another.
fn pointwise(layer: &ConvolutionLayer<'_>, from: f32, to: f32) -> Result<Pointwise, ModelError> {
    check_channels(layer)?;
    let weights = PackedMatrix::new(layer.inputs, layer.outputs, &matrix(layer, to / from));
    Ok(Pointwise {
        weights,
        bias: AlignedFloats::from(&scaled(&layer.bias, to)[..]),
    })
}

fn small_matrix(layer: &ConvolutionLayer<'_>, from: f32) -> Result<SmallMatrix, ModelError> {
    check_channels(layer)?;
    let weights = AlignedFloats::from(&matrix(layer, 1.0 / from)[..]);
    Ok(SmallMatrix {
        k: layer.inputs,
        n: layer.outputs,
        weights,
        bias: AlignedFloats::from(&layer.bias[..]),
    })
}

fn gate(gate: &GateBlock<'_>, from: f32) -> Result<GatePlan, ModelError> {
    Ok(GatePlan {
        reduce: small_matrix(&gate.reduce, from)?,
        expand: small_matrix(&gate.expand, 1.0)?,
    })
}

fn depthwise(
    graph: &Graph,
    layer: &ConvolutionLayer<'_>,
    activation: Activation,
    from: f32,
) -> Result<Depthwise, ModelError> {
    check_channels(layer)?;
    let [kernel, across] = layer.kernel;
    let stride = layer.stride;
    let known = kernel == across && matches!((kernel, stride), (3 | 5, 1 | 2));
    require(layer, known, || OperatorProblem::DepthwiseKernel {
        height: kernel,
        width: across,
        stride,
    })?;
    let input = graph.shape(layer.input);
    let output = graph.shape(layer.node.output);
    let same = (output.height, output.width)
        == (input.height.div_ceil(stride), input.width.div_ceil(stride));
    require(layer, same, || OperatorProblem::NotSame(input, output))?;
    for width in [input.width, output.width] {
        require(layer, width.is_multiple_of(8), || {
            OperatorProblem::MapWidth(width)
        })?;
    }
    let c = layer.outputs;
    let to = scale_behind(activation);
    let [top, left] = layer.padding;
    Ok(Depthwise {
        kernel,
        stride,
        top,
        row: RowLayout::padded(input.width, kernel, stride, left),
        activation: kernel_activation(activation),
        weights: PackedMatrix::new(kernel * kernel, c, &scaled(&layer.weights, to / from)),
        bias: AlignedFloats::from(&scaled(&layer.bias, to)[..]),
    })
}

fn map(graph: &Graph, id: usize) -> StoredMap {
    let shape = graph.shape(id);
    StoredMap {
        height: shape.height,
        width: shape.width,
        channels: shape.channels,
    }
}

impl NetworkPlan {
    /// Derives the plan of a graph.
    pub(super) fn derive(graph: &Graph) -> Result<Self, ModelError> {
        let network = MatchedNetwork::find(graph)?;
        let input = graph.shape(graph.input);
        let MatchedNetwork {
            stem, tail, head, ..
        } = &network;
        let out = graph.shape(stem.node.output);
        require(stem, stem.inputs == 3, || {
            OperatorProblem::StemInputs(stem.inputs)
        })?;
        require(stem, stem.outputs.is_multiple_of(8), || {
            OperatorProblem::StemOutputs(stem.outputs)
        })?;
        let halves = (2 * out.height, 2 * out.width) == (input.height, input.width)
            && stem.padding == [0, 0]
            && out.width.is_multiple_of(16);
        require(stem, halves, || OperatorProblem::PictureSize(input, out))?;
        let first = scale_behind(network.stem_activation);
        let scale_of = |block: usize| if block == 0 { first } else { 1.0 };
        let encoder = network
            .encoder
            .iter()
            .enumerate()
            .map(|(i, block)| encoder(graph, &network, i, block, scale_of(i)));
        let encoder = encoder.collect::<Result<Vec<_>, _>>()?;
        require(stem, !encoder.is_empty(), || OperatorProblem::NoEncoder)?;
        let head_input = map(graph, head.input);
        require(&head.features, head_input.width.is_multiple_of(8), || {
            OperatorProblem::HeadWidth
        })?;
        let decoder = network
            .decoder
            .iter()
            .map(|block| decoder(graph, block, scale_of(block.skip)))
            .collect::<Result<Vec<_>, _>>()?;
        require(tail, !decoder.is_empty(), || OperatorProblem::NoDecoder)?;
        require(
            tail,
            tail.outputs == 1 && tail.inputs.is_multiple_of(8),
            || OperatorProblem::TailChannels {
                inputs: tail.inputs,
                outputs: tail.outputs,
            },
        )?;
        let before = graph.shape(tail.input);
        let after = graph.shape(graph.output);
        require(tail, before.width.is_multiple_of(16), || {
            OperatorProblem::TailWidth
        })?;
        require(
            tail,
            (after.height, after.width) == (input.height, input.width),
            || OperatorProblem::OutputSize {
                output: after,
                input,
            },
        )?;
        let logistic = -std::f32::consts::LOG2_E;
        Ok(NetworkPlan {
            height: input.height,
            width: input.width,
            stem: Pointwise {
                weights: PackedMatrix::new(27, stem.outputs, &matrix(stem, first)),
                bias: AlignedFloats::from(&scaled(&stem.bias, first)[..]),
            },
            stem_activation: kernel_activation(network.stem_activation),
            encoder,
            head: HeadPlan {
                input: head_input,
                features: pointwise(&head.features, 1.0, 1.0)?,
                gate: small_matrix(&head.gate, 1.0)?,
            },
            decoder,
            // [1][2][2][c] to [c][4]
            tail: Tail {
                weights: AlignedFloats::from(
                    &by_place(
                        &(0..4 * tail.inputs)
                            .map(|i| tail.weights[i % 4 * tail.inputs + i / 4] * logistic)
                            .collect::<Vec<_>>(),
                    )[..],
                ),
                bias: tail.bias[0] * logistic,
            },
        })
    }
}

fn encoder(
    graph: &Graph,
    network: &MatchedNetwork<'_>,
    index: usize,
    block: &EncoderBlock<'_>,
    scale: f32,
) -> Result<EncoderPlan, ModelError> {
    let expanded = scale_behind(block.expand_activation);
    let filtered = scale_behind(block.depthwise_activation);
    let mut input = map(graph, block.input);
    let mut expand = pointwise(&block.expand, scale, expanded)?;
    let missing = index
        .checked_sub(1)
        .map(|before| &network.encoder[before])
        .filter(|before| {
            !before.residual && !block.residual && before.project.inputs <= input.channels
        });
    if let Some(before) = missing {
        input.channels = before.project.inputs;
        let products = |o: usize| {
            let weights = block.expand.weights.chunks_exact(block.expand.inputs);
            let weights = weights.skip(o).take(1).flatten();
            let pairs = before.project.bias.iter().zip(weights);
            pairs.map(|(b, w)| f64::from(*b) * f64::from(*w))
        };
        for (o, bias) in expand.bias.iter_mut().enumerate() {
            let more = products(o).sum::<f64>() * f64::from(expanded);
            *bias = (f64::from(*bias) + more) as f32;
        }
    }
    let plain = !block.residual || scale == 1.0;
    require(&block.project, plain, || OperatorProblem::ScaledResidual)?;
    Ok(EncoderPlan {
        input,
        is_skip: network.decoder.iter().any(|d| d.skip == index),
        is_unprojected: missing.is_some(),
        expand,
        expand_activation: kernel_activation(block.expand_activation),
        depthwise: depthwise(
            graph,
            &block.depthwise,
            block.depthwise_activation,
            expanded,
        )?,
        gate: block.gate.as_ref().map(|g| gate(g, filtered)).transpose()?,
        project: pointwise(&block.project, filtered, 1.0)?,
        residual: block.residual,
    })
}

fn decoder(
    graph: &Graph,
    block: &DecoderBlock<'_>,
    skip_scale: f32,
) -> Result<DecoderPlan, ModelError> {
    let DecoderBlock { up, mix, .. } = block;
    check_channels(up)?;
    check_channels(mix)?;
    require(
        &block.depthwise,
        (block.depthwise.kernel, block.depthwise.stride) == ([3, 3], 1),
        || OperatorProblem::DecoderKernel,
    )?;
    let k = up.inputs;
    let c = up.outputs;
    let n = mix.outputs;
    let up_matrix = matrix(up, 1.0);
    let mix_matrix = matrix(mix, 1.0);
    // in double precision, so that a merged weight is as exact as a single one
    let times_mix = |row: &[f32], start: f32, o: usize| {
        let products = row
            .iter()
            .enumerate()
            .map(|(i, v)| f64::from(*v) * f64::from(mix_matrix[i * n + o]));
        ((f64::from(start) + products.sum::<f64>()) / 16.0) as f32
    };
    let merged: Vec<f32> = (0..k * n)
        .map(|i| times_mix(&up_matrix[i / n * c..][..c], 0.0, i % n))
        .collect();
    let bias: Vec<f32> = (0..n)
        .map(|o| times_mix(&up.bias, mix.bias[o], o))
        .collect();
    Ok(DecoderPlan {
        skip: block.skip,
        skip_factor: 1.0 / skip_scale,
        gate: gate(&block.gate, 1.0)?,
        up: small_matrix(up, 1.0)?,
        merged: Pointwise {
            weights: PackedMatrix::new(k, n, &merged),
            bias: AlignedFloats::from(&bias[..]),
        },
        mix: PackedMatrix::new(c, n, &matrix(mix, 1.0 / skip_scale)),
        depthwise: depthwise(graph, &block.depthwise, Activation::Relu, 1.0)?,
    })
}
