//! Measures the cost of each step of a frame on this machine: CPU time of one thread, without
//! queues and without FFmpeg.
use anyhow::{Context, anyhow};
use comfy_table::{CellAlignment, Table, presets};
use image::RgbImage;
use mattebox_core::{
    codec::{self, Encoder, ImageFormat, Limits},
    compose::{Background, Composed, cover},
    frame::{CameraId, FrameNumber, Timestamp},
    matte::{self, MatteMode, MatteState},
};
use mattebox_engine::{
    Engine, FrameInput, FramePicture, FrameProcessor, FrameSettings, ModelChoice,
    stages::{Stage, thread_cpu},
    trace::Span,
};
use mattebox_net::SimdLevel;
use mattebox_store::{FrameDir, OnExisting};
use mattebox_wire::EncodedPicture;
use serde::Serialize;
use std::{fmt, sync::Arc};

/// A frame of the sample clip: a rendered person before a room.
const PICTURE: &[u8] = include_bytes!("../../engine/assets/bench.jpg");
const WARM_UP: usize = 5;
/// Frames move by this many pixels to and fro, so that no two in a row are the same.
const SWAY: u32 = 8;

/// The choices of a measurement.
#[derive(Debug, Clone)]
pub struct BenchPlan {
    /// Width and height of the frames.
    pub sizes: Vec<(u32, u32)>,
    /// The mattes.
    pub mattes: Vec<MatteMode>,
    /// The background.
    pub background: Background,
    /// Frames that are measured, after a warm-up.
    pub frames: usize,
    /// Vector instructions.
    pub simd: SimdLevel,
    /// The network that finds the person.
    pub model: ModelChoice,
}

/// The result for one size and matte.
#[derive(Debug, Serialize)]
pub struct BenchResult {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// `hard` or `soft`.
    pub matte: String,
    /// Medians over the frames, in a frame's order.
    pub stages: Vec<StageTime>,
    /// CPU milliseconds of all stages.
    pub total_ms: f64,
}

/// One stage.
#[derive(Debug, Serialize)]
pub struct StageTime {
    /// Its name.
    pub stage: &'static str,
    /// Median CPU milliseconds per frame.
    pub cpu_ms: f64,
    /// Of the total.
    pub share: f64,
}

/// All results, and the conditions of the measurement.
#[derive(Debug, Serialize)]
pub struct BenchResults {
    /// The vector instructions used.
    pub simd: String,
    /// The network's file.
    pub model_sha256: String,
    /// Frames measured for each row.
    pub frames: usize,
    /// One for each size and matte.
    pub measured: Vec<BenchResult>,
}

const STAGES: [&str; 8] = [
    "decode JPEG",
    "crop, resample, smooth",
    "network",
    "refine",
    "prepare to compose",
    "compose, encode PNG",
    "write",
    "all",
];

/// Measures.
pub fn run(plan: &BenchPlan) -> anyhow::Result<BenchResults> {
    let original = codec::decode(PICTURE, &Limits::default()).context("the built-in picture")?;
    let engine = Engine::new(&FrameSettings::default());
    let mut measured = vec![];
    for &(width, height) in &plan.sizes {
        for &matte in &plan.mattes {
            measured.push(measure(plan, &engine, &original, width, height, matte)?);
        }
    }
    Ok(BenchResults {
        simd: plan.simd.to_string(),
        model_sha256: engine.models.get(&plan.model)?.sha256().to_owned(),
        frames: plan.frames,
        measured,
    })
}

