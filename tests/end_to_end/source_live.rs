//! Live sources: they reconnect after a break, an end or a stall, and report a reason if they never
//! connect.

use crate::kit::{RtspCamera, collect, error_of, ffmpeg, free_port, open, sample, try_open, until};
use mattebox_engine::status::Status;
use mattebox_engine::stop::Stop;
use mattebox_media::source::{self, RtspTransport, Source, SourceOptions};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A server that passes each connection to `serve`, until the test ends. Returns its port and the
/// count of connections.
fn server(serve: impl Fn(usize, TcpStream) + Send + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(counter.fetch_add(1, Ordering::SeqCst), stream);
        }
    });
    (port, count)
}

/// The sample as an MPEG transport stream, which can be joined and left anywhere.
fn transport_stream() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::read(ffmpeg("-i {sample} -c copy", &folder.path().join("a.ts"))).unwrap()
}

fn quick() -> SourceOptions {
    SourceOptions {
        connect_timeout: Duration::from_secs(20),
        stall_timeout: Some(Duration::from_secs(2)),
        ..Default::default()
    }
}

fn take(source: &mut dyn Source, count: usize) -> Vec<i64> {
    let stop = Stop::new();
    (0..count)
        .map(|_| {
            source
                .next(&stop)
                .unwrap()
                .expect("the source ended")
                .time
                .0
        })
        .collect()
}

#[test]
fn a_stream_that_ends_is_reconnected() {
    let bytes = transport_stream();
    let (port, connections) = server(move |_, mut to| {
        let _ = to.write_all(&bytes);
    });
    let mut source = open(&format!("tcp://127.0.0.1:{port}"), &quick());
    let info = *source.info();
    assert!(info.live && info.frames.is_none() && info.fps == Some(25.0));
    let now = || i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let begun = now();
    let times = take(&mut *source, 170);
    assert!(connections.load(Ordering::SeqCst) >= 3);
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
    assert!(
        times[0] >= begun - 10_000_000 && times[169] <= now(),
        "times are those of the clock"
    );
}

