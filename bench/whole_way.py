#!/usr/bin/env python3
"""The cost of a frame on its whole way, from an H.264 file to PNG files and to an MP4 file: CPU
time of all processes.

    bench/whole_way.py                          640x360, 1280x720; clean, and with sensor noise
    bench/whole_way.py --sizes 1920x1080,3840x2160
    bench/whole_way.py --before OTHER/mattebox  and another build of ours, in turn with this one

Beside ours run, in turn, in the same rounds: FFmpeg that only decodes (one thread), and, where
MediaPipe and OpenCV are installed (scripts/bench-peers), the loop that most people write:
cv2.VideoCapture, MediaPipe's ImageSegmenter, a gray background, cv2.imwrite. The best of the rounds
counts. Needs FFmpeg and the binary."""

import argparse
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FRAMES = 150


def clip(folder, size, noisy):
    """The sample twice, in another size: 150 frames of H.264."""
    path = folder / f"{size}{'-noisy' if noisy else ''}.mp4"
    noise = ",noise=alls=8:allf=t" if noisy else ""
    scale = f"scale={size.replace('x', ':')}:flags=bicubic{noise}"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-stream_loop",
        "1",
        "-i",
        ROOT / "samples/person.mp4",
    ]
    command += [
        "-vf",
        scale,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        "23",
        "-pix_fmt",
        "yuv420p",
        "-y",
        path,
    ]
    subprocess.run(command, check=True)
    return path


def cost(command):
    """CPU and wall milliseconds per frame, with all children."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begun
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1e3 / FRAMES, wall * 1e3 / FRAMES


def loop(video, out):
    """The peer, a separate process: `whole_way.py --loop VIDEO OUT`."""
    import cv2

    import hard_vs_mediapipe

    segmenter = hard_vs_mediapipe.segmenter()
    capture, number = cv2.VideoCapture(video), 0
    while True:
        good, picture = capture.read()
        if not good:
            break
        person = hard_vs_mediapipe.mask(segmenter, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        picture[~person.reshape(picture.shape[:2])] = 192
        cv2.imwrite(f"{out}/frame_{number:06d}.png", picture)
        number += 1


def has_peer():
    try:
        import cv2  # noqa: F401
        import mediapipe  # noqa: F401
    except ImportError:
        return False
    return True


def commands(args, video, folder):
    """The measured programs: a name, the command, and its output."""
    decode = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-threads",
        "1",
        "-i",
        str(video),
        "-f",
        "null",
        "-",
    ]
    yield "FFmpeg decodes", decode, None
    if has_peer():
        out = folder / "peer"
        yield (
            "OpenCV + MediaPipe → PNG",
            [sys.executable, __file__, "--loop", str(video), str(out)],
            out,
        )
    binaries = [("ours", args.binary)]
    if args.before:
        binaries.append(("before", args.before))
    for matte in ["hard", "soft"]:
        for kind, name in [("PNG", "png"), ("MP4", "out.mp4")]:
            for whose, binary in binaries:
                out = folder / f"{whose}-{name}"
                command = [
                    str(binary),
                    "run",
                    str(video),
                    "--matte",
                    matte,
                    "--out",
                    str(out),
                    "--progress",
                    "none",
                ]
                yield f"{whose}, {matte} → {kind}", command, out


def clear(out):
    if out is None:
        return
    if out.is_dir():
        shutil.rmtree(out)
    out.unlink(missing_ok=True)
    if out.name == "peer":
        out.mkdir()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="640x360,1280x720")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binary", default=ROOT / "target/release/mattebox")
    parser.add_argument("--before")
    parser.add_argument("--loop", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.loop:
        sys.path.insert(0, str(ROOT / "bench"))
        return loop(*args.loop)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for size in args.sizes.split(","):
            for noisy in [False, True]:
                video = clip(folder, size, noisy)
                best = {}
                for _ in range(args.rounds):
                    for name, command, out in commands(args, video, folder):
                        clear(out)
                        best[name] = min(best.get(name, (1e9, 0)), cost(command))
                print(
                    f"\n{size}, {'noisy' if noisy else 'clean'} (load {os.getloadavg()[0]:.1f})\n"
                )
                print("| | CPU ms per frame | wall | loop / this |\n|---|---:|---:|---:|")
                peer = best.get("OpenCV + MediaPipe → PNG")
                for name, (cpu, wall) in best.items():
                    ratio = f"{peer[0] / cpu:.2f}" if peer else "–"
                    print(f"| {name} | {cpu:.2f} | {wall:.2f} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
