//! Every SIMD level gives the same matte.
use crate::clip::{Cast, CastMember, Matter};
use mattebox_core::matte::{MatteMode, MatteState};
use mattebox_net::SimdLevel;

#[test]
fn all_simd_levels_agree_within_one_of_255() {
    let cast = Cast::load();
    let people = [
        CastMember {
            scale: 0.33,
            place: [400, 242],
            mirrored: true,
        },
        CastMember {
            scale: 0.7,
            place: [-60, 108],
            mirrored: false,
        },
    ];
    for mode in [MatteMode::Soft, MatteMode::Hard] {
        let mattes = SimdLevel::available().into_iter().map(|level| {
            let mut matter = Matter::new(mode, level);
            let mut state = MatteState::default();
            (0..6)
                .map(|i| {
                    matter.matte(
                        &cast.frame(f64::from(i) * 0.2, &people).0,
                        f64::from(i) * 0.2,
                        &mut state,
                    )
                })
                .collect()
        });
        let mattes: Vec<Vec<image::GrayImage>> = mattes.collect();
        for (level, found) in SimdLevel::available().iter().zip(&mattes) {
            for (frame, (oracle, found)) in mattes[0].iter().zip(found).enumerate() {
                let apart = oracle
                    .iter()
                    .zip(found.iter())
                    .filter(|(a, b)| a.abs_diff(**b) > 1)
                    .count();
                // a hard mask has no values in between: a pixel at the threshold may be on the
                // other side
                let allowed = if mode == MatteMode::Hard { 5 } else { 0 };
                assert!(
                    apart <= allowed,
                    "{mode} {level} frame {frame}: {apart} pixels differ from scalar"
                );
            }
        }
    }
}

#[test]
fn two_runs_give_the_same_bytes() {
    let cast = Cast::load();
    let run = || {
        let mut matter = Matter::new(MatteMode::Soft, SimdLevel::best());
        let mut state = MatteState::default();
        let person = |i: i32| CastMember {
            scale: 0.6,
            place: [600 - 50 * i, 144],
            mirrored: false,
        };
        let frames = (0..8)
            .map(|i| cast.frame(f64::from(i) * 0.1, &[person(i)]).0)
            .enumerate();
        frames
            .map(|(i, picture)| matter.matte(&picture, i as f64 * 0.1, &mut state))
            .collect::<Vec<_>>()
    };
    let elsewhere = std::thread::scope(|s| s.spawn(run).join().unwrap());
    assert!(run() == elsewhere);
}
