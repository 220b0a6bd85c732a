//! Runs a network for a program at the other end of a pipe, and shows where its time goes.
//!
//! ```text
//! network levels                     the vector instructions that this processor has, slowest first
//! network describe MODEL             what the file is
//! network serve MODEL LEVEL          answers requests on stdin (see bench/peer.py)
//! network profile MODEL LEVEL RUNS   time per pass
//! ```
//! MODEL is a .tflite file, LEVEL one of scalar, sse4.2, avx2, avx512, neon, best, or (serve only) reference, the plain interpreter.
use mattebox_core::{
    model::{Executor, Model, Pass, Reference, describe},
    simd::SimdLevel,
};
use std::{
    error::Error,
    io::{self, Read, Write},
    sync::Arc,
    time::Instant,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["levels"] => SimdLevel::available().iter().for_each(|level| println!("{level}")),
        ["describe", path] => print!("{}", describe(&std::fs::read(path)?)?),
        ["serve", path, "reference"] => {
            let bytes = std::fs::read(path)?;
            let model = Model::from_bytes(&bytes)?;
            let reference = Reference::from_bytes(&bytes)?;
            serve(&model, |input, out| out.copy_from_slice(&reference.run(input)))?;
        }
        ["serve", path, level] => {
            let model = Arc::new(Model::from_bytes(&std::fs::read(path)?)?);
            let mut executor = Executor::new(&model, parse(level)?)?;
            serve(&model, |input, out| executor.run(input, out))?;
        }
        ["profile", path, level, runs] => profile(path, parse(level)?, runs.parse()?)?,
        _ => return Err("usage: network levels | describe MODEL | serve MODEL LEVEL | profile MODEL LEVEL RUNS".into()),
    }
    Ok(())
}

fn parse(level: &str) -> Result<SimdLevel, Box<dyn Error>> {
    Ok(if level == "best" { SimdLevel::best() } else { level.parse()? })
}

/// A request is a little-endian u32: 0 is followed by an input (f32) and answered with the confidence (f32); another number asks for
/// so many runs of the last input and is answered with the nanoseconds that each took (u64).
fn serve(model: &Model, mut run: impl FnMut(&[f32], &mut [f32])) -> io::Result<()> {
    let pixels = model.input_width() * model.input_height();
    let (mut input, mut out, mut bytes) = (vec![0f32; pixels * 3], vec![0f32; pixels], vec![0u8; pixels * 12]);
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    let mut request = [0; 4];
    while stdin.read_exact(&mut request).is_ok() {
        match u32::from_le_bytes(request) {
            0 => {
                stdin.read_exact(&mut bytes)?;
                for (value, bytes) in input.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
                run(&input, &mut out);
                stdout.write_all(&out.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())?;
            }
            runs => {
                let times = (0..runs).map(|_| {
                    let start = Instant::now();
                    run(&input, &mut out);
                    start.elapsed().as_nanos() as u64
                });
                let times: Vec<u8> = times.flat_map(u64::to_le_bytes).collect();
                stdout.write_all(&times)?;
            }
        }
        stdout.flush()?;
    }
    Ok(())
}

/// Median and minimum of each pass. The input does not matter: the executor does the same for every picture.
fn profile(path: &str, level: SimdLevel, runs: usize) -> Result<(), Box<dyn Error>> {
    let model = Arc::new(Model::from_bytes(&std::fs::read(path)?)?);
    let mut executor = Executor::new(&model, level)?;
    let pixels = model.input_width() * model.input_height();
    let input: Vec<f32> = (0..pixels * 3).map(|i| (i * 7919 % 1009) as f32 / 1009.0).collect();
    let mut out = vec![0f32; pixels];
    let (mut passes, mut totals): (Vec<(Pass, Vec<f64>)>, Vec<f64>) = (Vec::new(), Vec::new());
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        let (mut last, mut next) = (start, 0);
        executor.run_observed(&input, &mut out, &mut |pass| {
            let now = Instant::now();
            if passes.len() == next {
                passes.push((pass, Vec::new()));
            }
            passes[next].1.push((now - last).as_secs_f64() * 1e6);
            (last, next) = (now, next + 1);
        });
        totals.push(start.elapsed().as_secs_f64() * 1e6);
    }
    println!("{level}, {}x{}\n{:8} {:>10} {:>10}", model.input_width(), model.input_height(), "pass", "median us", "min us");
    for (name, mut times) in passes.into_iter().map(|(p, t)| (p.to_string(), t)).chain([("total".to_owned(), totals)]) {
        times.sort_by(f64::total_cmp);
        println!("{name:8} {:10.1} {:10.1}", times[times.len() / 2], times[0]);
    }
    Ok(())
}
