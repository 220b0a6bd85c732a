//! Networks that are recognised by their file or by their shapes.
use crate::range::ColourRange;

/// The facts about a network that its file does not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownNetwork {
    /// Its name.
    pub name: &'static str,
    /// SHA-256 of the file that it was tried with, lower hex.
    pub sha256: &'static str,
    /// How it sees colours.
    pub range: ColourRange,
    /// Width and height of the picture where the file leaves them open.
    pub side: usize,
    /// The licence of its weights, as SPDX names it.
    pub licence: &'static str,
    /// Input and outputs of all networks of its family.
    shapes: Shapes,
}

#[derive(Debug, PartialEq, Eq)]
struct Shapes {
    input: &'static str,
    shape: [i64; 4],
    outputs: usize,
}

/// The table of docs/guide/models.md.
pub const KNOWN: &[KnownNetwork] = &[
    KnownNetwork {
        name: "MODNet",
        sha256: "07c308cf0fc7e6e8b2065a12ed7fc07e1de8febb7dc7839d7b7f15dd66584df9",
        range: ColourRange::Signed,
        side: 256,
        licence: "Apache-2.0",
        shapes: Shapes {
            input: "input",
            shape: [-1, 3, -1, -1],
            outputs: 1,
        },
    },
    KnownNetwork {
        name: "U2-Net",
        sha256: "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
        range: ColourRange::ImageNet,
        side: 320,
        licence: "Apache-2.0",
        shapes: Shapes {
            input: "input.1",
            shape: [1, 3, 320, 320],
            outputs: 7,
        },
    },
];

/// Recognises a file by its bytes, else by its input and its number of outputs.
pub(crate) fn known(
    sha256: &str,
    input: &str,
    shape: &[i64],
    outputs: usize,
) -> Option<&'static KnownNetwork> {
    let by_bytes = KNOWN.iter().find(|known| known.sha256 == sha256);
    by_bytes.or_else(|| {
        KNOWN.iter().find(|known| {
            let Shapes {
                input: name,
                shape: fixed,
                outputs: count,
            } = known.shapes;
            name == input && fixed == *shape && count == outputs
        })
    })
}
