//! Finds the parts of a selfie segmentation network in a checked graph, by following its tensors.
//!
//! The family: a stem; any number of inverted residual blocks (expand, depthwise, optional gate,
//! project, optional residual); a head with a gate; decoders that enlarge by two and add the input
//! of an earlier block; a transposed convolution as tail. Every operator must have its place in
//! this list, and every operand is checked. So a match means that the plan computes the same as the
//! graph.
use super::{
    ModelError,
    graph::{Activation, Convolution, Graph, Node, Op, TensorId},
};
use std::ops::Deref;

/// A convolution and the operator that it stands in.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConvolutionLayer<'g> {
    pub(super) node: &'g Node,
    convolution: &'g Convolution,
}

impl Deref for ConvolutionLayer<'_> {
    type Target = Convolution;
    fn deref(&self) -> &Convolution {
        self.convolution
    }
}

/// mean -> `reduce` -> ReLU -> `expand` -> logistic.
#[derive(Debug, Clone, Copy)]
pub(super) struct GateBlock<'g> {
    pub(super) reduce: ConvolutionLayer<'g>,
    pub(super) expand: ConvolutionLayer<'g>,
}

/// One inverted residual block.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncoderBlock<'g> {
    pub(super) input: TensorId,
    pub(super) expand: ConvolutionLayer<'g>,
    pub(super) expand_activation: Activation,
    pub(super) depthwise: ConvolutionLayer<'g>,
    pub(super) depthwise_activation: Activation,
    pub(super) gate: Option<GateBlock<'g>>,
    pub(super) project: ConvolutionLayer<'g>,
    /// Whether the input is added to the output.
    pub(super) residual: bool,
}

/// ReLU of `features`, scaled by the logistic of `gate` of the input's mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadBlock<'g> {
    pub(super) input: TensorId,
    pub(super) features: ConvolutionLayer<'g>,
    pub(super) gate: ConvolutionLayer<'g>,
}

/// `u = up(resize(x))`, `m = relu(mix(skip * gate(mean(skip + u)) + u))`, `m + relu(depthwise(m))`.
#[derive(Debug, Clone, Copy)]
pub(super) struct DecoderBlock<'g> {
    pub(super) up: ConvolutionLayer<'g>,
    /// Index of the encoder block whose input is added.
    pub(super) skip: usize,
    pub(super) gate: GateBlock<'g>,
    pub(super) mix: ConvolutionLayer<'g>,
    pub(super) depthwise: ConvolutionLayer<'g>,
}

/// The whole network.
#[derive(Debug)]
pub(super) struct MatchedNetwork<'g> {
    pub(super) stem: ConvolutionLayer<'g>,
    pub(super) stem_activation: Activation,
    pub(super) encoder: Vec<EncoderBlock<'g>>,
    pub(super) head: HeadBlock<'g>,
    pub(super) decoder: Vec<DecoderBlock<'g>>,
    pub(super) tail: ConvolutionLayer<'g>,
}

impl<'g> MatchedNetwork<'g> {
    /// Matches the whole graph.
    pub(super) fn find(graph: &'g Graph) -> Result<Self, ModelError> {
        let mut users = vec![Vec::new(); graph.shapes.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            node.inputs().for_each(|t| users[t].push(i));
        }
        let mut matcher = Matcher {
            graph,
            users,
            used: vec![false; graph.nodes.len()],
        };
        let network = matcher.network()?;
        match matcher.used.iter().position(|used| !used) {
            None => Ok(network),
            Some(i) => Err(stop(&graph.nodes[i], "it has no place in such a network")),
        }
    }
}

fn stop(node: &Node, problem: &str) -> ModelError {
    ModelError::Structure {
        index: node.index,
        name: node.name.clone(),
        problem: problem.to_owned(),
    }
}

struct Matcher<'g> {
    graph: &'g Graph,
    /// By tensor: the nodes that read it.
    users: Vec<Vec<usize>>,
    /// By node: whether a part of the network has it.
    used: Vec<bool>,
}

