//! The seed's JSON, written and read by a Python client like that of the seed.

use crate::kit::{Broker, Workspace, python, sample};

#[test]
fn a_python_camera_feeds_our_worker_and_starting_it_again_writes_over_nothing() {
    let broker = Broker::shared();
    let b = Workspace::new();
    let address = broker.bootstrap();
    broker.client().create_topic("from-python", 1, &[]);
    b.jpeg("scale=320:-2");
    let picture = b.path("one.jpg").display().to_string();
    for files in [20, 40] {
        python(
            "producer.py",
            &[&address, "from-python", "cam01", "20", &picture],
        );
        let report = b.report(&[
            "worker",
            "--kafka",
            &address,
            "--topic",
            "from-python",
            "--until",
            "end",
        ]);
        assert_eq!(report["cameras"][0]["written"], 20);
        assert_eq!(b.files("output/cam01").len(), files);
    }
}

#[test]
fn our_camera_feeds_a_python_job() {
    let broker = Broker::shared();
    let b = Workspace::new();
    let address = broker.bootstrap();
    let camera = [
        "camera",
        &sample(),
        "--once",
        "--realtime",
        "false",
        "--wire",
        "json",
        "--max-width",
        "320",
    ]
    .map(str::to_owned);
    let camera: Vec<&str> = camera.iter().map(String::as_str).collect();
    b.report(
        &[
            &camera[..],
            &[
                "--kafka",
                &address,
                "--topic",
                "to-python",
                "--partitions",
                "1",
                "--frames",
                "15",
            ],
        ]
        .concat(),
    );
    let read = python("consumer.py", &[&address, "to-python", "15"]);
    let lines: Vec<Vec<&str>> = read.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines.len(), 15);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(
            (line[0], line[1], line[3]),
            ("cam01", n.to_string().as_str(), "320x180")
        );
    }
}
