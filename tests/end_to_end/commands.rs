//! The smaller subcommands and the settings, with the real binary.

use crate::kit::{Workspace, repository, sample};
#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let b = Workspace::new();
    std::fs::write(
        b.path("mattebox.toml"),
        "camera_id = \"file\"\nmatte = \"hard\"\njpeg_quality = 70\n",
    )
    .expect("written");
    let env = [("CAMERA_ID", "environment"), ("JPEG_QUALITY", "75")];
    let done = b.run_with(&["config", "--camera-id", "flag", "--json"], &env);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let of = |name: &str| {
        (
            json[name]["value"].clone(),
            json[name]["origin"]["from"]
                .as_str()
                .unwrap_or("")
                .to_owned(),
        )
    };
    assert_eq!(of("camera_id"), ("flag".into(), "flag".to_owned()));
    assert_eq!(of("jpeg_quality"), (75.into(), "environment".to_owned()));
    assert_eq!(of("matte"), ("hard".into(), "file".to_owned()));
    assert_eq!(of("format"), ("png".into(), "default".to_owned()));
}

#[test]
fn the_seeds_variables_configure_a_run() {
    let b = Workspace::new();
    let clip = sample();
    let env = [
        ("VIDEO_SRC", clip.as_str()),
        ("CAMERA_ID", "seed"),
        ("OUTPUT_DIR", "there"),
        ("MAX_WIDTH", "320"),
        ("FPS", "5"),
    ];
    let done = b.run_with(&["run"], &env);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(
        b.files("there/seed").len(),
        15,
        "three seconds at 5 frames per second"
    );
    let picture =
        mattebox_core::codec::decode(&b.read("there/seed/frame_000000.png"), &Default::default())
            .expect("a picture");
    assert_eq!(picture.dimensions(), (320, 180));
}

#[test]
fn doctor_finds_what_the_tests_need() {
    let b = Workspace::new();
    let done = b.run(&["doctor"]);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.code, Some(0), "{text}");
    for word in ["processor", "network", "ffmpeg", "output"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn doctor_says_how_to_get_a_missing_ffmpeg() {
    let b = Workspace::new();
    let done = b.run(&["doctor", "--ffmpeg", "/nowhere/ffmpeg"]);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.code, Some(1));
    assert!(
        text.contains("MISSING") && text.contains("install ffmpeg"),
        "{text}"
    );
}

#[test]
fn model_describes_the_built_in_networks() {
    let b = Workspace::new();
    for (file, size) in [
        ("selfie_segmentation.tflite", "256"),
        ("selfie_segmentation_landscape.tflite", "144"),
    ] {
        let done = b.run(&["model", &repository(&format!("crates/net/model/{file}"))]);
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        for word in [size, "CONV_2D", "Convolution2DTransposeBias", "sha256"] {
            assert!(text.contains(word), "{word:?} is missing in:\n{text}");
        }
    }
}

#[test]
fn a_users_model_gives_the_same_as_the_built_in_one() {
    let b = Workspace::new();
    let path = repository("crates/net/model/selfie_segmentation.tflite");
    b.report(&["run", &sample(), "--frames", "3", "--out", "built-in"]);
    b.report(&[
        "run",
        &sample(),
        "--frames",
        "3",
        "--out",
        "given",
        "--model",
        &path,
    ]);
    assert!(b.read("built-in/cam01/frame_000002.png") == b.read("given/cam01/frame_000002.png"));
}

#[test]
fn bench_measures_every_stage() {
    let b = Workspace::new();
    let done = b.run(&["bench", "--size", "320x180", "--frames", "3", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let measured = json["measured"].as_array().expect("a list");
    assert_eq!(measured.len(), 2, "hard and soft");
    for m in measured {
        assert_eq!(m["stages"].as_array().map(Vec::len), Some(7));
        assert!(m["total_ms"].as_f64() > Some(0.0));
    }
}

#[test]
fn completions_and_manual_pages_are_made() {
    let b = Workspace::new();
    for shell in ["bash", "zsh", "fish"] {
        let done = b.run(&["completions", shell]);
        assert_eq!(done.code, Some(0));
        assert!(String::from_utf8_lossy(&done.stdout).contains("mattebox"));
    }
    assert!(String::from_utf8_lossy(&b.run(&["man"]).stdout).contains(".TH"));
    assert_eq!(b.run(&["man", "--out", "pages"]).code, Some(0));
    assert!(b.files("pages").contains(&"mattebox-run.1".to_owned()));
}

#[test]
fn help_goes_to_standard_output_and_mistakes_to_standard_error() {
    let b = Workspace::new();
    let help = b.run(&["run", "--help"]);
    assert_eq!(help.code, Some(0));
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for word in [
        "--background",
        "--matte",
        "--out",
        "Examples",
        "MATTEBOX_MATTE",
        "CAMERA_ID",
    ] {
        assert!(text.contains(word), "{word:?} is missing");
    }
    let mistake = b.run(&["run", "--no-such-flag"]);
    assert_eq!(mistake.code, Some(2));
    assert!(mistake.stdout.is_empty() && mistake.stderr.contains("--no-such-flag"));
}

#[test]
fn an_error_in_an_environment_variable_names_the_variable() {
    let b = Workspace::new();
    let done = b.run_with(&["run", "clip.mp4"], &[("FPS", "abc")]);
    assert_eq!(done.code, Some(2));
    assert!(
        done.stderr.contains("abc") && done.stderr.contains("environment variable FPS"),
        "{}",
        done.stderr
    );
    let typed = b.run(&["run", "clip.mp4", "--fps", "abc"]);
    assert_eq!(typed.code, Some(2));
    assert!(
        !typed.stderr.contains("environment variable"),
        "{}",
        typed.stderr
    );
}
