//! usage: matte soft|hard|still WIDTH HEIGHT FPS <rgb24 >gray8
//!
//! Mattes raw frames from standard input to standard output, and prints the time of each step on
//! standard error. `still`: soft, each frame by itself.
use image::RgbImage;
use mattebox_core::{
    frame::Timestamp,
    matte::{MatteMode, MatteState},
};
use mattebox_engine::{
    Engine, FrameInput, FramePicture, FrameProcessor, FrameSettings, stages::Stage, trace::Span,
};
use mattebox_net::SimdLevel;
use std::{
    error::Error,
    io::{Read, Write},
    sync::Arc,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, width, height, fps] = &arguments[..] else {
        return Err("usage: matte soft|hard|still WIDTH HEIGHT FPS <rgb24 >gray8".into());
    };
    let still = mode == "still";
    let matte = if still {
        MatteMode::Soft
    } else {
        mode.parse()?
    };
    let (width, height, fps): (u32, u32, f64) = (width.parse()?, height.parse()?, fps.parse()?);
    let simd = match std::env::var("MATTEBOX_SIMD") {
        Ok(name) => name.parse()?,
        Err(_) => SimdLevel::best(),
    };
    let settings = Arc::new(FrameSettings {
        matte,
        simd,
        ..FrameSettings::default()
    });
    let engine = Engine::new(&settings);
    let mut processor = FrameProcessor::new(&engine, &settings)?;
    let mut state = MatteState::default();
    let mut times = [(Stage::Segment, vec![]), (Stage::Refine, vec![])];
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut picture = RgbImage::new(width, height);
    let mut number = 0.0;
    while input.read_exact(&mut picture).is_ok() {
        if still {
            state = MatteState::default();
        }
        let before = Stage::ALL.map(|stage| engine.clock.spent(stage));
        let frame = FrameInput {
            settings: &settings,
            picture: FramePicture::Decoded(&picture),
            time: Timestamp((number * 1e6 / fps) as i64),
            state: &mut state,
            background: None,
            span: &Span::default(),
        };
        number += 1.0;
        let alpha = processor.process(frame, |matted| matted.alpha().as_raw().clone());
        output.write_all(&alpha.into_result().map_err(|e| e.message)?)?;
        for (stage, times) in &mut times {
            let spent = engine.clock.spent(*stage) - before[*stage as usize];
            times.push(spent.as_secs_f64() * 1e3);
        }
    }
    for (stage, mut times) in times {
        times.sort_by(f64::total_cmp);
        if let (Some(least), Some(median)) = (times.first(), times.get(times.len() / 2)) {
            let name = stage.name();
            eprintln!("{name}: {least:.2} ms at best, {median:.2} median, {simd}");
        }
    }
    Ok(())
}
