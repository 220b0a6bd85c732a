//! The tables of a `.tflite` file that matter here, as views into its bytes.
//!
//! Reading checks that every reference is inside the file and every index inside its list.
//! [`super::graph`] checks the operators. Field numbers follow TensorFlow Lite's `schema.fbs`,
//! version 3.
use super::{
    ModelError,
    flatbuffer::{Ints, Table},
    operator_names::{CUSTOM, builtin_name},
};

/// The largest file that is read. The networks of this family have 0.25 MB.
pub(super) const MAX_FILE: usize = 64 << 20;
/// The most entries of a list in the file; each costs a few dozen bytes of memory.
const MAX_ENTRIES: usize = 1 << 16;
/// The most dimensions of a tensor and the most inputs or outputs of an operator.
const MAX_INTS: usize = 256;

/// A file whose references have been checked.
#[derive(Debug)]
pub(super) struct TfliteFile<'a> {
    pub(super) description: &'a str,
    /// Number of graphs; the fields below are of the first one.
    pub(super) subgraphs: usize,
    pub(super) tensors: Vec<TfliteTensor<'a>>,
    pub(super) operators: Vec<TfliteOperator<'a>>,
    /// Indices of tensors.
    pub(super) inputs: Vec<usize>,
    /// Indices of tensors.
    pub(super) outputs: Vec<usize>,
}

/// A tensor: a constant where `data` is not empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct TfliteTensor<'a> {
    pub(super) shape: Ints<'a>,
    pub(super) kind: TensorType,
    pub(super) data: &'a [u8],
    pub(super) name: &'a str,
}

/// The element type of a tensor: its code in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TensorType(pub(super) u8);

impl TensorType {
    pub(super) const F32: TensorType = TensorType(0);
    pub(super) const F16: TensorType = TensorType(1);
    pub(super) const I32: TensorType = TensorType(2);

    /// Name as NumPy spells it, where that exists.
    pub(super) fn name(self) -> &'static str {
        const NAMES: [&str; 19] = [
            "float32",
            "float16",
            "int32",
            "uint8",
            "int64",
            "string",
            "bool",
            "int16",
            "complex64",
            "int8",
            "float64",
            "complex128",
            "uint64",
            "resource",
            "variant",
            "uint32",
            "uint16",
            "int4",
            "bfloat16",
        ];
        NAMES
            .get(usize::from(self.0))
            .copied()
            .unwrap_or("unknown type")
    }
}

/// One step of the graph.
#[derive(Debug, Clone, Copy)]
pub(super) struct TfliteOperator<'a> {
    /// Position in the file.
    pub(super) index: usize,
    /// Code of a built-in operator, or [`CUSTOM`].
    pub(super) code: i32,
    /// Name of a custom operator; empty otherwise.
    custom: &'a str,
    /// Indices of tensors, -1 for an optional input that is left out.
    pub(super) inputs: Ints<'a>,
    /// Indices of tensors.
    pub(super) outputs: Ints<'a>,
    /// Which table [`TfliteOperator::options`] is.
    pub(super) options_type: u8,
    pub(super) options: Option<Table<'a>>,
    pub(super) custom_options: &'a [u8],
}

impl TfliteOperator<'_> {
    /// `CONV_2D`, `Convolution2DTransposeBias`, or `operator code 999`.
    pub(super) fn name(&self) -> String {
        match builtin_name(self.code) {
            Some("CUSTOM") if !self.custom.is_empty() => self
                .custom
                .chars()
                .take(80)
                .filter(|c| !c.is_control())
                .collect(),
            Some(name) => name.to_owned(),
            None => format!("operator code {}", self.code),
        }
    }

    /// Whether this is the custom operator `name`.
    pub(super) fn is_custom(&self, name: &str) -> bool {
        self.code == CUSTOM && self.custom == name
    }
}

fn damaged(what: &'static str) -> ModelError {
    ModelError::Damaged { what, at: 0 }
}

impl<'a> TfliteFile<'a> {
    /// Reads the tables of `bytes`.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ModelError> {
        if bytes.len() > MAX_FILE {
            return Err(ModelError::TooLarge {
                bytes: bytes.len(),
                max: MAX_FILE,
            });
        }
        if bytes.get(4..8) != Some(b"TFL3") {
            return Err(ModelError::NotTflite);
        }
        let model = Table::root(bytes)?;
        let version = model.i32(0, 0, "version")?;
        if version != 3 {
            return Err(ModelError::Refused(format!(
                "its schema has version {version}, not 3"
            )));
        }
        let codes = operator_codes(&model)?;
        let buffers = buffers(&model)?;
        let subgraphs = model.tables(2, MAX_ENTRIES, "subgraph")?;
        let graph = subgraphs.first().ok_or(damaged("no subgraph"))?;
        let tensors = graph
            .tables(0, MAX_ENTRIES, "tensor")?
            .iter()
            .map(|t| tensor(t, &buffers))
            .collect::<Result<Vec<_>, _>>()?;
        let operators = graph.tables(3, MAX_ENTRIES, "operator")?;
        let operators = operators
            .iter()
            .enumerate()
            .map(|(i, t)| operator(i, t, &codes, tensors.len()))
            .collect::<Result<_, _>>()?;
        let ends = |id, what| -> Result<Vec<usize>, ModelError> {
            let ints = graph.ints(id, what)?;
            indices(ints, tensors.len(), false, what)?;
            Ok(ints.iter().map(|i| i as usize).collect())
        };
        Ok(TfliteFile {
            description: model.string(3, "description")?,
            subgraphs: subgraphs.len(),
            inputs: ends(1, "graph input")?,
            outputs: ends(2, "graph output")?,
            tensors,
            operators,
        })
    }
}

