use super::*;
use image::Rgb;
use mattebox_core::{
    codec::{self, Encoder, ImageFormat, Limits},
    compose::Composed,
    matte::MatteMode,
};

fn picture(shift: u32) -> RgbImage {
    RgbImage::from_fn(96, 64, |x, y| {
        let inside = (x + shift).abs_diff(48) < 16 && y > 16;
        Rgb(if inside {
            [200, 150, 120]
        } else {
            [20, (x * 2) as u8, y as u8]
        })
    })
}

fn settings(matte: MatteMode) -> Arc<FrameSettings> {
    Arc::new(FrameSettings {
        matte,
        ..FrameSettings::default()
    })
}

fn frame<'a, S: StateAccess>(
    settings: &'a Arc<FrameSettings>,
    picture: FramePicture<'a>,
    state: S,
    span: &'a Span,
) -> FrameInput<'a, S> {
    FrameInput {
        settings,
        picture,
        time: Timestamp(0),
        state,
        background: None,
        span,
    }
}

fn file(processor: &mut FrameProcessor, frame: FrameInput<'_, &mut MatteState>) -> Vec<u8> {
    processor
        .process(frame, |matted| matted.encode().map(<[u8]>::to_vec))
        .into_result()
        .unwrap()
        .unwrap()
}

#[test]
fn a_picture_and_its_file_give_the_same_bytes() {
    let settings = settings(MatteMode::Soft);
    let engine = Engine::new(&settings);
    let mut processor = FrameProcessor::new(&engine, &settings).unwrap();
    let span = Span::default();
    let picture = picture(0);
    let mut png = Vec::new();
    Encoder::new(ImageFormat::Png, 80)
        .encode(&Composed::Rgb(picture.clone()), &mut png)
        .unwrap();
    let mut states = [(); 2].map(|()| MatteState::default());
    let [first, second] = &mut states;
    let decoded = frame(&settings, FramePicture::Decoded(&picture), first, &span);
    let decoded = file(&mut processor, decoded);
    let encoded = frame(
        &settings,
        FramePicture::Encoded(EncodedPicture::Bytes(&png)),
        second,
        &span,
    );
    assert_eq!(file(&mut processor, encoded), decoded);
    assert_eq!(states[0], states[1]);
    let out = codec::decode(&decoded, &Limits::default()).unwrap();
    assert_eq!(out.dimensions(), (96, 64));
}

#[test]
fn a_panic_loses_only_one_frame_and_the_state() {
    let settings = settings(MatteMode::Soft);
    let engine = Engine::new(&settings);
    let span = Span::default();
    let picture = picture(3);
    let mut fresh = MatteState::default();
    let mut processor = FrameProcessor::new(&engine, &settings).unwrap();
    let clean = frame(
        &settings,
        FramePicture::Decoded(&picture),
        &mut fresh,
        &span,
    );
    let clean = file(&mut processor, clean);
    let mut state = fresh.clone();
    let bad = frame(
        &settings,
        FramePicture::Decoded(&picture),
        &mut state,
        &span,
    );
    let outcome = processor.process(bad, |_| -> () { panic!("on purpose") });
    assert_eq!(outcome, FrameOutcome::Panicked);
    assert_eq!(state, MatteState::default());
    assert_eq!(processor.lost(), None);
    let next = frame(
        &settings,
        FramePicture::Decoded(&picture),
        &mut state,
        &span,
    );
    assert_eq!(file(&mut processor, next), clean);
}

#[test]
fn a_damaged_picture_is_rejected_and_does_not_change_the_state() {
    let settings = settings(MatteMode::Soft);
    let engine = Engine::new(&settings);
    let mut processor = FrameProcessor::new(&engine, &settings).unwrap();
    let span = Span::default();
    let picture = picture(0);
    let mut state = MatteState::default();
    let good = frame(
        &settings,
        FramePicture::Decoded(&picture),
        &mut state,
        &span,
    );
    file(&mut processor, good);
    let before = state.clone();
    let bad = frame(
        &settings,
        FramePicture::Encoded(EncodedPicture::Bytes(b"no picture")),
        &mut state,
        &span,
    );
    let outcome = processor.process(bad, |_| ());
    assert!(matches!(outcome, FrameOutcome::Rejected(_)), "{outcome:?}");
    assert_eq!(state, before);
}

