//! From the tables of a file to a checked graph.
use super::{
    ModelError,
    graph::*,
    operators::{ConstantReader, is_known, lower},
    tflite::{TensorType, TfliteFile},
};

/// The most operators of a graph. The selfie segmentation networks have 246.
const MAX_OPERATORS: usize = 4096;

/// Checks the graph of a file.
pub(super) fn build_graph(file: &TfliteFile<'_>) -> Result<Graph, ModelError> {
    if let Some(unknown) = file.operators.iter().find(|o| !is_known(o)) {
        return Err(ModelError::Unsupported {
            index: unknown.index,
            name: unknown.name(),
        });
    }
    let refuse = |problem: String| Err(ModelError::Refused(problem));
    let (&[input], &[output]) = (&file.inputs[..], &file.outputs[..]) else {
        return refuse(format!(
            "it has {} inputs and {} outputs, not one of each",
            file.inputs.len(),
            file.outputs.len()
        ));
    };
    if file.subgraphs != 1 || file.operators.len() > MAX_OPERATORS {
        return refuse(format!(
            "it has {} graphs with {} operators in the first; one with at most {MAX_OPERATORS} is \
             supported",
            file.subgraphs,
            file.operators.len()
        ));
    }
    if file.tensors[input].kind != TensorType::F32 || !file.tensors[input].data.is_empty() {
        return refuse(format!(
            "its input is {} or constant, not a float32 picture",
            file.tensors[input].kind.name()
        ));
    }
    let mut graph = Graph {
        nodes: Vec::new(),
        shapes: vec![None; file.tensors.len()],
        input,
        output,
    };
    let Some(shape) = shape(file, input) else {
        return refuse("its input is not a map [1][height][width][channels]".to_owned());
    };
    graph.shapes[input] = Some(shape);
    let mut reader = ConstantReader::new(file);
    let mut total = shape.len();
    for operator in &file.operators {
        let before = graph.nodes.len();
        lower(&mut reader, &mut graph, operator)?;
        total += graph.nodes[before..]
            .iter()
            .map(|n| graph.shapes[n.output].map_or(0, MapShape::len))
            .sum::<usize>();
        if total > MAX_ACTIVATIONS {
            return refuse(format!(
                "its activations take more than {MAX_ACTIVATIONS} numbers"
            ));
        }
    }
    if graph.shapes[output].is_none() || output == input {
        return refuse("no operator writes its output".to_owned());
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_networks_are_sound() {
        for (bytes, height) in [(crate::GENERAL, 256), (crate::LANDSCAPE, 144)] {
            let graph = build_graph(&TfliteFile::read(bytes).unwrap()).unwrap();
            assert_eq!(
                graph.shape(graph.input),
                MapShape {
                    height,
                    width: 256,
                    channels: 3
                }
            );
            assert_eq!(
                graph.shape(graph.output),
                MapShape {
                    height,
                    width: 256,
                    channels: 1
                }
            );
            assert_eq!(
                graph.nodes.len(),
                136,
                "246 operators, of which 110 only turn f16 constants into f32"
            );
            let mut written = vec![graph.input];
            for node in &graph.nodes {
                assert!(
                    node.inputs().all(|i| written.contains(&i)),
                    "operator {} reads a tensor that was not written",
                    node.index
                );
                written.push(node.output);
            }
        }
    }
}
