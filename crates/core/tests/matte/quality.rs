//! The soft matte is nearer to the exact alpha than the hard mask.
use crate::clip::{Cast, CastMember, Matter, difference};
use mattebox_core::matte::{MatteMode, MatteState};
use mattebox_net::SimdLevel;

#[test]
fn soft_is_nearer_to_the_exact_alpha_than_hard() {
    let cast = Cast::load();
    let person = CastMember {
        scale: 1.0,
        place: [0, 0],
        mirrored: false,
    };
    let errors = [MatteMode::Soft, MatteMode::Hard].map(|mode| {
        let mut matter = Matter::new(mode, SimdLevel::best());
        let mut state = MatteState::default();
        let frames = (0..10).map(|i| f64::from(i) * 0.16);
        let error = frames.map(|time| {
            let (picture, alpha) = cast.frame(time, &[person]);
            difference(&matter.matte(&picture, time, &mut state), &alpha)
        });
        error.sum::<f64>() / 10.0
    });
    assert!(
        errors[0] < 0.008 && errors[0] < 0.8 * errors[1],
        "mean differences of soft and hard: {errors:?}"
    );
}
