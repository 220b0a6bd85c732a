//! usage: matte soft|hard|still WIDTH HEIGHT FPS <rgb24 >gray8
//!
//! Mattes raw frames from standard input to standard output, and says on standard error what each step took.
use image::{GrayImage, RgbImage};
use mattebox_core::frame::Timestamp;
use mattebox_core::matte::{MatteMode, MatteState, Refiner, Segmenter};
use mattebox_net::Model;
use mattebox_net::SimdLevel;
use std::error::Error;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, width, height, fps] = &arguments[..] else {
        return Err("usage: matte soft|hard|still WIDTH HEIGHT FPS <rgb24 >gray8".into());
    };
    let still = mode == "still";
    let mode = if still {
        MatteMode::Soft
    } else {
        mode.parse()?
    };
    let (width, height, fps): (u32, u32, f64) = (width.parse()?, height.parse()?, fps.parse()?);
    let simd = match std::env::var("MATTEBOX_SIMD") {
        Ok(name) => name.parse()?,
        Err(_) => SimdLevel::best(),
    };
    let model = Arc::new(Model::general()?);
    let mut segmenter = Segmenter::new(&model, mode, simd)?;
    let mut refiner = Refiner::new(simd)?;
    let mut state = MatteState::default();
    let mut alpha = GrayImage::default();
    let mut segmenting = Vec::new();
    let mut refining = Vec::new();
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut bytes = vec![0; width as usize * height as usize * 3];
    while input.read_exact(&mut bytes).is_ok() {
        let picture =
            RgbImage::from_raw(width, height, bytes.clone()).ok_or("the size is too large")?;
        let start = Instant::now();
        let time = Timestamp((segmenting.len() as f64 * 1e6 / fps) as i64);
        let coarse = if still {
            segmenter.segment_still(&picture)
        } else {
            segmenter.segment(&picture, time, &mut state)
        };
        let middle = Instant::now();
        refiner.refine(&picture, &coarse, &mut alpha);
        segmenting.push((middle - start).as_secs_f64() * 1e3);
        refining.push(middle.elapsed().as_secs_f64() * 1e3);
        output.write_all(&alpha)?;
    }
    for (name, mut times) in [("segment", segmenting), ("refine", refining)] {
        times.sort_by(f64::total_cmp);
        if let (Some(least), Some(median)) = (times.first(), times.get(times.len() / 2)) {
            eprintln!("{name}: {least:.2} ms at best, {median:.2} median, {simd}");
        }
    }
    Ok(())
}
