//! A person who enters, or comes back, is found within half a second, and stays found.
use crate::clip::{Cast, CastMember, Matter, covered};
use mattebox_core::matte::{MatteMode, MatteState};
use mattebox_net::SimdLevel;

/// The time when the newcomer appears at the right edge, and the time that they walk.
const ENTERS: f64 = 1.0;
const WALKS: f64 = 0.6;

/// The person who is there all the time.
const RESIDENT: CastMember = CastMember {
    scale: 0.7,
    place: [-60, 108],
    mirrored: false,
};

/// Plays 2.6 s at `fps` frames a second. The matte must cover more than 70 % of the newcomer within
/// half a second after half of them is in view, and at least 85 %, without jumps, from half a
/// second after they stand still.
fn enters(name: &str, fps: f64, newcomer: CastMember, stands_at: i32, residents: &[CastMember]) {
    let cast = Cast::load();
    let mut matter = Matter::new(MatteMode::Soft, SimdLevel::best());
    let mut state = MatteState::default();
    let mut half_visible = None;
    let mut found = None;
    let mut before = None;
    for frame in 0..(2.6 * fps) as usize {
        let time = frame as f64 / fps;
        let way = ((time - ENTERS) / WALKS).clamp(0.0, 1.0);
        let place = [
            640 - (f64::from(640 - stands_at) * way) as i32,
            newcomer.place[1],
        ];
        let people = [&[CastMember { place, ..newcomer }], residents].concat();
        let (picture, visible) = cast.frame(time, &people);
        let matte = matter.matte(&picture, time, &mut state);
        let share = covered(&matte, &visible);
        if way > 0.5 {
            half_visible.get_or_insert(time);
            if share > 0.7 {
                found.get_or_insert(time);
            }
        }
        if time > ENTERS + WALKS + 0.5 {
            assert!(
                share > 0.85,
                "{name} at {fps} fps: only {share:.2} of the newcomer is there at {time:.2} s"
            );
            if let Some(before) = before {
                assert!(
                    f64::abs(share - before) < 0.06,
                    "{name} at {fps} fps flickers at {time:.2} s: {before:.2} to {share:.2}"
                );
            }
            before = Some(share);
        }
    }
    let half_visible = half_visible.unwrap();
    let found = found.unwrap_or_else(|| panic!("{name} at {fps} fps was never found"));
    assert!(
        found - half_visible <= 0.5,
        "{name} at {fps} fps was found after {:.2} s",
        found - half_visible
    );
}

#[test]
fn a_second_person_who_enters_is_found_within_half_a_second() {
    for fps in [25.0, 10.0] {
        enters(
            "a second person",
            fps,
            CastMember {
                scale: 0.6,
                place: [0, 144],
                mirrored: true,
            },
            290,
            &[RESIDENT],
        );
    }
}

#[test]
fn a_small_second_person_far_away_is_found_within_half_a_second() {
    for fps in [25.0, 10.0] {
        enters(
            "a third as large",
            fps,
            CastMember {
                scale: 0.33,
                place: [0, 242],
                mirrored: true,
            },
            400,
            &[RESIDENT],
        );
        enters(
            "a quarter as large",
            fps,
            CastMember {
                scale: 0.25,
                place: [0, 271],
                mirrored: true,
            },
            420,
            &[RESIDENT],
        );
    }
}

#[test]
fn a_person_who_comes_back_to_an_empty_room_is_found_within_half_a_second() {
    for fps in [25.0, 10.0] {
        enters(
            "a person alone",
            fps,
            CastMember {
                scale: 0.8,
                place: [0, 72],
                mirrored: false,
            },
            60,
            &[],
        );
        enters(
            "a small person alone",
            fps,
            CastMember {
                scale: 0.33,
                place: [0, 242],
                mirrored: false,
            },
            300,
            &[],
        );
    }
}

#[test]
fn an_empty_room_stays_empty_after_a_person_left() {
    let cast = Cast::load();
    let mut matter = Matter::new(MatteMode::Soft, SimdLevel::best());
    let mut state = MatteState::default();
    for frame in 0..40 {
        let time = f64::from(frame) / 25.0;
        let people: &[CastMember] = if time < 0.5 { &[RESIDENT] } else { &[] };
        let matte = matter.matte(&cast.frame(time, people).0, time, &mut state);
        let mean = matte.iter().map(|&a| f64::from(a)).sum::<f64>() / 255.0 / matte.len() as f64;
        assert!(
            time < 0.5 || mean < 0.01,
            "{mean:.3} of the picture is person {:.2} s after they left",
            time - 0.5
        );
    }
}

#[test]
fn a_still_shows_a_large_and_a_small_person() {
    let cast = Cast::load();
    let mut matter = Matter::new(MatteMode::Soft, SimdLevel::best());
    for scale in [0.5, 0.33, 0.25] {
        let second = CastMember {
            scale,
            place: [400, 360 - (360.0 * scale) as i32],
            mirrored: true,
        };
        let (picture, visible) = cast.frame(0.0, &[second, RESIDENT]);
        let (_, resident) = cast.frame(0.0, &[RESIDENT]);
        let matte = matter.still(&picture);
        assert!(
            covered(&matte, &visible) > 0.85,
            "scale {scale}: {:.2} of the second person",
            covered(&matte, &visible)
        );
        assert!(
            covered(&matte, &resident) > 0.95,
            "scale {scale}: {:.2} of the first person",
            covered(&matte, &resident)
        );
    }
}
