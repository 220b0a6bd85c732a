//! The live page of workers, and of a topic of results, with a real broker.

use crate::kit::{Broker, KafkaPipeline, RunningPage, seed_frame};
const GREY: [u8; 3] = [0xC0; 3];

fn written(page: &RunningPage) -> Option<u64> {
    page.camera()["frames"]["written"].as_u64()
}

/// Sends frames until the page shows a colour behind them, and all of them are made. Without a
/// viewer the page keeps only one frame a second.
fn show(pipeline: &KafkaPipeline, page: &RunningPage, colour: [u8; 3]) {
    page.until("the new background", |page| {
        let due = written(page).expect("a number") + 5;
        pipeline.fill(&["a"], 5, &[]);
        page.until("its frames", |page| written(page) == Some(due));
        page.colour("a", 160, 2) == Some(colour)
    });
}

#[test]
fn a_worker_shows_its_cameras_and_only_their_background_can_be_changed_by_page_or_file() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "seen");
    pipeline.fill(&["a"], 20, &["--partitions", "1"]);
    std::fs::write(pipeline.workspace.path("m.toml"), "background = \"gray\"").unwrap();
    let worker = pipeline.page(&["worker", "--config", "m.toml"], "log");
    worker.until("its frames", |page| written(page) == Some(20));
    assert_eq!(worker.colour("a", 160, 2), Some(GREY));
    let (status, problem) = worker.change("a", r#"{"matte": "hard"}"#);
    assert_eq!(status, 409, "{problem}");
    assert_eq!(worker.change("a", r##"{"background": "#0000ff"}"##).0, 200);
    show(&pipeline, &worker, [0, 0, 0xFF]);
    let blue = written(&worker).expect("a number");
    std::fs::write(
        pipeline.workspace.path("m.toml"),
        "background = \"#00ff00\"\nmatte = \"hard\"",
    )
    .unwrap();
    worker.hang_up();
    worker.until("what changed", |page| {
        page.said("background: \"gray\" -> \"#00ff00\"")
    });
    assert!(worker.said("matte: \"soft\" -> \"hard\" takes effect at the next start"));
    show(&pipeline, &worker, [0, 0xFF, 0]);
    assert_eq!(worker.stop().0.code, Some(130));
    for (number, colour) in [
        (19, GREY),
        (20, [0, 0, 0xFF]),
        (blue - 1, [0, 0, 0xFF]),
        (blue, [0, 0xFF, 0]),
    ] {
        let file = pipeline
            .workspace
            .read(&format!("output/a/frame_{number:06}.png"));
        let frame = mattebox_core::codec::decode(&file, &Default::default()).unwrap();
        assert_eq!(frame.get_pixel(160, 2).0, colour, "frame {number}");
    }
}

#[test]
fn results_of_a_topic_are_shown_and_frames_with_their_room_are_not() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "source");
    pipeline.fill(&["a"], 5, &["--partitions", "1"]);
    pipeline.report(&["worker", "--until", "end", "--out", "topic:matted"]);
    let results = pipeline.page(&["view", "matted"], "results.log");
    let frames = pipeline.page(&["view", "source"], "frames.log");
    for page in [&results, &frames] {
        page.until("it to read", |page| page.get("/readyz").0 == 200);
    }
    // It shows frames that arrive from now on, so only a shown frame proves that it has begun.
    results.until("a result", |page| {
        pipeline.fill(&["a"], 5, &[]);
        pipeline.report(&["worker", "--until", "end", "--out", "topic:matted"]);
        page.colour("a", 160, 2).is_some()
    });
    assert_eq!(results.colour("a", 160, 2), Some(GREY));
    let (status, problem) = results.change("a", r#"{"background": "blur"}"#);
    assert_eq!(status, 409, "{problem}");
    frames.until("the reason", |page| {
        pipeline.fill(&["a"], 1, &[]);
        page.said("this record is no result and is not shown")
    });
    assert!(frames.camera().is_null(), "no camera is shown");
    for page in [results, frames] {
        assert_eq!(page.stop().0.code, Some(130));
    }
}

#[test]
fn the_page_says_that_every_record_of_a_camera_is_a_dead_letter() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "hopeless");
    broker.client().create_topic("hopeless", 1, &[]);
    let worker = pipeline.page(&["worker", "--forget", "3s"], "log");
    worker.until("it to read", |page| page.get("/readyz").0 == 200);
    let record = seed_frame("a", 0, 1_700_000_000.0, b"no picture");
    broker.client().produce("hopeless", &[record]);
    worker.until("what is wrong with it", |page| {
        let camera = page.camera();
        let why = camera["why"].as_str().unwrap_or_default();
        camera["state"] == "stalled" && why.starts_with("its records become dead letters: ")
    });
    worker.until("it to leave", |page| page.camera().is_null());
    assert_eq!(worker.stop().0.code, Some(130));
}

#[test]
fn the_page_of_a_worker_names_the_topic_that_it_waits_for() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "later");
    let worker = pipeline.page(&["worker"], "log");
    worker.until("what it waits for", |page| {
        page.said("waiting for topic later")
    });
    assert_eq!(worker.get("/healthz").0, 200);
    let troubles = worker.troubles().expect("it is not ready");
    assert!(troubles.contains("waiting for topic later"), "{troubles}");
    let (_, body) = worker.get("/api/cameras");
    assert!(String::from_utf8_lossy(&body).contains("waiting for topic later"));
    pipeline.fill(&["a"], 5, &[]);
    worker.until("its frames", |page| written(page) == Some(5));
    assert_eq!(worker.stop().0.code, Some(130));
}
