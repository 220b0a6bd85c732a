//! Rooms in which the network sees people (samples/phantoms) stay empty in the soft matte.
use crate::clip::Matter;
use image::{GrayImage, RgbImage};
use mattebox_core::matte::{MatteMode, MatteState};
use mattebox_net::SimdLevel;
use std::path::Path;
use std::process::Command;

/// The frames of a clip, decoded by FFmpeg.
fn frames(name: &str, format: &str, bytes: usize) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../samples/phantoms")
        .join(name);
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&path)
        .args(["-f", "rawvideo", "-pix_fmt", format, "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(output.status.success(), "{}", path.display());
    output
        .stdout
        .chunks_exact(320 * 180 * bytes)
        .map(<[u8]>::to_vec)
        .collect()
}

/// The mattes of a clip, and the exact ones.
fn mattes(name: &str, mode: MatteMode) -> Vec<(GrayImage, GrayImage)> {
    let mut matter = Matter::new(mode, SimdLevel::best());
    let mut state = MatteState::default();
    let pictures = frames(&format!("{name}.mkv"), "rgb24", 3);
    let truths = frames(&format!("{name}_alpha.mkv"), "gray", 1);
    let mut time = 0.0;
    let mut matte = |(picture, truth)| {
        let picture = RgbImage::from_raw(320, 180, picture).expect("a whole frame");
        let truth = GrayImage::from_raw(320, 180, truth).expect("a whole frame");
        time += 0.04;
        (matter.matte(&picture, time, &mut state), truth)
    };
    pictures.into_iter().zip(truths).map(&mut matte).collect()
}

fn mean(alpha: &GrayImage) -> f64 {
    alpha.iter().map(|&a| f64::from(a)).sum::<f64>() / 255.0 / alpha.len() as f64
}

#[test]
fn a_room_in_which_the_network_sees_people_now_and_then_stays_empty() {
    let hard = mattes("empty_night_grass", MatteMode::Hard);
    assert!(
        hard.iter().any(|(alpha, _)| mean(alpha) > 0.3),
        "the network is not fooled any more: take another clip"
    );
    // at the very beginning both looks agree on the phantom
    let settled = 8;
    for (i, (alpha, _)) in mattes("empty_night_grass", MatteMode::Soft)
        .iter()
        .enumerate()
        .skip(settled)
    {
        assert!(mean(alpha) < 0.05, "frame {i}: {}", mean(alpha));
    }
}

#[test]
fn a_thing_that_never_moves_is_no_person() {
    let hard = mattes("empty_interior_bed", MatteMode::Hard);
    assert!(hard.iter().any(|(alpha, _)| mean(alpha) > 0.2));
    for (i, (alpha, _)) in mattes("empty_interior_bed", MatteMode::Soft)
        .iter()
        .enumerate()
    {
        assert!(mean(alpha) < 0.001, "frame {i}: {}", mean(alpha));
    }
}

#[test]
fn a_person_who_returns_is_whole_within_three_frames() {
    let mattes = mattes("returns_interior_bed", MatteMode::Soft);
    let largest = mattes.iter().map(|(_, truth)| mean(truth));
    let largest = largest.fold(0.0, f64::max);
    let back = mattes
        .iter()
        .enumerate()
        .position(|(i, (_, truth))| i > 15 && mean(truth) > 0.5 * largest)
        .expect("the person returns");
    for (i, (alpha, truth)) in mattes.iter().enumerate().skip(back + 3) {
        let person = truth.iter().zip(alpha.iter()).filter(|(t, _)| **t > 127);
        let (seen, all) = person.fold((0, 0), |(seen, all), (_, a)| {
            (seen + u32::from(*a > 127), all + 1)
        });
        assert!(
            f64::from(seen) > 0.85 * f64::from(all),
            "frame {i}: {seen} of {all} pixels"
        );
    }
}
