//! Video files through FFmpeg: every picture once, upright, in time; and what is said of files that are no videos.
mod common;

use common::{collect, open, sample};
use mattebox::source::SourceOptions;

#[test]
fn the_sample_gives_each_of_its_75_pictures_once() {
    let mut source = open(&sample(), &SourceOptions::default());
    assert_eq!((source.info().frames, source.info().fps), (Some(75), Some(25.0)));
    assert!(!source.info().live && !source.info().still);
    let pictures = collect(&mut *source);
    assert_eq!(pictures.len(), 75);
    for (number, picture) in pictures.iter().enumerate() {
        assert_eq!(picture.picture.dimensions(), (640, 360));
        assert_eq!(picture.time.0, number as i64 * 40_000);
    }
    assert!(pictures.windows(2).all(|pair| pair[0].picture != pair[1].picture));
}
