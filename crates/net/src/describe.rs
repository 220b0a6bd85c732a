//! Describes a `.tflite` file for people, also one that cannot be run.
use super::{
    GENERAL, LANDSCAPE, Model, ModelError, operators, sha256,
    tflite::{TensorType, TfliteFile, TfliteOperator, TfliteTensor},
};
use std::{collections::BTreeMap, fmt};

/// The contents of a `.tflite` file.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelDescription {
    /// The description in the file.
    pub text: String,
    /// The inputs of its first graph.
    pub inputs: Vec<TensorDescription>,
    /// The outputs of its first graph.
    pub outputs: Vec<TensorDescription>,
    /// The operators of its first graph by kind, the most frequent first.
    pub operators: Vec<OperatorCount>,
    /// Numbers in its constants (floating point, and integers of 4 and 8 bits).
    pub weights: u64,
    /// Multiplications with a weight in one run of the graph, in convolutions and fully connected
    /// layers. The executor does fewer.
    pub multiply_adds: u64,
    /// Size of the file in bytes.
    pub bytes: usize,
    /// SHA-256 of the file, lower hex.
    pub sha256: String,
    /// Whether it is the built-in general or landscape network.
    pub built_in: Option<&'static str>,
    /// Why it cannot be run; `None` if it can.
    pub problem: Option<ModelError>,
}

/// An input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorDescription {
    /// Its name in the file.
    pub name: String,
    /// Its dimensions; of a picture batch, height, width, channels. -1 where the file leaves one
    /// open.
    pub shape: Vec<i32>,
    /// Its type as NumPy spells it.
    pub kind: &'static str,
}

/// A kind of operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCount {
    /// Its name.
    pub name: String,
    /// How often it occurs.
    pub count: usize,
    /// Whether the executor knows it.
    pub supported: bool,
}

/// Describes a file. Fails only if its tables cannot be read: the description says whether the file
/// can be run.
pub fn describe(bytes: &[u8]) -> Result<ModelDescription, ModelError> {
    let file = TfliteFile::read(bytes)?;
    let sha256 = sha256(bytes);
    let built_in = [(GENERAL, "general"), (LANDSCAPE, "landscape")]
        .into_iter()
        .find(|(b, _)| *b == bytes)
        .map(|(_, name)| name);
    let ends = |ids: &[usize]| ids.iter().map(|id| tensor(&file.tensors[*id])).collect();
    Ok(ModelDescription {
        text: printable(file.description, 200),
        inputs: ends(&file.inputs),
        outputs: ends(&file.outputs),
        operators: count(&file.operators),
        weights: file
            .tensors
            .iter()
            .filter(|t| !t.data.is_empty() && is_weight(t.kind))
            .fold(0, |sum, t| sum + elements(t)),
        multiply_adds: file
            .operators
            .iter()
            .fold(0, |sum, o| multiply_adds(&file, o).saturating_add(sum)),
        bytes: bytes.len(),
        sha256,
        built_in,
        problem: Model::from_bytes(bytes).err(),
    })
}

