//! A checked ONNX file.
use crate::{
    error::OnnxError,
    known::{KnownNetwork, known},
    library,
    network::{OnnxNetwork, OnnxPlan},
    range::ColourRange,
    shapes::{InputLayout, ShapeText, is_mask},
};
use mattebox_core::matte::Network;
use mattebox_net::sha256;
use ort::{
    ErrorCode, ep,
    session::{Session, builder::GraphOptimizationLevel},
    value::{Outlet, TensorElementType, ValueType},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// The side of a network's picture where the file does not fix it and the network is not known.
const SIDE: usize = 256;
/// How far a network's answers may lie outside 0..=1.
const SLACK: f32 = 0.01;

/// An ONNX file that takes one picture and gives one mask: checked, tried once, ready to run. It
/// never changes; share it between threads.
pub struct OnnxModel {
    bytes: Arc<[u8]>,
    sha256: String,
    plan: OnnxPlan,
    known: Option<&'static KnownNetwork>,
    /// The session of the trial, for the first network that is asked for.
    tried: Mutex<Option<OnnxNetwork>>,
}

impl OnnxModel {
    /// Reads a file and tries it once on a test picture. `range` says which numbers the network
    /// expects as colours; without it, the file must be a known one ([`crate::KNOWN`]).
    ///
    /// # Errors
    /// ONNX Runtime is missing, or the file cannot be used: see [`OnnxError`].
    pub fn from_bytes(bytes: &[u8], range: Option<ColourRange>) -> Result<OnnxModel, OnnxError> {
        library::load()?;
        let sha256 = sha256(bytes);
        let session = open(bytes)?;
        let (plan, known) = plan(&session, &sha256, range)?;
        let mut network = OnnxNetwork::new(session, plan.clone());
        try_once(&mut network)?;
        Ok(OnnxModel {
            bytes: bytes.into(),
            sha256,
            plan,
            known,
            tried: Mutex::new(Some(network)),
        })
    }

    /// A network for one thread, with its own copy of the weights.
    ///
    /// # Errors
    /// ONNX Runtime has not enough memory.
    pub fn network(&self) -> Result<OnnxNetwork, OnnxError> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        match tried.take() {
            Some(network) => Ok(network),
            None => Ok(OnnxNetwork::new(open(&self.bytes)?, self.plan.clone())),
        }
    }

    /// SHA-256 of the file, lower hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Order and size of its picture.
    pub fn layout(&self) -> InputLayout {
        self.plan.layout
    }

    /// The numbers that it expects as colours.
    pub fn range(&self) -> ColourRange {
        self.plan.range
    }

    /// The known network that it is, or whose shapes it has.
    pub fn known(&self) -> Option<&'static KnownNetwork> {
        self.known
    }
}

impl fmt::Debug for OnnxModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.plan.layout.size;
        let sha256 = &self.sha256;
        write!(f, "OnnxModel {{ {width}x{height}, sha256 {sha256} }}")
    }
}

/// Opens a session of one thread: the caller decides about threads, and sums have one order.
fn open(bytes: &[u8]) -> Result<Session, OnnxError> {
    let session = || -> ort::Result<Session> {
        Session::builder()?
            .with_execution_providers([ep::CPU::default().build()])?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_deterministic_compute(true)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .commit_from_memory(bytes)
    };
    session().map_err(|error| match error.code() {
        ErrorCode::InvalidProtobuf | ErrorCode::NoModel => OnnxError::NotOnnx,
        // Bytes that are no network may still be a message of the format underneath.
        _ if error.message().contains("No graph was found") => OnnxError::NotOnnx,
        _ => OnnxError::Refused(error.message().to_owned()),
    })
}

/// Derives a network's input, output and range from its file.
fn plan(
    session: &Session,
    sha256: &str,
    range: Option<ColourRange>,
) -> Result<(OnnxPlan, Option<&'static KnownNetwork>), OnnxError> {
    let [input] = session.inputs() else {
        return Err(OnnxError::Inputs(session.inputs().len()));
    };
    let wrong = || OnnxError::Input {
        name: input.name().to_owned(),
        found: describe(input),
    };
    let shape = floats(input).ok_or_else(wrong)?;
    let outputs = session.outputs();
    let known = known(sha256, input.name(), shape, outputs.len());
    let layout = InputLayout::of(shape)
        .ok_or_else(wrong)?
        .sized(known.map_or(SIDE, |known| known.side));
    let output = outputs
        .iter()
        .position(|output| floats(output).is_some_and(|shape| is_mask(shape, layout.size)))
        .ok_or_else(|| OnnxError::Output {
            found: outputs.first().map_or("nothing".to_owned(), describe),
            width: layout.size.0,
            height: layout.size.1,
        })?;
    let plan = OnnxPlan {
        layout,
        output,
        range: range
            .or(known.map(|known| known.range))
            .ok_or(OnnxError::Range)?,
    };
    Ok((plan, known))
}

/// The shape of a tensor of float32.
fn floats(outlet: &Outlet) -> Option<&[i64]> {
    match outlet.dtype() {
        ValueType::Tensor {
            ty: TensorElementType::Float32,
            shape,
            ..
        } => Some(shape),
        _ => None,
    }
}

/// Describes an input or output for people.
fn describe(outlet: &Outlet) -> String {
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => format!("{} of {ty}", ShapeText(shape)),
        _ => "not a picture".to_owned(),
    }
}

/// Runs a network on a test picture, so that it fails before the first frame if it cannot be used.
fn try_once(network: &mut OnnxNetwork) -> Result<(), OnnxError> {
    let pixels = network.width() * network.height();
    let picture: Vec<f32> = (0..pixels * 3).map(|i| (i % 251) as f32 / 250.0).collect();
    let mut answer = vec![0.0; pixels];
    network.answer(&picture, &mut answer)?;
    let least = answer.iter().copied().fold(f32::INFINITY, f32::min);
    let most = answer.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let is_alpha = answer.iter().all(|v| (-SLACK..=1.0 + SLACK).contains(v));
    match is_alpha {
        true => Ok(()),
        false => Err(OnnxError::Values {
            least: least.to_string(),
            most: most.to_string(),
        }),
    }
}