#[test]
fn without_reconnect_the_end_is_the_end() {
    let bytes = transport_stream();
    let (port, connections) = server(move |_, mut to| {
        let _ = to.write_all(&bytes);
    });
    let options = SourceOptions {
        reconnect: false,
        ..quick()
    };
    assert_eq!(
        collect(&mut *open(&format!("tcp://127.0.0.1:{port}"), &options)).len(),
        75
    );
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_duration_ends_a_stream_that_would_go_on() {
    let bytes = transport_stream();
    let (port, _) = server(move |_, mut to| {
        let _ = to.write_all(&bytes);
    });
    let options = SourceOptions {
        duration: Some(Duration::from_secs(2)),
        ..quick()
    };
    let pictures = collect(&mut *open(&format!("tcp://127.0.0.1:{port}"), &options));
    assert!(
        pictures.len() > 75 && pictures[pictures.len() - 1].time.0 - pictures[0].time.0 < 3_000_000
    );
}

#[test]
fn a_service_that_never_answers_is_unreachable() {
    let options = SourceOptions {
        connect_timeout: Duration::from_secs(6),
        ..quick()
    };
    for spec in [
        format!("tcp://127.0.0.1:{}", free_port()),
        format!("rtsp://me:secret@127.0.0.1:{}/camera", free_port()),
    ] {
        let error = error_of(&spec, &options);
        let message = error.to_string();
        assert!(error.is_unreachable() && error.is_fatal(), "{message}");
        assert!(
            message.contains("could not be reached within 6 s: connection refused"),
            "{message}"
        );
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn a_service_without_a_frame_is_unreachable() {
    let held = Mutex::new(Vec::new());
    let (port, _) = server(move |_, to| held.lock().unwrap().push(to));
    let options = SourceOptions {
        connect_timeout: Duration::from_secs(1),
        ..quick()
    };
    let error = error_of(&format!("tcp://127.0.0.1:{port}"), &options);
    assert!(
        error.is_unreachable() && error.to_string().contains("within 1 s: no frame comes"),
        "{error}"
    );
}

#[test]
fn a_service_that_starts_late_is_waited_for() {
    let bytes = transport_stream();
    let port = free_port();
    let options = quick();
    let status = options.status.clone();
    let late = thread::spawn(move || {
        until("a try in vain", || status.get().condition.away().is_some());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let _ = listener.accept().unwrap().0.write_all(&bytes);
    });
    take(&mut *open(&format!("tcp://127.0.0.1:{port}"), &options), 10);
    late.join().unwrap();
}

#[test]
fn a_stop_ends_the_wait_for_a_source_that_is_away() {
    let stop = Stop::new();
    let status = Status::default();
    let options = SourceOptions {
        connect_timeout: Duration::from_secs(3600),
        status: status.clone(),
        ..quick()
    };
    let spec = format!("tcp://127.0.0.1:{}", free_port()).parse().unwrap();
    let opening = thread::spawn({
        let stop = stop.clone();
        move || {
            mattebox_media::source::open(&spec, &options, &stop)
                .err()
                .unwrap()
                .to_string()
        }
    });
    until("a try in vain", || status.get().condition.away().is_some());
    stop.stop();
    assert_eq!(opening.join().unwrap(), "stopped");
}

#[test]
fn a_source_is_tried_until_the_connect_timeout() {
    let port = free_port();
    let bytes = transport_stream();
    // A source that was there once is tried after half a second, one and two seconds. This time is
    // between two such tries.
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_secs(2));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let _ = listener.accept().unwrap().0.write_all(&bytes);
    });
    let options = SourceOptions {
        connect_timeout: Duration::from_secs(60),
        ..quick()
    };
    take(&mut *open(&format!("tcp://127.0.0.1:{port}"), &options), 10);
    late.join().unwrap();
    let begun = Instant::now();
    let options = SourceOptions {
        connect_timeout: Duration::from_secs(2),
        ..quick()
    };
    let error = error_of(&format!("tcp://127.0.0.1:{}", free_port()), &options);
    assert!(error.is_unreachable(), "{error}");
    assert!(
        begun.elapsed() >= options.connect_timeout,
        "it ended after {:?}",
        begun.elapsed()
    );
}

#[test]
fn keep_trying_has_no_time_limit_and_reports_the_reason() {
    let port = free_port();
    let status = Status::default();
    let options = SourceOptions {
        connect_timeout: Duration::from_millis(100),
        keep_trying: true,
        status: status.clone(),
        ..SourceOptions::default()
    };
    let late = thread::spawn(move || {
        // Not before a first try has failed.
        until("a try in vain", || status.get().condition.away().is_some());
        let why = status.get().condition.away().unwrap().to_owned();
        let bytes = transport_stream();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        for connection in listener.incoming().flatten() {
            if { connection }.write_all(&bytes).is_ok() {
                break;
            }
        }
        why
    });
    take(&mut *open(&format!("tcp://127.0.0.1:{port}"), &options), 10);
    assert!(late.join().unwrap().contains("refused"));
}

#[test]
fn keep_trying_waits_for_a_camera_that_is_not_plugged_in() {
    let stop = Stop::new();
    let status = Status::default();
    let options = SourceOptions {
        keep_trying: true,
        status: status.clone(),
        ..SourceOptions::default()
    };
    let opening = thread::spawn({
        let stop = stop.clone();
        move || {
            mattebox_media::source::open(&"/dev/video99".parse().unwrap(), &options, &stop)
                .err()
                .unwrap()
                .to_string()
        }
    });
    until("a try in vain", || status.get().condition.away().is_some());
    assert!(
        status
            .get()
            .condition
            .away()
            .unwrap()
            .contains("there is no /dev/video99")
    );
    stop.stop();
    assert_eq!(opening.join().unwrap(), "stopped");
}

#[test]
fn keep_trying_does_not_hide_permanent_errors() {
    let options = SourceOptions {
        keep_trying: true,
        ..quick()
    };
    let error = error_of("foo://127.0.0.1/x", &options);
    assert!(
        error.is_usage() && error.to_string().contains("protocol"),
        "{error}"
    );
    let (port, _) =
        server(move |_, stream| answer(stream, "401 Unauthorized\r\nContent-Length: 0", b""));
    assert!(error_of(&format!("http://127.0.0.1:{port}/a"), &options).is_usage());
}

