//! The promise: on every golden frame the confidence is within 1e-4 of LiteRT's, on every SIMD
//! level and by the reference interpreter. `scripts/make-goldens.py` makes the goldens; they hold
//! the confidence to within 7.7e-6.
use image::{ImageReader, Luma, RgbImage};
use mattebox_net::{Executor, GENERAL, LANDSCAPE, Model, Reference, SimdLevel};
use std::{path::PathBuf, sync::Arc};

const FRAMES: [u32; 5] = [0, 18, 37, 56, 74];
const LIMIT: f32 = 1e-4;

fn open(network: &str, frame: u32, what: &str) -> image::DynamicImage {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/goldens/{network}-{frame:02}-{what}.png"));
    ImageReader::open(&path)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        .decode()
        .unwrap()
}

/// An input of the network, and LiteRT's result.
fn golden(network: &str, frame: u32) -> (Vec<f32>, Vec<f32>) {
    let picture: RgbImage = open(network, frame, "picture").into_rgb8();
    let confidence = open(network, frame, "confidence").into_luma16();
    (
        picture
            .into_raw()
            .into_iter()
            .map(|v| f32::from(v) / 255.0)
            .collect(),
        confidence
            .pixels()
            .map(|Luma([v])| f32::from(*v) / 65535.0)
            .collect(),
    )
}

#[track_caller]
fn assert_near(ours: &[f32], golden: &[f32], what: &str) {
    assert_eq!(ours.len(), golden.len());
    let worst = ours
        .iter()
        .zip(golden)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    let on_the_other_side = ours
        .iter()
        .zip(golden)
        .filter(|(a, b)| (**a > 0.5) != (**b > 0.5))
        .count();
    println!(
        "{what}: largest difference {worst:.1e}, {on_the_other_side} pixels on the other side of \
         0.5"
    );
    assert!(worst <= LIMIT, "{what}: {worst:.2e} away from LiteRT");
    let person = golden.iter().filter(|v| **v > 0.5).count();
    assert!(
        person > golden.len() / 20,
        "{what}: the golden shows no person, so it proves nothing"
    );
}

fn check(network: &str, bytes: &[u8]) {
    let model = Arc::new(Model::from_bytes(bytes).unwrap());
    let reference = Reference::from_bytes(bytes).unwrap();
    for frame in FRAMES {
        let (input, golden) = golden(network, frame);
        assert_near(
            &reference.run(&input),
            &golden,
            &format!("{network}, frame {frame}, reference"),
        );
        for level in SimdLevel::available() {
            let mut out = vec![f32::NAN; golden.len()];
            Executor::new(&model, level).unwrap().run(&input, &mut out);
            assert_near(&out, &golden, &format!("{network}, frame {frame}, {level}"));
        }
    }
}

#[test]
fn the_general_network_agrees_with_litert() {
    check("general", GENERAL);
}

#[test]
fn the_landscape_network_agrees_with_litert() {
    check("landscape", LANDSCAPE);
}

#[test]
fn a_run_does_not_depend_on_the_run_before() {
    let model = Arc::new(Model::general().unwrap());
    let (first, _) = golden("general", 0);
    let (second, _) = golden("general", 56);
    for level in SimdLevel::available() {
        let mut executor = Executor::new(&model, level).unwrap();
        let [mut a, mut b, mut c] = [(); 3].map(|()| vec![0f32; 256 * 256]);
        executor.run(&first, &mut a);
        executor.run(&second, &mut b);
        executor.run(&first, &mut c);
        assert!(a == c && a != b, "{level}");
    }
}