/// Checks that `ints` are indices of a list, or -1 where that is `optional`.
fn indices(
    ints: Ints<'_>,
    list: usize,
    optional: bool,
    what: &'static str,
) -> Result<(), ModelError> {
    let fits = |i: i32| (i == -1 && optional) || usize::try_from(i).is_ok_and(|i| i < list);
    if ints.len() <= MAX_INTS && ints.iter().all(fits) {
        Ok(())
    } else {
        Err(damaged(what))
    }
}

fn operator_codes<'a>(model: &Table<'a>) -> Result<Vec<(i32, &'a str)>, ModelError> {
    let codes = model.tables(1, MAX_ENTRIES, "operator code")?;
    // Codes above 127 do not fit into the old field. Newer writers fill both fields, and the larger
    // one counts.
    let code = |t: &Table<'a>| {
        let old = i32::from(t.u8(0, "deprecated operator code")? as i8);
        let code = old.max(t.i32(3, 0, "operator code")?);
        Ok((code, t.string(1, "custom operator's name")?))
    };
    codes.iter().map(code).collect()
}

fn buffers<'a>(model: &Table<'a>) -> Result<Vec<&'a [u8]>, ModelError> {
    let buffers = model.tables(4, MAX_ENTRIES, "buffer")?;
    let data = |t: &Table<'a>| {
        if t.u64(1, "buffer offset")? > 1 {
            return Err(ModelError::Refused(
                "its constants lie outside of the tables (a file of more than 2 GB)".to_owned(),
            ));
        }
        t.bytes(0, "buffer")
    };
    buffers.iter().map(data).collect()
}

fn tensor<'a>(t: &Table<'a>, buffers: &[&'a [u8]]) -> Result<TfliteTensor<'a>, ModelError> {
    let shape = t.ints(0, "tensor shape")?;
    let buffer = t.i32(2, 0, "tensor's buffer")?;
    let data = usize::try_from(buffer)
        .ok()
        .and_then(|i| buffers.get(i))
        .ok_or(damaged("tensor's buffer"))?;
    if shape.len() > MAX_INTS {
        return Err(damaged("tensor shape"));
    }
    Ok(TfliteTensor {
        shape,
        kind: TensorType(t.u8(1, "tensor type")?),
        data,
        name: t.string(3, "tensor name")?,
    })
}

fn operator<'a>(
    index: usize,
    t: &Table<'a>,
    codes: &[(i32, &'a str)],
    tensors: usize,
) -> Result<TfliteOperator<'a>, ModelError> {
    let code = t.i32(0, 0, "operator's code index")?;
    let (code, custom) = *usize::try_from(code)
        .ok()
        .and_then(|i| codes.get(i))
        .ok_or(damaged("operator's code index"))?;
    let inputs = t.ints(1, "operator's inputs")?;
    let outputs = t.ints(2, "operator's outputs")?;
    indices(inputs, tensors, true, "operator's inputs")?;
    indices(outputs, tensors, false, "operator's outputs")?;
    Ok(TfliteOperator {
        index,
        code,
        custom,
        inputs,
        outputs,
        options_type: t.u8(3, "operator's options")?,
        options: t.table(4, "operator's options")?,
        custom_options: t.bytes(5, "operator's custom options")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_embedded_networks() {
        for bytes in [crate::GENERAL, crate::LANDSCAPE] {
            let file = TfliteFile::read(bytes).unwrap();
            assert_eq!(
                (file.subgraphs, file.inputs.len(), file.outputs.len()),
                (1, 1, 1)
            );
            assert_eq!(file.operators.len(), 246);
            assert_eq!(file.tensors[file.inputs[0]].kind, TensorType::F32);
            assert!(
                file.operators
                    .iter()
                    .any(|o| o.is_custom("Convolution2DTransposeBias"))
            );
        }
    }

    #[test]
    fn other_files_are_named_as_such() {
        assert_eq!(TfliteFile::read(b"").unwrap_err(), ModelError::NotTflite);
        assert_eq!(
            TfliteFile::read(b"\x89PNG\r\n\x1a\n........").unwrap_err(),
            ModelError::NotTflite
        );
        assert!(matches!(
            TfliteFile::read(&vec![0; MAX_FILE + 1]).unwrap_err(),
            ModelError::TooLarge { .. }
        ));
    }
}