#[test]
fn a_stream_whose_video_comes_late_is_found_by_a_longer_look() {
    let folder = tempfile::tempdir().unwrap();
    // Two seconds of sound alone, more than 100 kB, so that a look at the beginning finds no video.
    let both = "-f lavfi -t 4 -i anoisesrc=r=44100 -itsoffset 2 -i {sample} -map 0:a -map 1:v -c:a \
         pcm_s16le -ac 2 -c:v flv -f flv";
    let bytes = fs::read(ffmpeg(both, &folder.path().join("late.flv"))).unwrap();
    let (port, connections) = server(move |_, mut to| {
        let _ = to.write_all(&bytes);
    });
    take(&mut *open(&format!("tcp://127.0.0.1:{port}"), &quick()), 10);
    assert!(
        connections.load(Ordering::SeqCst) >= 2,
        "the first look was short"
    );
}

#[test]
fn the_time_of_a_live_picture_is_that_of_its_arrival() {
    let bytes = transport_stream();
    let (port, _) = server(move |_, mut to| {
        let _ = to.write_all(&bytes);
        thread::sleep(Duration::from_secs(1));
    });
    let before = std::time::SystemTime::now();
    let mut source = open(&format!("tcp://127.0.0.1:{port}"), &quick());
    let stop = Stop::new();
    // The time is that of the arrival, before decoding; a slow reader does not change it.
    thread::sleep(Duration::from_millis(300));
    for _ in 0..20 {
        let picture = source.next(&stop).unwrap().unwrap();
        let time =
            std::time::UNIX_EPOCH + Duration::from_micros(picture.time.0.try_into().unwrap());
        let age = time.elapsed().unwrap();
        let latency = picture.read.elapsed();
        assert!(time >= before, "it came before the source was opened");
        assert!(
            latency.abs_diff(age) < Duration::from_millis(100),
            "{latency:?} {age:?}: both clocks show the same time"
        );
    }
}

/// Answers one HTTP request.
fn answer(mut stream: TcpStream, head: &str, body: &[u8]) {
    let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
    while request
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes());
    let _ = stream.write_all(body);
}

#[test]
fn a_file_on_a_web_server_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(ffmpeg(
        "-i {sample} -c copy -movflags +faststart",
        &folder.path().join("a.mp4"),
    ))
    .unwrap();
    let (port, _) = server(move |_, stream| {
        answer(
            stream,
            &format!(
                "200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {}",
                bytes.len()
            ),
            &bytes,
        )
    });
    let mut source = open(&format!("http://127.0.0.1:{port}/a.mp4"), &quick());
    assert_eq!(
        (source.info().live, source.info().frames),
        (false, Some(75))
    );
    assert_eq!(collect(&mut *source).len(), 75);
}

/// The answer of a web camera: a head, and the beginning of an endless body of JPEG pictures.
fn web_camera() -> (&'static str, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let jpeg = fs::read(ffmpeg(
        "-i {sample} -frames:v 1",
        &folder.path().join("a.jpg"),
    ))
    .unwrap();
    let part = format!(
        "--next\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        jpeg.len()
    );
    let body = [part.as_bytes(), &jpeg, b"\r\n"].concat().repeat(40);
    (
        "200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next",
        body,
    )
}

#[test]
fn a_web_camera_is_live() {
    let (head, body) = web_camera();
    let (port, connections) = server(move |_, stream| answer(stream, head, &body));
    let mut source = open(&format!("http://127.0.0.1:{port}/stream"), &quick());
    assert!(source.info().live);
    take(&mut *source, 60);
    assert!(connections.load(Ordering::SeqCst) >= 2);
}

#[test]
fn a_stream_that_stalls_is_reconnected() {
    let (head, body) = web_camera();
    let held = Mutex::new(Vec::new());
    let (port, connections) = server(move |_, stream| {
        answer(stream.try_clone().unwrap(), head, &body);
        held.lock().unwrap().push(stream);
    });
    take(
        &mut *open(&format!("http://127.0.0.1:{port}/stream"), &quick()),
        60,
    );
    assert!(connections.load(Ordering::SeqCst) >= 2);
}