impl<'g> Matcher<'g> {
    /// Takes the first free operator that reads `tensor` and that `pick` accepts. Returns its
    /// output too.
    fn take<T>(
        &mut self,
        tensor: TensorId,
        what: &str,
        pick: impl Fn(&'g Node) -> Option<T>,
    ) -> Result<(T, TensorId), ModelError> {
        let graph = self.graph;
        let free = || {
            self.users[tensor]
                .iter()
                .copied()
                .filter(|i| !self.used[*i])
        };
        if let Some((i, found)) = free().find_map(|i| pick(&graph.nodes[i]).map(|t| (i, t))) {
            self.used[i] = true;
            return Ok((found, graph.nodes[i].output));
        }
        let last = free()
            .next()
            .or_else(|| graph.nodes.iter().position(|n| n.output == tensor))
            .unwrap_or(0);
        match graph.nodes.get(last) {
            Some(node) => Err(stop(node, &format!("{what} should read tensor {tensor}"))),
            None => Err(ModelError::Refused("it has no operators".to_owned())),
        }
    }

    /// Whether a free operator that `accept` accepts reads the tensor.
    fn follows(&self, tensor: TensorId, accept: impl Fn(&Op) -> bool) -> bool {
        self.users[tensor]
            .iter()
            .any(|i| !self.used[*i] && accept(&self.graph.nodes[*i].op))
    }

    /// A 1x1 convolution.
    fn pointwise(
        &mut self,
        tensor: TensorId,
        what: &str,
    ) -> Result<(ConvolutionLayer<'g>, TensorId), ModelError> {
        self.take(tensor, what, |node| match &node.op {
            Op::Convolution(c) if c.kernel == [1, 1] && c.stride == 1 => Some(ConvolutionLayer {
                node,
                convolution: c,
            }),
            _ => None,
        })
    }

    fn depthwise(
        &mut self,
        tensor: TensorId,
    ) -> Result<(ConvolutionLayer<'g>, TensorId), ModelError> {
        self.take(tensor, "a depthwise convolution", |node| match &node.op {
            Op::Depthwise(c) => Some(ConvolutionLayer {
                node,
                convolution: c,
            }),
            _ => None,
        })
    }

    fn activation(
        &mut self,
        tensor: TensorId,
        allowed: &[Activation],
    ) -> Result<(Activation, TensorId), ModelError> {
        self.take(
            tensor,
            &format!("an activation ({allowed:?})"),
            |node| match node.op {
                Op::Activation(_, a) if allowed.contains(&a) => Some(a),
                _ => None,
            },
        )
    }

    fn mean(&mut self, tensor: TensorId) -> Result<TensorId, ModelError> {
        let (_, mean) = self.take(tensor, "a mean over the map", |node| {
            matches!(node.op, Op::Mean(_)).then_some(())
        })?;
        Ok(mean)
    }

    /// The sum of two given tensors.
    fn add(&mut self, tensor: TensorId, other: TensorId) -> Result<TensorId, ModelError> {
        let (_, sum) =
            self.take(
                tensor,
                &format!("an addition of tensor {other}"),
                |node| match node.op {
                    Op::Add(a, b) if (a, b) == (tensor, other) || (b, a) == (tensor, other) => {
                        Some(())
                    }
                    _ => None,
                },
            )?;
        Ok(sum)
    }

    fn scale(&mut self, tensor: TensorId, by: TensorId) -> Result<TensorId, ModelError> {
        let (_, product) = self.take(
            tensor,
            &format!("a multiplication by tensor {by}"),
            |node| match node.op {
                Op::Scale { map, factors } if (map, factors) == (tensor, by) => Some(()),
                _ => None,
            },
        )?;
        Ok(product)
    }

    /// The gate made of the mean of `tensor`.
    fn gate(&mut self, tensor: TensorId) -> Result<(GateBlock<'g>, TensorId), ModelError> {
        let mean = self.mean(tensor)?;
        let (reduce, t) = self.pointwise(mean, "a gate's first convolution")?;
        let (_, t) = self.activation(t, &[Activation::Relu])?;
        let (expand, t) = self.pointwise(t, "a gate's second convolution")?;
        let (_, t) = self.activation(t, &[Activation::Logistic])?;
        Ok((GateBlock { reduce, expand }, t))
    }

    fn network(&mut self) -> Result<MatchedNetwork<'g>, ModelError> {
        let (stem, t) = self.take(
            self.graph.input,
            "a 3x3 convolution with stride 2",
            |node| match &node.op {
                Op::Convolution(c) if c.kernel == [3, 3] && c.stride == 2 => {
                    Some(ConvolutionLayer {
                        node,
                        convolution: c,
                    })
                }
                _ => None,
            },
        )?;
        let (stem_activation, mut t) =
            self.activation(t, &[Activation::Relu, Activation::HardSwish])?;
        let mut encoder = Vec::new();
        while !self.follows(t, |op| matches!(op, Op::Mean(_))) {
            let (block, output) = self.encoder_block(t)?;
            encoder.push(block);
            t = output;
        }
        let (head, mut t) = self.head(t)?;
        let mut decoder = Vec::new();
        while self.follows(t, |op| matches!(op, Op::Resize(_))) {
            let (block, output) = self.decoder_block(t, &encoder)?;
            decoder.push(block);
            t = output;
        }
        let (tail, t) =
            self.take(
                t,
                "a transposed convolution or a bilinear resize",
                |node| match &node.op {
                    Op::TransposedConvolution(c) => Some(ConvolutionLayer {
                        node,
                        convolution: c,
                    }),
                    _ => None,
                },
            )?;
        let (_, t) = self.activation(t, &[Activation::Logistic])?;
        if t != self.graph.output {
            return Err(stop(
                tail.node,
                "its output is not the output of the network",
            ));
        }
        Ok(MatchedNetwork {
            stem,
            stem_activation,
            encoder,
            head,
            decoder,
            tail,
        })
    }

