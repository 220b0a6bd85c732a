//! Small ONNX files, written field by field (onnx.proto, IR version 8, operator set 13).

/// What a made network does.
#[derive(Clone, Copy)]
pub(crate) enum MadeOperator {
    /// The mean along an axis, which stays with length 1.
    MeanOf(i64),
    /// 1 / (1 + e^-x).
    Sigmoid,
}

/// A network of one operator on the first of its inputs, which have these shapes.
pub(crate) fn made(inputs: &[&[i64]], op: MadeOperator) -> Vec<u8> {
    let mut shape = inputs[0].to_vec();
    let (name, attributes) = match op {
        MadeOperator::Sigmoid => ("Sigmoid", vec![]),
        MadeOperator::MeanOf(axis) => {
            shape[usize::try_from(axis).unwrap()] = 1;
            // AttributeProto: name, ints, type INTS
            let axes = [text(1, "axes"), number(8, axis), number(20, 7)].concat();
            ("ReduceMean", message(5, axes))
        }
    };
    let node = [text(1, "x0"), text(2, "y"), text(4, name), attributes].concat();
    let mut graph = [message(1, node), text(2, "made")].concat();
    for (i, shape) in inputs.iter().enumerate() {
        graph.extend(message(11, value(&format!("x{i}"), shape)));
    }
    graph.extend(message(12, value("y", &shape)));
    let operators = message(8, [text(1, ""), number(2, 13)].concat());
    [number(1, 8), message(7, graph), operators].concat()
}

/// ValueInfoProto: a tensor of float32.
fn value(name: &str, shape: &[i64]) -> Vec<u8> {
    let dims: Vec<u8> = shape
        .iter()
        .flat_map(|&n| message(1, number(1, n)))
        .collect();
    let tensor = [number(1, 1), message(2, dims)].concat();
    [text(1, name), message(2, message(1, tensor))].concat()
}

fn number(field: u8, value: i64) -> Vec<u8> {
    let mut bytes = key(field, 0);
    varint(&mut bytes, value as u64);
    bytes
}

fn text(field: u8, text: &str) -> Vec<u8> {
    message(field, text.as_bytes().to_vec())
}

fn message(field: u8, content: Vec<u8>) -> Vec<u8> {
    let mut bytes = key(field, 2);
    varint(&mut bytes, content.len() as u64);
    bytes.extend(content);
    bytes
}

fn key(field: u8, kind: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint(&mut bytes, u64::from(field) << 3 | kind);
    bytes
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
