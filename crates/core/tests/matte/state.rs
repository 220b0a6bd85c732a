//! The state between frames is one value.
use crate::clip::{Cast, CastMember, Matter};
use image::RgbImage;
use mattebox_core::matte::{MatteMode, MatteState, Network, People};
use mattebox_net::{Executor, Model, SimdLevel};
use std::sync::Arc;

/// One person stays, another one walks in and out again.
fn frames() -> Vec<(RgbImage, f64)> {
    let cast = Cast::load();
    let stays = CastMember {
        scale: 0.7,
        place: [-60, 108],
        mirrored: false,
    };
    let at = |i: i32| CastMember {
        scale: 0.33,
        place: [640 - (i * 40).min(880 - i * 40), 242],
        mirrored: true,
    };
    (0..20)
        .map(|i| {
            (
                cast.frame(f64::from(i) * 0.08, &[at(i), stays]).0,
                f64::from(i) * 0.08,
            )
        })
        .collect()
}

#[test]
fn a_saved_and_restored_state_continues_with_the_same_bytes() {
    for people in [People::All, People::Nearest(1)] {
        continues_with_the_same_bytes(MatteMode::Soft, people, || None);
    }
}

#[test]
fn a_restored_state_goes_on_between_two_key_frames() {
    // any network can draw edges
    let model = Arc::new(Model::landscape().unwrap());
    let network = || Some(Box::new(Executor::new(&model, SimdLevel::best()).unwrap()) as Box<_>);
    continues_with_the_same_bytes(MatteMode::Fine, People::All, network);
}

fn continues_with_the_same_bytes(
    mode: MatteMode,
    people: People,
    edges: impl Fn() -> Option<Box<dyn Network>>,
) {
    let frames = frames();
    let simd = SimdLevel::best();
    let new = || {
        let mut matter = Matter::new(mode, simd);
        matter.segmenter = matter.segmenter.showing(people);
        if let Some(network) = edges() {
            matter.segmenter = matter.segmenter.drawing_edges(network, simd).unwrap();
        }
        matter
    };
    let mut matter = new();
    let mut state = MatteState::default();
    let straight: Vec<_> = frames
        .iter()
        .map(|(picture, time)| matter.matte(picture, *time, &mut state))
        .collect();

    let mut saved = MatteState::default().to_bytes();
    for (i, (picture, time)) in frames.iter().enumerate() {
        // a new segmenter for every frame: nothing may stay in its buffers
        let mut matter = new();
        let mut state = MatteState::from_bytes(&saved).unwrap();
        assert!(
            matter.matte(picture, *time, &mut state) == straight[i],
            "frame {i} of {people}, {mode}, differs after a restore"
        );
        saved = state.to_bytes();
    }
    assert_eq!(MatteState::from_bytes(&saved), Ok(state));
}

#[test]
fn another_picture_size_resets_the_state() {
    let frames = frames();
    let small = image::imageops::thumbnail(&frames[3].0, 321, 181);
    let mut matter = Matter::new(MatteMode::Soft, SimdLevel::best());
    let mut state = MatteState::default();
    matter.matte(&frames[2].0, 0.0, &mut state);
    let after = matter.matte(&small, 0.08, &mut state);
    assert!(after == matter.matte(&small, 0.08, &mut MatteState::default()));
    assert_eq!(after.dimensions(), (321, 181));
}

#[test]
fn a_damaged_state_that_still_reads_does_no_harm() {
    let frames = frames();
    let mut matter = Matter::new(MatteMode::Soft, SimdLevel::best());
    let mut state = MatteState::default();
    matter.matte(&frames[0].0, 0.0, &mut state);
    let bytes = state.to_bytes();
    let mut read = 0;
    for at in 0..90 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            if let Ok(mut state) = MatteState::from_bytes(&bytes) {
                read += 1;
                if at % 3 == 0 {
                    matter.matte(&frames[1].0, 0.08, &mut state);
                }
            }
        }
    }
    assert!(
        read > 90,
        "only {read} damaged states could be read: the test proves nothing"
    );
}