#[test]
fn a_refusal_by_a_web_server_is_final() {
    for (head, words) in [
        ("404 Not Found", "nothing under this address"),
        ("401 Unauthorized", "wants a user and a password"),
    ] {
        let (port, _) =
            server(move |_, stream| answer(stream, &format!("{head}\r\nContent-Length: 0"), b""));
        let error = error_of(&format!("http://127.0.0.1:{port}/a.mp4"), &quick());
        assert!(
            error.is_usage() && error.to_string().contains(words),
            "{error}"
        );
    }
}

#[test]
fn an_rtsp_camera_that_restarts_is_reconnected() {
    let camera = RtspCamera::start();
    let port = camera.port();
    let mut source = open(&format!("rtsp://127.0.0.1:{port}/camera"), &quick());
    assert!(source.info().live);
    take(&mut *source, 20);
    let camera = camera.kill_and_restart();
    // The frames in flight when the camera went away, and then more.
    take(&mut *source, 40);
    drop(source);
    let wrong = error_of(&format!("rtsp://127.0.0.1:{port}/nothing"), &quick());
    assert!(
        wrong.is_usage() && wrong.to_string().contains("nothing under this address"),
        "{wrong}"
    );
    drop(camera);
}

#[test]
fn a_missing_camera_is_named() {
    let begun = Instant::now();
    let error = try_open("/dev/video99", &quick()).err().unwrap();
    assert!(
        error.is_usage() && error.to_string().contains("there is no /dev/video99"),
        "{error}"
    );
    assert!(
        begun.elapsed() < quick().connect_timeout,
        "nothing is tried again"
    );
    assert!(fs::metadata(sample()).is_ok());
}

#[test]
fn an_rtsp_server_that_refuses_tcp_is_read_by_udp() {
    let camera = RtspCamera::start();
    let url = format!("rtsp://127.0.0.1:{}/datagrams", camera.port());
    for rtsp_transport in [RtspTransport::Auto, RtspTransport::Udp] {
        let options = SourceOptions {
            rtsp_transport,
            ..quick()
        };
        take(&mut *open(&url, &options), 5);
    }
    let options = SourceOptions {
        rtsp_transport: RtspTransport::Tcp,
        connect_timeout: Duration::from_secs(2),
        ..Default::default()
    };
    let error = error_of(&url, &options);
    let words = error.to_string();
    assert!(words.contains("--rtsp-transport"), "{words}");
}

/// JPEG pictures of one size, as a camera sends them.
fn jpegs() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let pattern = folder.path().join("%02d.jpg");
    ffmpeg("-i {sample} -frames:v 10 -vf scale=320:-2", &pattern);
    (1..=10)
        .map(|n| fs::read(folder.path().join(format!("{n:02}.jpg"))).unwrap())
        .collect()
}

