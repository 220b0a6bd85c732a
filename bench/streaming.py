#!/usr/bin/env python3
"""How late and how large a live picture is, by a clock in the picture: the live page (MJPEG) beside
WebRTC, MSE and HLS through go2rtc.

The sample clip is painted with a clock on the person's chest, which the matte keeps: 24 black or
white blocks say the milliseconds at which the frame was handed to mattebox, as a camera of this
machine hands them over. Chromium shows the result and reads the clock back from the pixels that it
shows. One mattebox, one go2rtc; the viewers come in turn, in several rounds.

    scripts/streaming                      # fetches go2rtc and hls.js
    scripts/test-browser --collect-only    # makes a Python with Playwright
    .cache/browser-*/bin/python bench/streaming.py --size 1280x720 --rounds 4 --seconds 20
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from typing import Any

import playwright.sync_api

ROOT = pathlib.Path(__file__).resolve().parents[1]
CLIP = ROOT / "samples/person.mp4"
# The clock's place in the clip, which is 640x360: the person's chest in every frame.
CLIP_SIZE = (640, 360)
CLOCK = (296, 264, 96, 64)
COLUMNS, ROWS = 6, 4
VIEWERS = ("page", "webrtc", "mse", "hls")
RANGE_MS = 1 << 16
# The two bytes of the time and this make the third byte of the clock.
CHECK = 0xA5

WATCH = """
([find, clock, size, columns, rows, seconds, range_ms, check]) => new Promise((done) => {
  const canvas = document.createElement('canvas');
  const [width, height] = [columns * 8, rows * 8];
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const late = [];
  let unread = 0, last = -1, begun = 0;
  const look = (shown) => {
    const now = Date.now();
    const across = (shown.videoWidth || shown.width) / size[0];
    const down = (shown.videoHeight || shown.height) / size[1];
    if (!across) return;
    const part = [clock[0] * across, clock[1] * down, clock[2] * across, clock[3] * down];
    context.drawImage(shown, ...part, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height).data;
    let bits = 0;
    for (let cell = 0; cell < columns * rows; cell++) {
      const x = (cell % columns) * 8 + 4, y = Math.floor(cell / columns) * 8 + 4;
      bits = bits * 2 + (pixels[(y * width + x) * 4 + 1] > 127 ? 1 : 0);
    }
    const stamp = bits >> 8;
    if ((bits & 255) !== ((stamp >> 8) ^ (stamp & 255) ^ check)) {
      unread += begun ? 1 : 0;
      return;
    }
    if (!begun) begun = now;
    if (stamp !== last) late.push([now - begun, ((now - stamp) % range_ms + range_ms) % range_ms]);
    last = stamp;
  };
  const ended = () => begun && Date.now() - begun > seconds * 1000;
  const step = () => {
    if (ended()) { done({ late, unread }); return; }
    const shown = document.querySelector(find);
    if (shown && shown.requestVideoFrameCallback) {
      shown.requestVideoFrameCallback(() => { look(shown); step(); });
    } else { if (shown) look(shown); requestAnimationFrame(step); }
  };
  step();
})
"""


class Source:
    """The sample clip with a clock, as bare pictures for mattebox's standard input."""

    def __init__(self, width: int, height: int, fps: int, noise: int) -> None:
        self.width, self.height, self.fps = width, height, fps
        words = f"scale={width}:{height}:flags=bicubic" + (
            f",noise=c0s={noise}:c0f=t" if noise else ""
        )
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            str(CLIP),
            "-an",
            "-vf",
            words,
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-",
        ]
        data = subprocess.run(command, capture_output=True, check=True).stdout
        size = width * height * 3 // 2
        self.frames = [bytearray(data[at : at + size]) for at in range(0, len(data), size)]
        self.sent = 0
        self.ends = threading.Event()

    def paint(self, frame: bytearray, stamp: int) -> None:
        bits = stamp << 8 | ((stamp >> 8) ^ (stamp & 255) ^ CHECK)
        left, top, wide, high = (n * self.width // CLIP_SIZE[0] for n in CLOCK)
        for row in range(ROWS):
            line = b""
            for column in range(COLUMNS):
                bit = bits >> (COLUMNS * ROWS - 1 - row * COLUMNS - column) & 1
                line += (b"\xeb" if bit else b"\x10") * (
                    (column + 1) * wide // COLUMNS - column * wide // COLUMNS
                )
            for y in range(top + row * high // ROWS, top + (row + 1) * high // ROWS):
                frame[y * self.width + left : y * self.width + left + wide] = line
        # No colour.
        for plane in range(2):
            start = self.width * self.height * (4 + plane) // 4
            for y in range(top // 2, (top + high) // 2):
                at = start + y * (self.width // 2) + left // 2
                frame[at : at + wide // 2] = b"\x80" * (wide // 2)

    def feed(self, pipe: Any) -> None:
        pipe.write(
            f"YUV4MPEG2 W{self.width} H{self.height} F{self.fps}:1 Ip A1:1 C420jpeg\n".encode()
        )
        begun = time.monotonic()
        try:
            while not self.ends.is_set():
                tick = round((time.monotonic() - begun) * self.fps) + 1
                time.sleep(max(0.0, begun + tick / self.fps - time.monotonic()))
                frame = self.frames[tick % len(self.frames)]
                self.paint(frame, int(time.time() * 1000) % RANGE_MS)
                pipe.write(b"FRAME\n")
                pipe.write(frame)
                pipe.flush()
                self.sent += 1
        except BrokenPipeError:
            pass


class Bench:
    """go2rtc, mattebox that sends to it and serves its page, and the clock's source."""

    def __init__(self, args: argparse.Namespace, folder: pathlib.Path) -> None:
        width, height = map(int, args.size.split("x"))
        self.source = Source(width, height, args.fps, args.noise)
        self.go2rtc = f"http://127.0.0.1:{args.port}"
        own = {
            "api": {"listen": f"127.0.0.1:{args.port}"},
            "rtsp": {"listen": f"127.0.0.1:{args.port + 1}"},
            "webrtc": {
                "listen": f"127.0.0.1:{args.port + 2}",
                "candidates": [f"127.0.0.1:{args.port + 2}"],
            },
        }
        command = [args.go2rtc, "-config", ROOT / "deploy/go2rtc.yml", "-config", json.dumps(own)]
        self.log = (folder / "go2rtc.log").open("w")
        self.server = subprocess.Popen(
            [str(word) for word in command], cwd=folder, stdout=self.log, stderr=self.log
        )
        self.wait_for(f"{self.go2rtc}/api/streams")
        where = ["--out", f"rtsp://127.0.0.1:{args.port + 1}/door", "--view=127.0.0.1:0"]
        command = [
            args.binary,
            "run",
            "door=-",
            "--input-format",
            "yuv4mpegpipe",
            "--live",
            *where,
            "--progress",
            "none",
            *args.option,
        ]
        self.mattebox = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=False,
        )
        self.feeder = threading.Thread(target=self.source.feed, args=[self.mattebox.stdin])
        self.feeder.start()
        assert self.mattebox.stderr
        for line in self.mattebox.stderr:
            if found := re.search(rb"live page at (http://[\d.:]+)/", line):
                self.page = found[1].decode()
                break
        else:
            raise SystemExit("mattebox did not start")
        threading.Thread(target=self.mattebox.stderr.read, daemon=True).start()
        while not self.stream().get("producers"):
            time.sleep(0.1)

    @staticmethod
    def wait_for(url: str) -> None:
        for _ in range(100):
            try:
                urllib.request.urlopen(url).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{url} does not answer")

    @staticmethod
    def ask(url: str) -> Any:
        with urllib.request.urlopen(url) as answer:
            return json.load(answer)

    def stream(self) -> Any:
        return self.ask(f"{self.go2rtc}/api/streams?src=door")

    def frames(self) -> Any:
        return self.ask(f"{self.page}/api/cameras")["cameras"][0]["frames"]

    def end(self) -> None:
        self.source.ends.set()
        self.feeder.join()
        assert self.mattebox.stdin
        self.mattebox.stdin.close()
        self.mattebox.terminate()
        self.mattebox.wait(30)
        self.server.terminate()
        self.server.wait(30)
        self.log.close()


def open_viewer(page: playwright.sync_api.Page, kind: str, bench: Bench, hls: str) -> str:
    """Opens a viewer; returns the selector of its picture."""
    if kind == "page":
        page.goto(bench.page)
        page.locator('#grid li[data-camera="door"]').get_by_role("link").click()
        return '[data-testid="large-picture"]'
    if kind == "hls":
        page.goto(f"{bench.go2rtc}/api/streams?src=door")
        page.evaluate(hls)
        page.evaluate("""() => {
          document.body.innerHTML = '<video autoplay muted></video>';
          window.player = new Hls();
          player.loadSource('/api/stream.m3u8?src=door&mp4');
          player.attachMedia(document.querySelector('video'));
        }""")
    else:
        page.goto(f"{bench.go2rtc}/stream.html?src=door&mode={kind}")
    return "video"


def mjpeg(bench: Bench, seconds: float) -> tuple[float, float]:
    """Bytes and pictures in a second of the MJPEG stream."""
    with urllib.request.urlopen(f"{bench.page}/api/cameras/door/stream.mjpg") as stream:
        stream.read(1 << 16)
        begun, size, count = time.monotonic(), 0, 0
        while time.monotonic() - begun < seconds:
            part = stream.read1(1 << 20)
            size += len(part)
            # Each picture begins with these; a pair that is cut in two is one missed picture in
            # thousands.
            count += part.count(b"\xff\xd8\xff")
        elapsed = time.monotonic() - begun
        return size / elapsed, count / elapsed


def h264(bench: Bench, seconds: float) -> tuple[float, float]:
    """Bytes and pictures in a second that go2rtc gets, and sends to each viewer."""

    def both() -> tuple[float, int, int]:
        return (
            time.monotonic(),
            bench.stream()["producers"][0]["receivers"][0]["bytes"],
            bench.frames()["written"],
        )

    before = both()
    time.sleep(seconds)
    after = both()
    return (after[1] - before[1]) / (after[0] - before[0]), (after[2] - before[2]) / (
        after[0] - before[0]
    )


def of(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/mattebox")
    parser.add_argument("--go2rtc", type=pathlib.Path, default=ROOT / ".cache/streaming/go2rtc")
    parser.add_argument("--hls-js", type=pathlib.Path, default=ROOT / ".cache/streaming/hls.js")
    parser.add_argument(
        "--chromium", default=shutil.which("chromium") or shutil.which("google-chrome")
    )
    parser.add_argument(
        "--size", default="1280x720", help="of the source; 16 to 9 (default: %(default)s)"
    )
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument(
        "--noise",
        type=int,
        default=0,
        help="strength of FFmpeg's noise filter on the source's luma",
    )
    parser.add_argument(
        "--viewers", default=",".join(VIEWERS), help="of these, with commas (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20, help="of each viewer in each round")
    parser.add_argument(
        "--warmup",
        type=float,
        default=5,
        help="seconds of each viewer that do not count (default: %(default)s)",
    )
    parser.add_argument(
        "--bandwidth",
        type=float,
        default=10,
        help="seconds of measuring bytes in each round; 0: none",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=21984,
        help="go2rtc's first of three ports (default: %(default)s)",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        help="one more argument of mattebox, as --option=--crf=20",
    )
    args = parser.parse_args()
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    kinds = args.viewers.split(",")
    late: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    first: dict[str, list[float]] = {kind: [] for kind in kinds}
    unread = dict.fromkeys(kinds, 0)
    sizes: dict[str, list[tuple[float, float]]] = {"MJPEG": [], "H.264": []}
    loads = []
    with tempfile.TemporaryDirectory() as folder, playwright.sync_api.sync_playwright() as browsers:
        bench = Bench(args, pathlib.Path(folder))
        try:
            browser = browsers.chromium.launch(
                executable_path=args.chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            begun, before, sent = time.monotonic(), bench.frames(), bench.source.sent
            for _ in range(args.rounds):
                for kind in kinds:
                    loads.append(os.getloadavg()[0])
                    page = browser.new_page()
                    page.set_default_timeout((args.seconds + args.warmup) * 1000 + 60_000)
                    opened = time.time()
                    find = open_viewer(page, kind, bench, args.hls_js.read_text())
                    found = page.evaluate(
                        WATCH,
                        [
                            find,
                            CLOCK,
                            CLIP_SIZE,
                            COLUMNS,
                            ROWS,
                            args.warmup + args.seconds,
                            RANGE_MS,
                            CHECK,
                        ],
                    )
                    first[kind].append(time.time() - opened - args.warmup - args.seconds)
                    late[kind].append([ms for at, ms in found["late"] if at >= args.warmup * 1000])
                    unread[kind] += found["unread"]
                    page.close()
                if args.bandwidth:
                    sizes["MJPEG"].append(mjpeg(bench, args.bandwidth))
                    sizes["H.264"].append(h264(bench, args.bandwidth))
            elapsed, after = time.monotonic() - begun, bench.frames()
            given, made = (
                (bench.source.sent - sent) / elapsed,
                (after["written"] - before["written"]) / elapsed,
            )
            print(
                f"{args.size}, {os.cpu_count()} CPUs, load {min(loads):.1f} to {max(loads):.1f}; "
                f"{given:.1f} frames/s came, mattebox sent {made:.1f}\n"
            )
        finally:
            bench.end()
    print(
        "| viewer | p50, ms | p95, ms | p50 of each round | pictures/s | until the first picture, "
        "s | unreadable |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    for kind in kinds:
        every = [ms for part in late[kind] for ms in part]
        rounds = " ".join(f"{of(part, 0.5):.0f}" for part in late[kind])
        rate = len(every) / (args.seconds * args.rounds)
        print(
            f"| {kind} | {of(every, 0.5):.0f} | {of(every, 0.95):.0f} | {rounds} | {rate:.1f} | "
            f"{of(first[kind], 0.5):.1f} | {unread[kind]} |"
        )
    if args.bandwidth:
        print(
            "\n| stream | Mbit/s | pictures/s | kB a picture | Mbit/s at 25 a second "
            "|\n|---|---:|---:|---:|---:|"
        )
        for name, rows in sizes.items():
            size, rate = (sum(row[n] for row in rows) / len(rows) for n in (0, 1))
            print(
                f"| {name} | {size * 8e-6:.2f} | {rate:.1f} | {size / rate / 1e3:.1f} | "
                f"{size / rate * 25 * 8e-6:.2f} |"
            )


if __name__ == "__main__":
    main()