#[test]
fn cameras_with_their_own_settings_share_one_processor() {
    let soft = settings(MatteMode::Soft);
    let hard = settings(MatteMode::Hard);
    let engine = Engine::new(&soft);
    let span = Span::default();
    let picture = picture(0);
    let alone = |settings: &Arc<FrameSettings>| {
        let mut processor = FrameProcessor::new(&engine, settings).unwrap();
        let mut state = MatteState::default();
        let one = frame(settings, FramePicture::Decoded(&picture), &mut state, &span);
        file(&mut processor, one)
    };
    let mut shared = FrameProcessor::new(&engine, &soft).unwrap();
    for settings in [&soft, &hard, &soft] {
        let mut state = MatteState::default();
        let one = frame(settings, FramePicture::Decoded(&picture), &mut state, &span);
        assert_eq!(file(&mut shared, one), alone(settings));
    }
}

#[test]
fn frames_without_people_have_the_file_of_their_background() {
    let empty =
        |seed: u32| RgbImage::from_fn(96, 64, |x, y| Rgb([(60 + seed + x / 4) as u8, 80, y as u8]));
    for matte in [MatteMode::Soft, MatteMode::Hard] {
        let settings = settings(matte);
        let engine = Engine::new(&settings);
        let mut processor = FrameProcessor::new(&engine, &settings).unwrap();
        let span = Span::default();
        let mut state = MatteState::default();
        let picture =
            |level| Background::Picture(Arc::new(RgbImage::from_pixel(96, 64, Rgb([level; 3]))));
        let first = picture(10);
        let wanted = [
            (Background::Color([1, 2, 3]), [1, 2, 3]),
            (Background::Color([1, 2, 3]), [1, 2, 3]),
            (first.clone(), [10; 3]),
            (first, [10; 3]),
            (picture(20), [20; 3]),
            (Background::Color([4, 5, 6]), [4, 5, 6]),
        ];
        for (seed, (background, colour)) in wanted.into_iter().enumerate() {
            let room = empty(seed as u32);
            let mut one = frame(&settings, FramePicture::Decoded(&room), &mut state, &span);
            one.background = Some(background);
            let file = file(&mut processor, one);
            let out = codec::decode(&file, &Limits::default()).unwrap();
            assert_eq!(out.dimensions(), (96, 64));
            assert!(out.pixels().all(|p| p.0 == colour), "{matte}, frame {seed}");
        }
    }
}

#[test]
fn a_repeated_still_frame_has_the_same_file_as_in_a_new_process() {
    for matte in [MatteMode::Soft, MatteMode::Hard] {
        let settings = Arc::new(FrameSettings {
            skip_still: true,
            ..FrameSettings::clone(&settings(matte))
        });
        let engine = Engine::new(&settings);
        let mut processor = FrameProcessor::new(&engine, &settings).unwrap();
        let span = Span::default();
        let mut state = MatteState::default();
        let pictures = [picture(0), picture(8)];
        let mut reused = 0;
        for (i, at) in [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0].into_iter().enumerate() {
            let picture = &pictures[at];
            let mut before = state.clone();
            let refined = engine.clock.spent(Stage::Refine);
            let one = frame(&settings, FramePicture::Decoded(picture), &mut state, &span);
            let found = file(&mut processor, one);
            reused += usize::from(engine.clock.spent(Stage::Refine) == refined);
            if matte == MatteMode::Soft {
                let engine = Engine::new(&settings);
                let mut processor = FrameProcessor::new(&engine, &settings).unwrap();
                let one = frame(
                    &settings,
                    FramePicture::Decoded(picture),
                    &mut before,
                    &span,
                );
                assert!(file(&mut processor, one) == found, "frame {i}");
            }
        }
        assert!(reused >= 3, "{matte}: {reused} files were used again");
    }
}
