//! The oracle: runs one operator after the other, in plain loops and in double precision. It is
//! slow, but easy to read, and other results are compared with it.
use super::{
    ModelError,
    graph::{Activation, Convolution, Graph, MapShape, Op},
    tflite::TfliteFile,
};

/// An interpreter of the checked graph of a file, without any fusing.
#[derive(Debug)]
pub struct Reference {
    graph: Graph,
}

impl Reference {
    /// Reads a `.tflite` file. Accepts more than [`super::Model::from_bytes`]: any graph of known
    /// operators.
    pub fn from_bytes(bytes: &[u8]) -> Result<Reference, ModelError> {
        Ok(Reference {
            graph: super::builder::build_graph(&TfliteFile::read(bytes)?)?,
        })
    }

    /// Runs the graph: `input` is `[height][width][channels]`, and so is the output.
    ///
    /// # Panics
    /// If `input` has another length than the graph's input.
    pub fn run(&self, input: &[f32]) -> Vec<f32> {
        let graph = &self.graph;
        assert_eq!(
            input.len(),
            graph.shape(graph.input).len(),
            "the input must be {}",
            graph.shape(graph.input)
        );
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); graph.shapes.len()];
        values[graph.input] = input.iter().map(|v| f64::from(*v)).collect();
        for node in &graph.nodes {
            let to = graph.shape(node.output);
            let from = |id: usize| graph.shape(id);
            values[node.output] = match &node.op {
                Op::Convolution(c) => convolution(c, &values[c.input], from(c.input), to),
                Op::Depthwise(c) => depthwise(c, &values[c.input], from(c.input), to),
                Op::TransposedConvolution(c) => {
                    transposed_convolution(c, &values[c.input], from(c.input), to)
                }
                Op::Activation(x, kind) => {
                    values[*x].iter().map(|v| activation(*kind, *v)).collect()
                }
                Op::Mean(x) => mean(&values[*x], from(*x)),
                Op::Add(a, b) => values[*a]
                    .iter()
                    .zip(&values[*b])
                    .map(|(a, b)| a + b)
                    .collect(),
                Op::Scale { map, factors } => values[*map]
                    .iter()
                    .zip(values[*factors].iter().cycle())
                    .map(|(v, f)| v * f)
                    .collect(),
                Op::Resize(x) => resize(&values[*x], from(*x), to),
            };
        }
        values[graph.output].iter().map(|v| *v as f32).collect()
    }
}

fn activation(kind: Activation, v: f64) -> f64 {
    match kind {
        Activation::Relu => v.max(0.0),
        Activation::HardSwish => v * (v / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Logistic => 1.0 / (1.0 + (-v).exp()),
    }
}

/// The input pixels under the kernel at output pixel `y`, `x`: index of the tap and of the first
/// channel.
fn taps(
    c: &Convolution,
    from: MapShape,
    y: usize,
    x: usize,
) -> impl Iterator<Item = (usize, usize)> {
    let [height, width] = c.kernel;
    let [top, left] = c.padding;
    let stride = c.stride;
    (0..height * width).filter_map(move |tap| {
        let row = (y * stride + tap / width)
            .checked_sub(top)
            .filter(|row| *row < from.height)?;
        let column = (x * stride + tap % width)
            .checked_sub(left)
            .filter(|column| *column < from.width)?;
        Some((tap, (row * from.width + column) * from.channels))
    })
}

fn convolution(c: &Convolution, x: &[f64], from: MapShape, to: MapShape) -> Vec<f64> {
    let per_output = c.kernel[0] * c.kernel[1] * c.inputs;
    let mut out = Vec::with_capacity(to.len());
    for (row, column) in pixels(to) {
        for (weights, bias) in c.weights.chunks_exact(per_output).zip(&c.bias) {
            let mut sum = f64::from(*bias);
            for (tap, pixel) in taps(c, from, row, column) {
                let weights = &weights[tap * c.inputs..][..c.inputs];
                sum += weights
                    .iter()
                    .zip(&x[pixel..])
                    .map(|(w, v)| f64::from(*w) * v)
                    .sum::<f64>();
            }
            out.push(sum);
        }
    }
    out
}

fn depthwise(c: &Convolution, x: &[f64], from: MapShape, to: MapShape) -> Vec<f64> {
    let mut out = Vec::with_capacity(to.len());
    for (row, column) in pixels(to) {
        for (channel, bias) in c.bias.iter().enumerate() {
            let products = taps(c, from, row, column).map(|(tap, pixel)| {
                f64::from(c.weights[tap * c.inputs + channel]) * x[pixel + channel]
            });
            out.push(f64::from(*bias) + products.sum::<f64>());
        }
    }
    out
}

fn transposed_convolution(c: &Convolution, x: &[f64], from: MapShape, to: MapShape) -> Vec<f64> {
    let mut out = Vec::with_capacity(to.len());
    for (row, column) in pixels(to) {
        let pixel = &x[(row / 2 * from.width + column / 2) * from.channels..][..from.channels];
        let tap = row % 2 * 2 + column % 2;
        for (weights, bias) in c.weights.chunks_exact(4 * c.inputs).zip(&c.bias) {
            let weights = &weights[tap * c.inputs..][..c.inputs];
            out.push(
                f64::from(*bias)
                    + weights
                        .iter()
                        .zip(pixel)
                        .map(|(w, v)| f64::from(*w) * v)
                        .sum::<f64>(),
            );
        }
    }
    out
}

fn pixels(shape: MapShape) -> impl Iterator<Item = (usize, usize)> {
    (0..shape.height * shape.width).map(move |i| (i / shape.width, i % shape.width))
}

fn mean(x: &[f64], from: MapShape) -> Vec<f64> {
    let mut sums = vec![0f64; from.channels];
    for pixel in x.chunks_exact(from.channels) {
        sums.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += v);
    }
    sums.iter()
        .map(|sum| sum / (from.height * from.width) as f64)
        .collect()
}

