//! Runs a network for a program at the other end of a pipe, and shows where its time goes.
//!
//! ```text
//! network levels                    the vector instructions that this processor has, slowest first
//! network describe MODEL            describes the file
//! network serve MODEL LEVEL         answers requests on stdin (see bench/peer.py)
//! network profile MODEL LEVEL RUNS  time per operator, and the limit that the processor sets
//! ```
//! MODEL is a .tflite file, LEVEL one of scalar, sse4.2, avx2, avx512, neon, best, or (serve only)
//! reference, the plain interpreter.
use fearless_simd::{Simd, dispatch, prelude::*};
use fearless_simd_macros::simd;
use mattebox_net::{Executor, Model, Pass, Reference, SimdLevel, StepKind, describe};
use std::{
    error::Error,
    hint::black_box,
    io::{self, Read, Write},
    sync::Arc,
    time::Instant,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["levels"] => SimdLevel::available()
            .iter()
            .for_each(|level| println!("{level}")),
        ["describe", path] => print!("{}", describe(&std::fs::read(path)?)?),
        ["serve", path, "reference"] => {
            let bytes = std::fs::read(path)?;
            let model = Model::from_bytes(&bytes)?;
            let reference = Reference::from_bytes(&bytes)?;
            serve(&model, |input, out| {
                out.copy_from_slice(&reference.run(input))
            })?;
        }
        ["serve", path, level] => {
            let model = Arc::new(Model::from_bytes(&std::fs::read(path)?)?);
            let mut executor = Executor::new(&model, parse(level)?)?;
            serve(&model, |input, out| executor.run(input, out))?;
        }
        ["profile", path, level, runs] => profile(path, parse(level)?, runs.parse()?)?,
        _ => return Err(
            "usage: network levels | describe MODEL | serve MODEL LEVEL | profile MODEL LEVEL RUNS"
                .into(),
        ),
    }
    Ok(())
}

fn parse(level: &str) -> Result<SimdLevel, Box<dyn Error>> {
    Ok(if level == "best" {
        SimdLevel::best()
    } else {
        level.parse()?
    })
}

/// Answers requests. A request is a little-endian u32. After 0 comes an input (f32), and the answer
/// is the confidence (f32). Any other number is a number of runs of the last input, and the answer
/// is the nanoseconds of each (u64).
fn serve(model: &Model, mut run: impl FnMut(&[f32], &mut [f32])) -> io::Result<()> {
    let pixels = model.input_width() * model.input_height();
    let mut input = vec![0f32; pixels * 3];
    let mut out = vec![0f32; pixels];
    let mut bytes = vec![0u8; pixels * 12];
    let mut stdin = io::stdin().lock();
    let mut stdout = io::stdout().lock();
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

/// Prints the times of each pass and of each of its operators, beside the time that the
/// multiply-adds alone would take. The input does not matter: the executor does the same for every
/// picture.
fn profile(path: &str, level: SimdLevel, runs: usize) -> Result<(), Box<dyn Error>> {
    let model = Arc::new(Model::from_bytes(&std::fs::read(path)?)?);
    let mut executor = Executor::new(&model, level)?;
    let pixels = model.input_width() * model.input_height();
    let input: Vec<f32> = (0..pixels * 3)
        .map(|i| (i * 7919 % 1009) as f32 / 1009.0)
        .collect();
    let mut out = vec![0f32; pixels];
    let (mut rows, mut totals): (Vec<OperatorTimes>, Vec<f64>) = (Vec::new(), Vec::new());
    let tick = clock_cost();
    for run in 0..runs.max(1) {
        let start = Instant::now();
        executor.run(&input, &mut out);
        totals.push(start.elapsed().as_secs_f64() * 1e6);
        let mut last = Instant::now();
        executor.run_observed(&input, &mut out, &mut |step| {
            let time = last.elapsed().as_secs_f64() * 1e6 - tick;
            let of_step =
                |row: &OperatorTimes| (row.pass, row.operator) == (step.pass, step.operator);
            let i = rows.iter().position(of_step).unwrap_or_else(|| {
                rows.push(OperatorTimes {
                    pass: step.pass,
                    operator: step.operator,
                    multiply_adds: 0,
                    bytes: 0,
                    times: Vec::new(),
                });
                rows.len() - 1
            });
            let row = &mut rows[i];
            row.times.resize(run + 1, 0.0);
            row.times[run] += time;
            if run == 0 {
                row.multiply_adds += step.multiply_adds;
                row.bytes += step.bytes;
            }
            last = Instant::now();
        });
    }
    let peak = peak(level)?;
    println!(
        "{level}, {}x{}, peak {peak:.1} GMAC/s",
        model.input_width(),
        model.input_height()
    );
    println!(
        "{:5} {:10} {:>8} {:>9} {:>9} {:>9} {:>8} {:>8}",
        "pass", "operator", "MMAC", "median us", "min us", "limit us", "of peak", "MB"
    );
    let mut sum = [0.0; 5];
    for row in &mut rows {
        let mmac = row.multiply_adds as f64 / 1e6;
        let limit = mmac / peak * 1e3;
        let mb = row.bytes as f64 / 1e6;
        let (median, least) = median_and_least(&mut row.times);
        let pass = row.pass.to_string();
        let operator = row.operator;
        println!(
            "{pass:5} {operator:10} {mmac:8.2} {median:9.1} {least:9.1} {limit:9.1} {:7.0}% \
             {mb:8.2}",
            100.0 * limit / least
        );
        for (sum, v) in sum.iter_mut().zip([mmac, median, least, limit, mb]) {
            *sum += v;
        }
    }
    let [mmac, median, least, limit, mb] = sum;
    println!(
        "{:16} {mmac:8.2} {median:9.1} {least:9.1} {limit:9.1} {:7.0}% {mb:8.2}",
        "sum",
        100.0 * limit / least
    );
    let (median, least) = median_and_least(&mut totals);
    println!(
        "{:25} {median:9.1} {least:9.1} {:17.0}%",
        "a run without clocks",
        100.0 * limit / least
    );
    Ok(())
}

/// One operator of one pass, over all rows.
struct OperatorTimes {
    pass: Pass,
    operator: StepKind,
    multiply_adds: usize,
    bytes: usize,
    /// Microseconds, one for each run.
    times: Vec<f64>,
}

fn median_and_least(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

/// Microseconds that reading the clock adds to a measured time.
fn clock_cost() -> f64 {
    let mut times: Vec<f64> = (0..10_000)
        .map(|_| Instant::now().elapsed().as_secs_f64() * 1e6)
        .collect();
    median_and_least(&mut times).0
}

/// Billions of multiply-adds per second that a core can do at this level.
fn peak(level: SimdLevel) -> Result<f64, Box<dyn Error>> {
    const TURNS: usize = 20_000;
    let level = level.level()?;
    let mut best: f64 = 0.0;
    for _ in 0..200 {
        let start = Instant::now();
        let width = dispatch!(level, s => multiply_adds(s, TURNS, black_box(0.5)));
        best = best.max((TURNS * SUMS * width) as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    Ok(best)
}

/// Enough independent sums to keep the multiply-add units busy, few enough to stay in registers.
const SUMS: usize = 12;

/// Returns the number of elements of a vector.
#[simd]
fn multiply_adds<S: Simd>(s: S, turns: usize, v: f32) -> usize {
    let v = S::f32s::splat(s, v);
    let mut sums = [v; SUMS];
    for _ in 0..turns {
        for sum in &mut sums {
            *sum = v.mul_add(v, *sum);
        }
    }
    black_box(sums);
    S::f32s::LEN
}