/// A web camera: the head of its answer, then what `part` makes of each picture and its number,
/// until its reader has gone.
fn jpeg_camera(content_type: &str, part: fn(usize, &[u8]) -> Vec<u8>) -> u16 {
    let head = format!("HTTP/1.0 200 OK\r\n{content_type}\r\n");
    let jpegs = jpegs();
    let (port, _) = server(move |_, mut to| {
        let mut reader = BufReader::new(to.try_clone().unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            line.clear();
        }
        let (head, jpegs) = (head.clone(), jpegs.clone());
        thread::spawn(move || {
            let _ = to.write_all(head.as_bytes());
            for number in 0..400 {
                let picture = part(number, &jpegs[number % jpegs.len()]);
                if to.write_all(&picture).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
    });
    port
}

/// One part of a multipart answer.
fn part_of(boundary: &str, headers: &str, jpeg: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{boundary}Content-Type: image/jpeg\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(jpeg);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn boundary_after_the_first(number: usize) -> &'static str {
    if number == 0 { "" } else { "--frame\r\n" }
}

#[test]
fn a_web_camera_without_a_boundary_before_its_first_picture_is_read() {
    const MULTIPART: &str = "Content-Type: multipart/x-mixed-replace;boundary=frame\r\n";
    const SPACED: &str = "Content-Type: multipart/x-mixed-replace; boundary=frame\r\n";
    let with_length = |number, jpeg: &[u8]| {
        let length = format!("Content-Length: {}\r\n", jpeg.len());
        part_of(boundary_after_the_first(number), &length, jpeg)
    };
    let without = |number, jpeg: &[u8]| part_of(boundary_after_the_first(number), "", jpeg);
    let bare = |number, jpeg: &[u8]| match number {
        0 => [jpeg, b"\r\n"].concat(),
        _ => part_of("--frame\r\n", "", jpeg),
    };
    let sound = |_, jpeg: &[u8]| part_of("--frame\r\n", "", jpeg);
    for (what, port) in [
        ("with a length", jpeg_camera(MULTIPART, with_length)),
        ("without", jpeg_camera(MULTIPART, without)),
        ("with a space", jpeg_camera(SPACED, with_length)),
        ("without headers", jpeg_camera(MULTIPART, bare)),
        ("as it should be", jpeg_camera(MULTIPART, sound)),
    ] {
        let url = format!("http://127.0.0.1:{port}/");
        let mut source = try_open(&url, &quick()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(source.info().live, "{what}");
        take(&mut *source, 8);
        let picture = source.next(&Stop::new()).unwrap().unwrap().picture;
        assert_eq!(picture.dimensions(), (320, 180), "{what}");
        let mut passed = source::open_jpegs(&url.parse().unwrap(), &quick(), &Stop::new()).unwrap();
        for _ in 0..3 {
            let jpeg = passed.next(&Stop::new()).unwrap().unwrap().picture;
            assert_eq!((jpeg.width, jpeg.height), (320, 180), "{what}");
        }
    }
}

#[test]
fn a_page_of_a_web_server_is_no_camera() {
    let (port, _) = server(move |_, stream| {
        answer(
            stream,
            "200 OK\r\nContent-Type: text/html\r\nContent-Length: 18",
            b"<html>login</html>",
        );
    });
    let error = error_of(&format!("http://127.0.0.1:{port}/"), &quick());
    let words = error.to_string();
    assert!(
        error.is_usage() && words.contains("not a video, or damaged"),
        "{words}"
    );
    assert!(words.contains("--input-format mjpeg"), "{words}");
}

#[test]
fn the_format_of_a_source_can_be_set() {
    // Nothing in the answer says what it is.
    let port = jpeg_camera("", |_, jpeg| [b"noise".as_slice(), jpeg].concat());
    let options = SourceOptions {
        input_format: Some("mjpeg".parse().unwrap()),
        ..quick()
    };
    take(
        &mut *open(&format!("http://127.0.0.1:{port}/"), &options),
        5,
    );
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("clip.xyz");
    ffmpeg("-i {sample} -c copy -bsf:v h264_mp4toannexb -f h264", &raw);
    let options = SourceOptions {
        input_format: Some("h264".parse().unwrap()),
        ..Default::default()
    };
    let raw = raw.display().to_string();
    assert_eq!(collect(&mut *open(&raw, &options)).len(), 75);
    let options = SourceOptions {
        input_format: Some("nonsense".parse().unwrap()),
        ..Default::default()
    };
    let error = error_of(&raw, &options);
    assert!(
        error.is_usage() && error.to_string().contains("--input-format"),
        "{error}"
    );
}

#[test]
fn options_of_ffmpeg_reach_the_source_and_secrets_in_them_stay_secret() {
    let (requests, heard) = std::sync::mpsc::channel();
    let (port, _) = server(move |_, mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut request = String::new();
        while reader.read_line(&mut request).is_ok_and(|read| read > 2) {}
        let _ = requests.send(request);
        let _ = stream.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n");
    });
    let with = |options: &[&str]| SourceOptions {
        input_options: options.iter().map(|o| o.parse().unwrap()).collect(),
        ..quick()
    };
    let url = format!("http://127.0.0.1:{port}/a");
    let options = with(&["headers=X-Key: hunter2", "user_agent=camera reader"]);
    error_of(&url, &options);
    let request = heard.recv().unwrap();
    assert!(request.contains("X-Key: hunter2"), "{request}");
    assert!(request.contains("User-Agent: camera reader"), "{request}");
    for (source, option) in [
        (sample(), "no_such_option=5"),
        (sample(), "headers=X-Key: hunter2"),
        (sample(), "probesize=hunter2"),
        (sample(), "passphrase=hunter2"),
        (url.clone(), "multiple_requests=hunter2"),
        (url, "cookies=a=hunter2"),
    ] {
        let options = with(&[option]);
        let error = error_of(&source, &options);
        let words = error.to_string();
        assert!(error.is_usage(), "{option}: {words}");
        let name = option.split('=').next().unwrap();
        let is_secret = matches!(name, "headers" | "passphrase" | "cookies");
        assert!(!is_secret || !words.contains("hunter2"), "{words}");
        if name != "cookies" {
            assert!(words.contains("--input-option"), "{option}: {words}");
        }
        assert!(!is_secret || !format!("{options:?}").contains("hunter2"));
    }
}

#[test]
fn hardware_that_does_not_decode_is_no_reason_to_stop() {
    for name in ["auto", "cuda", "vaapi", "qsv", "vdpau", "none"] {
        let options = SourceOptions {
            hwaccel: name.parse().unwrap(),
            ..quick()
        };
        let mut source = open(&sample(), &options);
        assert_eq!(collect(&mut *source).len(), 75, "{name}");
    }
    let bytes = transport_stream();
    let (port, _) = server(move |_, mut to| {
        let _ = to.write_all(&bytes);
    });
    let options = SourceOptions {
        hwaccel: "cuda".parse().unwrap(),
        ..quick()
    };
    take(&mut *open(&format!("tcp://127.0.0.1:{port}"), &options), 10);
    let options = SourceOptions {
        hwaccel: "nonsense".parse().unwrap(),
        ..quick()
    };
    let error = error_of(&sample(), &options);
    assert!(
        error.is_usage() && error.to_string().contains("--hwaccel"),
        "{error}"
    );
}

#[test]
fn a_picture_that_is_cut_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut pictures = jpegs();
    for number in [2, 7] {
        let length = pictures[number].len();
        pictures[number].truncate(length * 2 / 3);
    }
    for (number, picture) in pictures.iter().enumerate() {
        fs::write(folder.path().join(format!("{number:02}.jpg")), picture).unwrap();
    }
    let avi = folder.path().join("cut.avi");
    let pattern = folder.path().join("%02d.jpg");
    let arguments = format!("-f image2 -framerate 25 -i {} -c copy", pattern.display());
    ffmpeg(&arguments, &avi);
    let port = jpeg_camera(
        "Content-Type: multipart/x-mixed-replace;boundary=frame\r\n",
        |number, jpeg| {
            let end = if number % 5 == 2 {
                jpeg.len() * 2 / 3
            } else {
                jpeg.len()
            };
            part_of(
                "--frame\r\n",
                &format!("Content-Length: {end}\r\n"),
                &jpeg[..end],
            )
        },
    );
    for (url, options) in [
        (avi.display().to_string(), SourceOptions::default()),
        (format!("http://127.0.0.1:{port}/"), quick()),
    ] {
        let stop = Stop::new();
        let mut source = source::open_jpegs(&url.parse().unwrap(), &options, &stop).unwrap();
        let odd: Vec<bool> = (0..10)
            .map(|_| {
                source
                    .next(&stop)
                    .unwrap()
                    .unwrap()
                    .picture
                    .oddity
                    .is_some()
            })
            .collect();
        let wanted = [2, 7].map(|at| odd[at]);
        assert_eq!(wanted, [true, true], "{url}: {odd:?}");
        assert_eq!(odd.iter().filter(|odd| **odd).count(), 2, "{url}: {odd:?}");
        // Decoded too, the others come.
        take(&mut *open(&url, &options), 8);
    }
}
