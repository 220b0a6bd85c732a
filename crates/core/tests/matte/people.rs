//! The people who are shown.
use crate::clip::{Cast, CastMember, Matter, covered};
use image::GrayImage;
use mattebox_core::matte::{MatteMode, MatteState, People};
use mattebox_core::quality::{Pair, measure};
use mattebox_net::SimdLevel;

/// The sample's person, and one half as large who stands beside and farther away.
const NEAR: CastMember = CastMember {
    scale: 0.7,
    place: [-60, 108],
    mirrored: false,
};
const FAR: CastMember = CastMember {
    scale: 0.33,
    place: [400, 242],
    mirrored: true,
};

fn mattes(mode: MatteMode, people: &str) -> Vec<(GrayImage, GrayImage, GrayImage)> {
    let cast = Cast::load();
    let mut matter = Matter::new(mode, SimdLevel::best());
    matter.segmenter = matter.segmenter.showing(people.parse::<People>().unwrap());
    let mut state = MatteState::default();
    (0..30)
        .map(|i| {
            let seconds = f64::from(i) * 0.04;
            let (picture, near) = cast.frame(seconds, &[NEAR, FAR]);
            let (_, far) = cast.frame(seconds, &[FAR, NEAR]);
            (matter.matte(&picture, seconds, &mut state), near, far)
        })
        .collect()
}

#[test]
fn only_the_nearest_person_is_shown_with_every_matte() {
    for mode in [MatteMode::Soft, MatteMode::Hard] {
        for (i, (alpha, near, far)) in mattes(mode, "nearest").iter().enumerate() {
            let (near, far) = (covered(alpha, near), covered(alpha, far));
            assert!(near > 0.9, "{mode}, frame {i}: {near} of the nearest");
            assert!(far < 0.02, "{mode}, frame {i}: {far} of the other");
        }
    }
}

#[test]
fn two_of_two_people_are_shown() {
    let both = mattes(MatteMode::Soft, "2");
    assert!(both == mattes(MatteMode::Soft, "all"));
    for (i, (alpha, near, far)) in both.iter().enumerate() {
        let (near, far) = (covered(alpha, near), covered(alpha, far));
        assert!(near > 0.9 && far > 0.8, "frame {i}: {near} and {far}");
    }
}

/// People in a row, too small for one look at all of them; some of them touch.
#[test]
fn a_group_is_seen_as_well_as_with_hard_in_every_frame() {
    let cast = Cast::load();
    let person = |i: i32| CastMember {
        scale: 0.3,
        place: [-50 + 118 * i, 252],
        mirrored: i % 2 == 1,
    };
    let group: Vec<CastMember> = (0..6).map(person).collect();
    let mut matters = [MatteMode::Hard, MatteMode::Soft]
        .map(|mode| (Matter::new(mode, SimdLevel::best()), MatteState::default()));
    for i in 0..15 {
        let seconds = f64::from(i) * 0.04;
        let alone = |one: usize| {
            let mut group = group.clone();
            group.rotate_left(one);
            cast.frame(seconds, &group).1
        };
        let (picture, mut truth) = cast.frame(seconds, &group);
        for one in 1..group.len() {
            for (all, one) in truth.iter_mut().zip(alone(one).iter()) {
                *all = (*all).max(*one);
            }
        }
        let [hard, soft] = matters.each_mut().map(|(matter, state)| {
            let alpha = matter.matte(&picture, seconds, state);
            measure(Pair::new(&alpha, &truth).unwrap(), None)
                .unwrap()
                .iou
        });
        assert!(soft >= hard - 0.02, "frame {i}: {soft} of {hard}");
        assert!(soft > 0.85, "frame {i}: {soft}");
    }
}