/// The two neighbours of an output coordinate in the input and the weight of the second one.
fn neighbours(out: usize, from: usize, to: usize) -> (usize, usize, f64) {
    let at = ((out as f64 + 0.5) * (from as f64 / to as f64) - 0.5).max(0.0);
    let low = (at as usize).min(from - 1);
    (low, (low + 1).min(from - 1), at - low as f64)
}

fn resize(x: &[f64], from: MapShape, to: MapShape) -> Vec<f64> {
    let mut out = Vec::with_capacity(to.len());
    for (row, column) in pixels(to) {
        let (top, bottom, down) = neighbours(row, from.height, to.height);
        let (left, right, across) = neighbours(column, from.width, to.width);
        for channel in 0..to.channels {
            let at = |y: usize, x_: usize| x[(y * from.width + x_) * from.channels + channel];
            let above = at(top, left) * (1.0 - across) + at(top, right) * across;
            let below = at(bottom, left) * (1.0 - across) + at(bottom, right) * across;
            out.push(above * (1.0 - down) + below * down);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(
        kernel: [usize; 2],
        stride: usize,
        padding: [usize; 2],
        inputs: usize,
        outputs: usize,
        weights: &[f32],
    ) -> Convolution {
        Convolution {
            input: 0,
            kernel,
            stride,
            padding,
            inputs,
            outputs,
            weights: weights.to_vec(),
            bias: vec![1.0; outputs],
        }
    }

    #[test]
    fn convolutions_by_hand() {
        let from = MapShape {
            height: 2,
            width: 2,
            channels: 1,
        };
        let x = [1.0, 2.0, 3.0, 4.0];
        let c = layer(
            [3, 3],
            1,
            [1, 1],
            1,
            1,
            &[0.0, 0.0, 0.0, 0.0, 1.0, 10.0, 0.0, 100.0, 1000.0],
        );
        assert_eq!(convolution(&c, &x, from, from), [4322.0, 403.0, 44.0, 5.0]);
        assert_eq!(depthwise(&c, &x, from, from), [4322.0, 403.0, 44.0, 5.0]);
        let c = layer([2, 2], 2, [0, 0], 1, 1, &[1.0, 2.0, 3.0, 4.0]);
        let to = MapShape {
            height: 4,
            width: 4,
            channels: 1,
        };
        assert_eq!(
            transposed_convolution(&c, &x, from, to)[..8],
            [2.0, 3.0, 3.0, 5.0, 4.0, 5.0, 7.0, 9.0]
        );
    }

    #[test]
    fn a_resize_by_two_weighs_three_to_one() {
        let from = MapShape {
            height: 1,
            width: 2,
            channels: 1,
        };
        let to = MapShape {
            height: 2,
            width: 4,
            channels: 1,
        };
        assert_eq!(
            resize(&[0.0, 4.0], from, to),
            [0.0, 1.0, 3.0, 4.0, 0.0, 1.0, 3.0, 4.0]
        );
    }

    #[test]
    fn means_and_activations_by_hand() {
        assert_eq!(
            mean(
                &[1.0, 10.0, 3.0, 30.0],
                MapShape {
                    height: 1,
                    width: 2,
                    channels: 2
                }
            ),
            [2.0, 20.0]
        );
        assert_eq!(
            [-4.0, -3.0, 0.0, 3.0, 4.0].map(|v| activation(Activation::HardSwish, v)),
            [0.0, 0.0, 0.0, 3.0, 4.0]
        );
        assert_eq!(activation(Activation::Logistic, 0.0), 0.5);
    }
}
