//! The steps of a run, for a caller who measures their time.
use std::fmt;

/// A part of a run that reads a map or two and writes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pass {
    /// An inverted residual block; the first one includes the stem, the others the projection of
    /// the block before.
    Encoder(usize),
    /// The head, with the projection of the last block.
    Head,
    /// A decoder; the last one includes the transposed convolution.
    Decoder(usize),
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pass::Encoder(i) => write!(f, "E{i}"),
            Pass::Head => write!(f, "head"),
            Pass::Decoder(i) => write!(f, "D{i}"),
        }
    }
}

/// The kinds of steps of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepKind {
    /// 3x3 convolution with stride 2 on the picture.
    Stem,
    /// 1x1 convolution that ends an encoder block.
    Project,
    /// Sums over a map's rows, for a gate.
    Sums,
    /// 1x1 convolution to many channels.
    Expand,
    /// Depthwise convolution.
    Depthwise,
    /// Gates from means, and the matrices that they scale.
    Gate,
    /// 1x1 convolution in front of an enlargement, merged with the one behind it.
    Merge,
    /// 1x1 convolution of a decoder's skip, added to an enlargement.
    Mix,
    /// Transposed convolution and logistic.
    Tail,
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            StepKind::Stem => "stem",
            StepKind::Project => "project",
            StepKind::Sums => "sums",
            StepKind::Expand => "expand",
            StepKind::Depthwise => "depthwise",
            StepKind::Gate => "gate",
            StepKind::Merge => "merge",
            StepKind::Mix => "mix",
            StepKind::Tail => "tail",
        };
        f.pad(name)
    }
}

/// A finished step: an operator on one row, or a pass's gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutorStep {
    /// The pass that it belongs to.
    pub pass: Pass,
    /// Its kind.
    pub operator: StepKind,
    /// Multiply-adds of convolutions and matrices.
    pub multiply_adds: usize,
    /// Bytes of maps and pictures that were read and written, each once.
    pub bytes: usize,
}

/// Reports steps to the caller, if the caller asked for them.
pub(super) struct Observer<'a> {
    pass: Pass,
    after: Option<&'a mut dyn FnMut(ExecutorStep)>,
}

impl<'a> Observer<'a> {
    pub(super) fn new(after: Option<&'a mut dyn FnMut(ExecutorStep)>) -> Self {
        Observer {
            pass: Pass::Encoder(0),
            after,
        }
    }

    /// The steps from here on belong to `pass`.
    pub(super) fn begin(&mut self, pass: Pass) {
        self.pass = pass;
    }

    /// A step was done that reads and writes `numbers` floats.
    #[inline(always)]
    pub(super) fn did(&mut self, operator: StepKind, multiply_adds: usize, numbers: usize) {
        if let Some(after) = &mut self.after {
            after(ExecutorStep {
                pass: self.pass,
                operator,
                multiply_adds,
                bytes: 4 * numbers,
            });
        }
    }
}