fn measure(
    plan: &BenchPlan,
    engine: &Engine,
    original: &RgbImage,
    width: u32,
    height: u32,
    matte: MatteMode,
) -> anyhow::Result<BenchResult> {
    let frames = frames(original, width, height)?;
    let settings = Arc::new(FrameSettings {
        matte,
        simd: plan.simd,
        model: plan.model.clone(),
        ..FrameSettings::default()
    });
    let mut processor = FrameProcessor::new(engine, &settings)?;
    let mut network = NetworkBench::new(engine, plan)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let dir = FrameDir::open(folder.path(), &"bench".parse::<CameraId>()?)?;
    let span = Span::default();
    let mut state = MatteState::default();
    let mut times: [Vec<f64>; STAGES.len()] = Default::default();
    for i in 0..WARM_UP + plan.frames {
        // The time of the network does not depend on the picture, so it is measured alone and
        // subtracted from the time of the segmentation.
        let network = network.time();
        let before = Stage::ALL.map(|stage| engine.clock.spent(stage));
        let frame = FrameInput {
            settings: &settings,
            picture: FramePicture::Encoded(EncodedPicture::Bytes(&frames[i % frames.len()])),
            time: Timestamp(i as i64 * 40_000),
            state: &mut state,
            background: Some(plan.background.clone()),
            span: &span,
        };
        processor
            .process(frame, |matted| -> anyhow::Result<()> {
                let number = FrameNumber(i as u64 % 100);
                let bytes = matted.encode().map_err(|e| anyhow!(e.message))?;
                engine.clock.time(Stage::Write, || {
                    dir.write(number, Timestamp(0), "png", bytes, OnExisting::Overwrite)
                })?;
                Ok(())
            })
            .into_result()
            .map_err(|e| anyhow!(e.message))??;
        let [read, segment, refine, compose, encode, write] = Stage::ALL
            .map(|stage| (engine.clock.spent(stage) - before[stage as usize]).as_secs_f64() * 1e3);
        let rest = (segment - network).max(0.0);
        let spent = [read, rest, network, refine, compose, encode, write];
        if i >= WARM_UP {
            let all = spent.iter().sum();
            times
                .iter_mut()
                .zip(spent.into_iter().chain([all]))
                .for_each(|(t, s)| t.push(s));
        }
    }
    let medians = times.map(median);
    let total_ms = medians[7];
    let stages = STAGES[..7].iter().zip(medians);
    let stages = stages
        .map(|(&stage, cpu_ms)| StageTime {
            stage,
            cpu_ms,
            share: cpu_ms / total_ms.max(1e-9),
        })
        .collect();
    Ok(BenchResult {
        width,
        height,
        matte: matte.to_string(),
        stages,
        total_ms,
    })
}

/// The network alone.
struct NetworkBench {
    network: Box<dyn matte::Network>,
    input: Vec<f32>,
    confidence: Vec<f32>,
}

impl NetworkBench {
    fn new(engine: &Engine, plan: &BenchPlan) -> anyhow::Result<Self> {
        let model = engine.models.get(&plan.model)?;
        let network = model.network(plan.simd)?;
        let pixels = network.width() * network.height();
        Ok(NetworkBench {
            network,
            input: vec![0.5; pixels * 3],
            confidence: vec![0.0; pixels],
        })
    }

    /// CPU milliseconds of one run.
    fn time(&mut self) -> f64 {
        let start = thread_cpu();
        self.network.run(&self.input, &mut self.confidence);
        thread_cpu().saturating_sub(start).as_secs_f64() * 1e3
    }
}

/// A few JPEG frames of the wanted size in which the picture sways.
fn frames(original: &RgbImage, width: u32, height: u32) -> anyhow::Result<Vec<Vec<u8>>> {
    let wide = cover(original, width + SWAY, height);
    let mut encoder = Encoder::new(ImageFormat::Jpeg, 80);
    let offsets = (0..SWAY).chain((1..=SWAY).rev());
    offsets
        .map(|x| {
            let view = image::imageops::crop_imm(&wide, x, 0, width, height).to_image();
            let mut jpeg = Vec::new();
            encoder.encode(&Composed::Rgb(view), &mut jpeg)?;
            Ok(jpeg)
        })
        .collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

impl fmt::Display for BenchResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        let heads = self
            .measured
            .iter()
            .map(|m| format!("{}x{} {}", m.width, m.height, m.matte));
        table
            .load_style(presets::NOTHING)
            .set_header(std::iter::once("CPU ms per frame".to_owned()).chain(heads));
        for (i, stage) in STAGES[..7].iter().enumerate() {
            let cells = self.measured.iter().map(|m| {
                format!(
                    "{:.2} {:3.0} %",
                    m.stages[i].cpu_ms,
                    m.stages[i].share * 100.0
                )
            });
            table.add_row(std::iter::once((*stage).to_owned()).chain(cells));
        }
        table.add_row(
            std::iter::once("all".to_owned()).chain(
                self.measured
                    .iter()
                    .map(|m| format!("{:.2}      ", m.total_ms)),
            ),
        );
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        write!(
            f,
            "{table}\n\none thread, {}, median of {} frames",
            self.simd, self.frames
        )
    }
}
