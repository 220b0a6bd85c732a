//! `hard` is MediaPipe's category mask.
use crate::clip::{Matter, fixture};
use mattebox_core::matte::{MatteMode, MatteState};
use mattebox_net::SimdLevel;

#[test]
fn hard_is_mediapipes_category_mask() {
    let mut matter = Matter::new(MatteMode::Hard, SimdLevel::best());
    for i in 0..4 {
        let picture = fixture(&format!("hard_{i}.png")).to_rgb8();
        let golden = fixture(&format!("hard_{i}_mask.png")).to_luma8();
        let mut state = MatteState::default();
        let mask = matter.matte(&picture, 0.0, &mut state);
        assert!(
            mask.iter().all(|&m| m == 0 || m == 255),
            "picture {i} has grays"
        );
        let differ = mask
            .iter()
            .zip(golden.iter())
            .filter(|(a, b)| a != b)
            .count();
        assert!(
            differ * 1000 <= mask.len(),
            "picture {i}: {differ} of {} pixels differ",
            mask.len()
        );
        assert_eq!(state, MatteState::default(), "hard remembers nothing");
    }
}
