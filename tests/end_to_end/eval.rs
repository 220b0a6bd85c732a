//! `mattebox eval` with the real binary.

use crate::kit::{Workspace, repository, sample};
#[test]
fn the_true_alpha_is_perfect_and_comes_as_table_json_and_csv() {
    let b = Workspace::new();
    let truth = repository("samples/person_alpha.mkv");
    let done = b.run(&[
        "eval",
        &truth,
        &truth,
        "--worst",
        "2",
        "--by",
        "grad",
        "--per-frame",
        "rows.csv",
    ]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let table = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        table.starts_with("75 frames of 640x360")
            && table.contains("1.0000")
            && table.contains("frame 0"),
        "{table}"
    );
    let csv = String::from_utf8(b.read("rows.csv")).expect("text");
    assert_eq!(
        (csv.lines().count(), csv.lines().nth(2)),
        (76, Some("1,,1,0,0,0,0,0"))
    );
    let rows = ["--json", "--static", "--per-frame", "rows.json"];
    let done = b.run(&[&["eval", &truth, &truth][..], &rows].concat());
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let flicker = json["mean"]["static"].as_f64().expect("a figure");
    assert!(
        flicker < 0.4,
        "the last bit of the truth at most: {flicker}"
    );
    assert_eq!(
        (
            &json["frames"],
            &json["mean"]["iou"],
            &json["mean"]["dtssd"]
        ),
        (&75.into(), &1.0.into(), &0.0.into())
    );
    let rows: serde_json::Value = serde_json::from_slice(&b.read("rows.json")).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(75));
    assert_eq!(b.files("."), ["rows.csv", "rows.json"]);
}

#[test]
fn mattes_that_run_wrote_are_measured() {
    let b = Workspace::new();
    b.report(&[
        "run",
        &sample(),
        "--alpha-out",
        "alpha",
        "--background",
        "transparent",
        "--foreground-cleanup",
        "false",
    ]);
    b.report(&[
        "run",
        &sample(),
        "--out",
        "cleaned",
        "--background",
        "transparent",
    ]);
    let truth = repository("samples/person_alpha.mkv");
    let mean = |predicted: &str| {
        let done = b.run(&["eval", predicted, &truth, "--json"]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        serde_json::from_slice::<serde_json::Value>(&done.stdout).expect("JSON")["mean"].clone()
    };
    let alpha = mean("alpha/cam01");
    assert_eq!(
        alpha,
        mean("output/cam01"),
        "the alpha channel of the pictures is the matte"
    );
    let error = |mean: &serde_json::Value| mean["mad"].as_f64().expect("a number");
    assert!(
        error(&mean("cleaned/cam01")) < error(&alpha),
        "the clean-up takes away what the colours show to be room"
    );
    // The bounds are those of the soft matte: the hard mask of MediaPipe does not reach them.
    let is_soft = |mean: &serde_json::Value| {
        let of = |name: &str| mean[name].as_f64().expect("a number");
        [of("iou") >= 0.986, of("mad") <= 5.3, of("dtssd") <= 3.9]
    };
    assert_eq!(is_soft(&alpha), [true; 3], "{alpha}");
    b.report(&[
        "run",
        &sample(),
        "--alpha-out",
        "hard",
        "--matte",
        "hard",
        "--out",
        "none",
    ]);
    let hard = mean("hard/cam01");
    assert_eq!(is_soft(&hard), [false; 3], "{hard}");
    // The values in the documentation, within one unit of the last digit: vector instructions
    // differ in rounding.
    for (page, wanted) in [
        ("README.md", "`--matte hard` "),
        ("README.md", "**`--matte soft`**"),
        ("docs/design/matte.md", "`hard`"),
        ("docs/design/matte.md", "**`soft`**"),
    ] {
        let text = std::fs::read_to_string(repository(page)).expect("a page");
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| {wanted}")))
            .expect("its row");
        let printed: Vec<_> = row
            .split('|')
            .map(|cell| cell.trim_matches([' ', '*']))
            .filter(|cell| !cell.is_empty())
            .collect();
        let measured = if wanted.contains("soft") {
            &alpha
        } else {
            &hard
        };
        assert_eq!(printed.len(), 6, "{row}");
        for (name, text) in ["iou", "mad", "mse", "grad", "dtssd"]
            .into_iter()
            .zip(&printed[1..])
        {
            let unit = 10f64.powi(-(text.split('.').nth(1).map_or(0, str::len) as i32));
            let value = measured[name].as_f64().expect("a number");
            let shown = text.parse::<f64>().expect("a number");
            assert!(
                (value - shown).abs() <= unit,
                "{page}: {name} of {wanted} is {value}, printed is {text}"
            );
        }
    }
}

#[test]
fn an_input_that_cannot_be_measured_is_named() {
    let b = Workspace::new();
    let clip = sample();
    let truth = repository("samples/person_alpha.mkv");
    b.ffmpeg(&["-i", &truth, "-frames:v", "3", "short.mkv"]);
    for (args, code, words) in [
        (&["eval", "gone.mkv", &truth][..], 1, &["gone.mkv"][..]),
        (
            &["eval", "short.mkv", &truth],
            1,
            &["short.mkv has 3 frames", "person_alpha.mkv has 75"],
        ),
        (
            &["eval", &clip, &truth, "--per-frame", "rows.txt"],
            2,
            &["rows.txt", ".csv or .json"],
        ),
        (
            &["eval", &clip, &truth, "--by", "ssim"],
            2,
            &["ssim", "dtssd"],
        ),
        (&["eval", &clip], 2, &["TRUTH"]),
    ] {
        let done = b.run(args);
        assert_eq!(done.code, Some(code), "{args:?}: {}", done.stderr);
        for word in words {
            assert!(
                done.stderr.contains(word),
                "{args:?}: {word:?} is missing in {}",
                done.stderr
            );
        }
    }
}