    fn encoder_block(
        &mut self,
        input: TensorId,
    ) -> Result<(EncoderBlock<'g>, TensorId), ModelError> {
        let either = [Activation::Relu, Activation::HardSwish];
        let (expand, t) = self.pointwise(input, "a 1x1 convolution that expands")?;
        let (expand_activation, t) = self.activation(t, &either)?;
        let (depthwise, t) = self.depthwise(t)?;
        let (depthwise_activation, mut t) = self.activation(t, &either)?;
        let mut gate = None;
        if self.follows(t, |op| matches!(op, Op::Mean(_))) {
            let (found, factors) = self.gate(t)?;
            t = self.scale(t, factors)?;
            gate = Some(found);
        }
        let (project, mut t) = self.pointwise(t, "a 1x1 convolution that projects")?;
        let residual = self.follows(
            t,
            |op| matches!(op, Op::Add(a, b) if (*a, *b) == (t, input) || (*b, *a) == (t, input)),
        );
        if residual {
            t = self.add(t, input)?;
        }
        Ok((
            EncoderBlock {
                input,
                expand,
                expand_activation,
                depthwise,
                depthwise_activation,
                gate,
                project,
                residual,
            },
            t,
        ))
    }

    fn head(&mut self, input: TensorId) -> Result<(HeadBlock<'g>, TensorId), ModelError> {
        let mean = self.mean(input)?;
        let (gate, t) = self.pointwise(mean, "the head's gate")?;
        let (_, factors) = self.activation(t, &[Activation::Logistic])?;
        let (features, t) = self.pointwise(input, "the head's 1x1 convolution")?;
        let (_, t) = self.activation(t, &[Activation::Relu])?;
        let t = self.scale(t, factors)?;
        Ok((
            HeadBlock {
                input,
                features,
                gate,
            },
            t,
        ))
    }

