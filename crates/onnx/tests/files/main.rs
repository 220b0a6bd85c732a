//! ONNX files in the real ONNX Runtime. `scripts/onnx` fetches it, and two published networks.
mod made;

use made::{MadeOperator, made};
use mattebox_core::matte::Network;
use mattebox_onnx::{ChannelOrder, ColourRange, OnnxError, OnnxModel};
use std::{path::PathBuf, thread};

fn fetched(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../.cache/onnx")
        .join(name);
    assert!(path.is_file(), "{}: run scripts/onnx", path.display());
    path
}

/// Reads a file. Sets the library, because a test cannot set its environment's variable.
fn open(bytes: &[u8], range: Option<ColourRange>) -> Result<OnnxModel, OnnxError> {
    ort::init_from(fetched("libonnxruntime.so"))
        .expect("ONNX Runtime")
        .commit();
    OnnxModel::from_bytes(bytes, range)
}

fn answer(model: &OnnxModel, picture: &[f32]) -> Vec<f32> {
    let mut network = model.network().unwrap();
    let mut answer = vec![f32::NAN; network.width() * network.height()];
    network.run(picture, &mut answer);
    answer
}

/// A bright disc, 0..=1, on a dark room.
fn disc(side: usize) -> Vec<f32> {
    let middle = side as f32 / 2.0;
    (0..side * side)
        .flat_map(|i| {
            let (x, y) = ((i % side) as f32 - middle, (i / side) as f32 - middle);
            let inside = x.hypot(y) < 0.3 * side as f32;
            if inside {
                [0.9, 0.7, 0.6]
            } else {
                [0.1, 0.12, 0.1]
            }
        })
        .collect()
}

#[test]
fn known_networks_are_told_by_their_file() {
    for (file, name, side, range) in [
        ("modnet.onnx", "MODNet", 256, ColourRange::Signed),
        ("u2netp.onnx", "U2-Net", 320, ColourRange::ImageNet),
    ] {
        let model = open(&std::fs::read(fetched(file)).unwrap(), None).unwrap();
        assert_eq!(model.known().unwrap().name, name);
        assert_eq!(model.known().unwrap().sha256, model.sha256());
        assert_eq!(model.layout().size, (side, side), "{file}");
        assert_eq!(
            (model.layout().order, model.range()),
            (ChannelOrder::Planes, range)
        );
    }
}

#[test]
fn an_object_in_the_middle_is_found_by_u2net() {
    let model = open(&std::fs::read(fetched("u2netp.onnx")).unwrap(), None).unwrap();
    let answer = answer(&model, &disc(320));
    assert!(answer[160 * 320 + 160] > 0.9 && answer[10 * 320 + 10] < 0.1);
}

#[test]
fn threads_give_the_same_bytes() {
    let model = open(&std::fs::read(fetched("modnet.onnx")).unwrap(), None).unwrap();
    let picture = disc(256);
    let answers = thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| answer(&model, &picture)));
        runs.map(|run| run.join().unwrap())
    });
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].iter().any(|&v| v > 0.5));
}

#[test]
fn both_orders_of_colours_are_read_from_the_file() {
    // The network gives the mean of the colours; a wrong order would mix pixels.
    let picture: Vec<f32> = (0..8 * 6 * 3).map(|i| (i / 3) as f32 / 48.0).collect();
    let wanted: Vec<f32> = (0..48).map(|i| i as f32 / 48.0).collect();
    for (shape, axis, order) in [
        (&[1, 3, 6, 8][..], 1, ChannelOrder::Planes),
        (&[1, 6, 8, 3], 3, ChannelOrder::Pixels),
    ] {
        let file = made(&[shape], MadeOperator::MeanOf(axis));
        let model = open(&file, Some(ColourRange::Unit)).unwrap();
        assert_eq!((model.layout().order, model.layout().size), (order, (8, 6)));
        let answer = answer(&model, &picture);
        for (found, wanted) in answer.iter().zip(&wanted) {
            assert!((found - wanted).abs() < 1e-6, "{order:?}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    let says = |bytes: &[u8], range| open(bytes, range).unwrap_err();
    let planes: &[i64] = &[1, 3, 16, 16];
    let unit = Some(ColourRange::Unit);

    assert_eq!(says(b"no network", unit), OnnxError::NotOnnx);
    assert_eq!(says(b"", unit), OnnxError::NotOnnx);
    let two = made(&[planes, planes], MadeOperator::MeanOf(1));
    assert_eq!(says(&two, unit), OnnxError::Inputs(2));
    let gray = made(&[&[1, 1, 16, 16]], MadeOperator::MeanOf(1));
    let error = says(&gray, unit).to_string();
    assert!(error.contains("1x1x16x16 of f32"), "{error}");
    let colours = made(&[planes], MadeOperator::Sigmoid);
    let error = says(&colours, unit).to_string();
    assert!(error.contains("its output is 1x3x16x16"), "{error}");
    let file = made(&[planes], MadeOperator::MeanOf(1));
    let error = says(&file, Some(ColourRange::Bytes));
    assert!(matches!(error, OnnxError::Values { .. }), "{error}");
    assert_eq!(says(&file, None), OnnxError::Range);
    let cut = &std::fs::read(fetched("u2netp.onnx")).unwrap()[..100_000];
    assert_eq!(says(cut, unit), OnnxError::NotOnnx);
}