fn printable(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

fn tensor(t: &TfliteTensor<'_>) -> TensorDescription {
    TensorDescription {
        name: printable(t.name, 200),
        shape: t.shape.iter().take(16).collect(),
        kind: t.kind.name(),
    }
}

fn count(operators: &[TfliteOperator<'_>]) -> Vec<OperatorCount> {
    let mut kinds = BTreeMap::new();
    for operator in operators {
        let entry = kinds
            .entry(operator.name())
            .or_insert((0, operators::is_known(operator)));
        entry.0 += 1;
    }
    let mut counts: Vec<_> = kinds
        .into_iter()
        .map(|(name, (count, supported))| OperatorCount {
            name,
            count,
            supported,
        })
        .collect();
    counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    counts
}

fn is_weight(kind: TensorType) -> bool {
    matches!(
        kind.name(),
        "float32" | "float16" | "bfloat16" | "float64" | "uint8" | "int8" | "int4"
    )
}

/// The number of elements of the shape, at most as many as the file has bytes for.
fn elements(t: &TfliteTensor<'_>) -> u64 {
    product(t.shape.iter()).min(2 * t.data.len() as u64)
}

/// The product of a shape's sides, also of a hostile one: negative sides count as 1, and nothing
/// overflows.
fn product(sides: impl Iterator<Item = i32>) -> u64 {
    sides.fold(1u64, |n, side| {
        n.saturating_mul(u64::try_from(side).unwrap_or(1))
    })
}

/// Counts each weight once per output pixel; in transposed convolutions once per input pixel.
fn multiply_adds(file: &TfliteFile<'_>, operator: &TfliteOperator<'_>) -> u64 {
    let shape = |ints: super::flatbuffer::Ints<'_>, i: usize| -> Option<Vec<i32>> {
        let id = ints.iter().nth(i).and_then(|id| usize::try_from(id).ok())?;
        Some(file.tensors[id].shape.iter().collect())
    };
    let name = operator.name();
    let map = match name.as_str() {
        "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED" => shape(operator.outputs, 0),
        "Convolution2DTransposeBias" => shape(operator.inputs, 0),
        "TRANSPOSE_CONV" => shape(operator.inputs, 2),
        _ => None,
    };
    match (map, shape(operator.inputs, 1)) {
        (Some(map), Some(weights)) => {
            let pixels = product(map.iter().take(map.len().saturating_sub(1)).copied());
            pixels.saturating_mul(product(weights.into_iter()))
        }
        _ => 0,
    }
}

impl fmt::Display for ModelDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line =
            |f: &mut fmt::Formatter<'_>, key: &str, value: &str| writeln!(f, "{key:<15}{value}");
        line(f, "description", &self.text)?;
        for (key, tensors) in [("input", &self.inputs), ("output", &self.outputs)] {
            for t in tensors {
                let sides: Vec<String> = t.shape.iter().map(ToString::to_string).collect();
                line(
                    f,
                    key,
                    &format!("{} {} ({})", t.kind, sides.join("x"), t.name),
                )?;
            }
        }
        line(f, "weights", &grouped(self.weights))?;
        line(
            f,
            "multiply-adds",
            &format!("{:.2} million", self.multiply_adds as f64 / 1e6),
        )?;
        line(
            f,
            "file size",
            &format!("{} bytes", grouped(self.bytes as u64)),
        )?;
        line(f, "sha256", &self.sha256)?;
        line(f, "built in", self.built_in.unwrap_or("no"))?;
        line(
            f,
            "runs here",
            &self
                .problem
                .as_ref()
                .map_or("yes".to_owned(), |p| format!("no: {p}")),
        )?;
        line(
            f,
            "operators",
            &grouped(self.operators.iter().map(|o| o.count as u64).sum()),
        )?;
        for o in &self.operators {
            writeln!(
                f,
                "{:>10}  {}{}",
                o.count,
                o.name,
                if o.supported { "" } else { "  (not supported)" }
            )?;
        }
        Ok(())
    }
}

/// `106401` as `106,401`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_general_network_is_described() {
        let d = describe(GENERAL).unwrap();
        assert_eq!(
            (d.weights, d.built_in, &d.problem),
            (106_401, Some("general"), &None)
        );
        assert_eq!(
            (d.inputs[0].shape.as_slice(), d.outputs[0].shape.as_slice()),
            (&[1, 256, 256, 3][..], &[1, 256, 256, 1][..])
        );
        assert_eq!(d.multiply_adds, 59215744);
        assert_eq!(d.operators.iter().map(|o| o.count).sum::<usize>(), 246);
        assert!(d.operators.iter().all(|o| o.supported));
        let text = d.to_string();
        for part in [
            "106,401",
            "59.22 million",
            "1x256x256x3",
            "110  DEQUANTIZE",
            "runs here      yes",
            "built in       general",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }

    #[test]
    fn the_landscape_network_is_described() {
        let d = describe(LANDSCAPE).unwrap();
        assert_eq!(
            (d.weights, d.built_in, d.problem),
            (106_401, Some("landscape"), None)
        );
        assert_eq!(d.multiply_adds / 100_000, 333, "33.3 million");
    }
}