    fn decoder_block(
        &mut self,
        input: TensorId,
        encoder: &[EncoderBlock<'g>],
    ) -> Result<(DecoderBlock<'g>, TensorId), ModelError> {
        let (resize, t) = self.take(input, "a bilinear resize", |node| {
            matches!(node.op, Op::Resize(_)).then_some(node)
        })?;
        let small = self.graph.shape(input);
        let large = self.graph.shape(t);
        if (large.height, large.width) != (2 * small.height, 2 * small.width) {
            return Err(stop(
                resize,
                &format!("it goes from {small} to {large}; a factor of two is supported"),
            ));
        }
        let (up, u) = self.pointwise(t, "a 1x1 convolution behind the resize")?;
        // The skipped tensor is the other operand of the sum whose mean is taken.
        let ((skip, tensor), sum) = self.take(
            u,
            "an addition of the input of an earlier block",
            |node| match node.op {
                Op::Add(a, b) => encoder
                    .iter()
                    .position(|e| e.input == a || e.input == b)
                    .map(|i| (i, encoder[i].input)),
                _ => None,
            },
        )?;
        let (gate, factors) = self.gate(sum)?;
        let t = self.scale(tensor, factors)?;
        let t = self.add(t, u)?;
        let (mix, t) = self.pointwise(t, "a 1x1 convolution that mixes")?;
        let (_, m) = self.activation(t, &[Activation::Relu])?;
        let (depthwise, t) = self.depthwise(m)?;
        let (_, t) = self.activation(t, &[Activation::Relu])?;
        let t = self.add(m, t)?;
        Ok((
            DecoderBlock {
                up,
                skip,
                gate,
                mix,
                depthwise,
            },
            t,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GENERAL, LANDSCAPE, tflite::TfliteFile};

    #[test]
    fn both_networks_match() {
        for bytes in [GENERAL, LANDSCAPE] {
            let graph =
                super::super::builder::build_graph(&TfliteFile::read(bytes).unwrap()).unwrap();
            let network = MatchedNetwork::find(&graph).unwrap();
            assert_eq!(network.encoder.len(), 8);
            assert_eq!(
                network
                    .encoder
                    .iter()
                    .map(|e| e.residual)
                    .collect::<Vec<_>>(),
                [false, false, true, false, true, true, true, true]
            );
            assert_eq!(
                network.encoder.iter().filter(|e| e.gate.is_some()).count(),
                6
            );
            assert_eq!(
                network.decoder.iter().map(|d| d.skip).collect::<Vec<_>>(),
                [3, 1, 0]
            );
        }
    }

    #[test]
    fn a_changed_connection_names_the_operator() {
        let graph =
            super::super::builder::build_graph(&TfliteFile::read(GENERAL).unwrap()).unwrap();
        for changed in 0..graph.nodes.len() {
            let mut other = graph.clone();
            let node = &mut other.nodes[changed];
            node.op = match &node.op {
                Op::Mean(t) => Op::Activation(*t, Activation::Relu),
                Op::Add(a, _) => Op::Add(*a, *a),
                Op::Activation(t, Activation::Relu) => Op::Activation(*t, Activation::Logistic),
                Op::Activation(t, _) => Op::Activation(*t, Activation::Relu),
                Op::Scale { map, factors } => Op::Add(*map, *factors),
                Op::Resize(t) => Op::Mean(*t),
                Op::Depthwise(c) => Op::Convolution(c.clone()),
                Op::Convolution(c) | Op::TransposedConvolution(c) => Op::Depthwise(c.clone()),
            };
            // The one harmless change: either activation may follow the stem, an expansion or a
            // depthwise convolution.
            if matches!(
                graph.nodes[changed].op,
                Op::Activation(_, Activation::HardSwish)
            ) {
                assert!(MatchedNetwork::find(&other).is_ok());
                continue;
            }
            let error = MatchedNetwork::find(&other).unwrap_err();
            assert!(
                matches!(error, ModelError::Structure { .. }),
                "node {changed}: {error}"
            );
        }
    }
}
