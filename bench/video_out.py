#!/usr/bin/env python3
"""The cost and quality of a video of our pictures: x264's presets and qualities, on the same
composed pictures.

    bench/video_out.py             files: 640x360, 1280x720, 1920x1080; clean, and with sensor noise
    bench/video_out.py --live      streams
    bench/video_out.py --sizes 1280x720 --background blur
    bench/video_out.py --rows veryfast:18,ultrafast:20,ultrafast:21

The sample is composed once (`--out - --format y4m`), with the colours that a video gets. Each row
encodes those pictures with the options that a file or a stream has
(crates/media/src/sink/encoder/software.rs). CPU is FFmpeg's own, the best of the rounds. PSNR is of
the luma, SSIM of all planes (in dB: 10 is 0.9, 20 is 0.99), both against the composed pictures.
Percentages are against the first row. Needs FFmpeg and the binary."""

import argparse
import math
import os
import pathlib
import re
import resource
import subprocess
import tempfile

import whole_way

ROOT = whole_way.ROOT
FRAMES = whole_way.FRAMES
FPS = 30000 / 1001
FILES = "veryfast:18,superfast:22,superfast:23,superfast:24"
STREAMS = "veryfast:23,superfast:23,superfast:24,superfast:25"


def composed(args, folder, size, noisy):
    """The pictures that the encoder of a video gets."""
    clip = whole_way.clip(folder, size, noisy)
    path = folder / "composed.y4m"
    command = [
        str(args.binary),
        "run",
        str(clip),
        "--background",
        args.background,
        "--out",
        "-",
        "--format",
        "y4m",
        "--progress",
        "none",
    ]
    with open(path, "wb") as out:
        subprocess.run(command, check=True, stdout=out, stderr=subprocess.DEVNULL)
    return path


def delay(live):
    """The options that say how many pictures the encoder holds back."""
    if live:
        return ["-tune", "zerolatency"]
    threads = min((os.cpu_count() or 1) * 3 // 2, 6)
    return [
        "-bf",
        "2",
        "-x264-params",
        f"threads={threads}:sync-lookahead=0:rc-lookahead={min(10, math.floor(FPS / 2))}",
    ]


def encode(pictures, row, live, out):
    """CPU milliseconds per frame."""
    preset, crf = row.split(":")
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-y",
        "-i",
        pictures,
        "-c:v",
        "libx264",
        "-preset",
        preset,
        "-crf",
        crf,
    ]
    command += [
        "-g",
        str(math.ceil(FPS * 2)),
        *delay(live),
        "-pix_fmt",
        "yuv420p",
        "-f",
        "mpegts" if live else "mp4",
        out,
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3 / FRAMES


def quality(video, pictures):
    """PSNR of the luma, and SSIM of all planes, in dB."""
    command = [
        "ffmpeg",
        "-v",
        "info",
        "-nostats",
        "-nostdin",
        "-i",
        video,
        "-i",
        pictures,
        "-lavfi",
    ]
    command += ["[0:v]split[a][b];[1:v]split[c][d];[a][c]psnr;[b][d]ssim", "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return float(re.search(r"PSNR y:([\d.]+)", said)[1]), float(
        re.search(r"SSIM .*All:[\d.]+ \(([\d.]+)\)", said)[1]
    )


def measured(args, pictures, out):
    """Each row with its CPU, kB per frame, PSNR and SSIM."""
    results = {}
    for _ in range(args.rounds):
        for row in args.rows.split(","):
            cpu = encode(pictures, row, args.live, out)
            if row in results:
                results[row][0] = min(cpu, results[row][0])
            else:
                results[row] = [cpu, out.stat().st_size / 1000 / FRAMES, *quality(out, pictures)]
    return results


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="640x360,1280x720,1920x1080")
    parser.add_argument("--rows", help=f"PRESET:CRF,... [default: {FILES}]")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--background", default="gray")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binary", default=ROOT / "target/release/mattebox")
    args = parser.parse_args()
    args.rows = args.rows or (STREAMS if args.live else FILES)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for size in args.sizes.split(","):
            for noisy in [False, True]:
                results = measured(args, composed(args, folder, size, noisy), folder / "out")
                first = next(iter(results.values()))
                print(
                    f"\n{size}, {'noisy' if noisy else 'clean'}, {args.background} (load "
                    f"{os.getloadavg()[0]:.1f})\n"
                )
                print(
                    "| preset:crf | CPU ms per frame | kB per frame | PSNR dB | SSIM dB "
                    "|\n|---|---:|---:|---:|---:|"
                )
                for row, (cpu, kb, psnr, ssim) in results.items():
                    change = [f"{value / old - 1:+.0%}" for value, old in zip((cpu, kb), first)]
                    print(
                        f"| {row} | {cpu:.2f} ({change[0]}) | {kb:.2f} ({change[1]}) | {psnr:.2f} "
                        f"| {ssim:.2f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
