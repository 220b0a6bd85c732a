#!/usr/bin/env python3
"""One table of every test scene: how good the mattes of several programs are.

    scripts/bench-peers                                   # once: MediaPipe, into .cache/bench-venv
    .cache/bench-venv/bin/python bench/quality.py MATERIAL [--before OLD_BINARY] [--docs]

MATERIAL is what bench/material.py wrote. Compared are `--matte hard`, `soft` and, where the binary
has it, `fine`; `soft` of --before; MediaPipe's soft mask and that mask with an exponential average
over time. Every figure comes from `mattebox eval --static` of the present binary. What was measured
before stays in MATERIAL/quality.json and is measured again when the scene or the program changes.
--docs writes docs/benchmarks/quality.md.
"""

import argparse
import fnmatch
import functools
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
FPS = 25
EMA_RATE = 0.5
FIGURES = {
    "iou": "IoU",
    "mad": "MAD",
    "mse": "MSE",
    "grad": "Grad",
    "dtssd": "dtSSD",
    "static": "Static",
}
WHOLE, IN_VIEW = 0.7, 0.5


# The compared programs


class Mattebox:
    """One of our mattes, by `mattebox run`."""

    def __init__(self, name, binary, *flags):
        self.name, self.binary, self.flags = name, binary, flags
        self.version = hashlib.sha256(binary.read_bytes()).hexdigest()[:16]

    def mattes(self, scene, folder):
        """Writes the mattes of a scene; returns where they lie and the CPU milliseconds a frame."""
        source = scene["path"]
        if scene["kind"] == "stills":
            source = folder / "stills"
            source.mkdir()
            decode = ["ffmpeg", "-v", "error", "-i", scene["path"], source / "%06d.png"]
            subprocess.run(decode, check=True)
        command = [
            self.binary,
            "run",
            source,
            "--camera-id",
            "scene",
            "--out",
            "none",
            "--threads",
            "1",
            "--alpha-out",
            folder / "alpha",
            *self.flags,
        ]
        with open(folder / "log", "w+") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            # Without FFmpeg, which reads the video in another process.
            fields = (
                pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            )
            ticks = int(fields[11]) + int(fields[12])
            if process.wait():
                log.seek(0)
                raise SystemExit(f"{scene['name']}, {self.name}: {log.read()}")
        seconds = ticks / os.sysconf("SC_CLK_TCK")
        return folder / "alpha/scene", 1e3 * seconds / scene["frames"]


@functools.lru_cache(maxsize=1)
def confidences(path, size):
    """ImageSegmenter's confidence of every frame, which it samples up bilinearly; CPU seconds."""
    import mediapipe

    import hard_vs_mediapipe

    segmenter = hard_vs_mediapipe.segmenter(confidence=True)
    masks, spent = [], 0.0
    for picture in hard_vs_mediapipe.frames(path, *size):
        start = time.process_time()
        image = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)
        )
        masks.append(segmenter.segment(image).confidence_masks[0].numpy_view().copy())
        spent += time.process_time() - start
    return masks, spent


class MediaPipe:
    """ImageSegmenter's soft mask; averaged over time if asked."""

    def __init__(self, name, rate=1.0):
        import mediapipe

        self.name, self.rate, self.version = name, rate, mediapipe.__version__

    def mattes(self, scene, folder):
        size = scene["width"], scene["height"]
        masks, spent = confidences(scene["path"], size)
        kept, mattes = masks[0], []
        for mask in masks:
            kept = kept + self.rate * (mask - kept)
            mattes.append((255 * kept + 0.5).astype(np.uint8))
        path = folder / "alpha.mkv"
        encode = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray"]
        encode += ["-s", "{}x{}".format(*size), "-i", "-", "-c:v", "ffv1", path]
        subprocess.run(encode, input=b"".join(matte.tobytes() for matte in mattes), check=True)
        return path, 1e3 * spent / len(mattes)


def programs(binary, before):
    known = subprocess.run([binary, "run", "--help"], capture_output=True, text=True).stdout
    matte = known[known.index("--matte <") :][:400]
    made = [Mattebox(kind, binary, "--matte", kind) for kind in ("hard", "soft")]
    listed = subprocess.run([binary, "model", "list"], capture_output=True, text=True).stdout
    if "fine" in matte and "not here" in listed:
        print("quality: MODNet is not here (mattebox model get fine): left out", file=sys.stderr)
    elif "fine" in matte:
        made.append(Mattebox("fine", binary, "--matte", "fine"))
    if "--people" in known:
        made.append(Mattebox("soft, nearest", binary, "--matte", "soft", "--people", "nearest"))
    if before:
        made.append(Mattebox("soft before", before, "--matte", "soft"))
    try:
        made += [MediaPipe("MediaPipe soft"), MediaPipe("MediaPipe + EMA", EMA_RATE)]
    except ImportError:
        print(
            "quality: there is no mediapipe here (scripts/bench-peers): left out", file=sys.stderr
        )
    return made


# Measuring


def alphas(path, scene):
    """The mattes of a video or a folder as `[frames][height][width]`."""
    size = ["-s", f"{scene['width']}x{scene['height']}"]
    source = ["-i", path]
    if path.is_dir():
        source = ["-pattern_type", "glob", "-i", path / "*.png"]
    command = ["ffmpeg", "-v", "error", *source, "-vf", "format=gray", *size, "-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, scene["height"], scene["width"])


def seconds_until_whole(predicted, truth):
    """After the room was empty: from half of the person in view until 70 % of them is covered."""
    area = truth.sum(axis=(1, 2), dtype=float)
    empty = np.flatnonzero(area == 0)
    back = empty[-1] + 1 + np.argmax(area[empty[-1] + 1 :] >= IN_VIEW * area.max())
    found = np.minimum(predicted, truth).sum(axis=(1, 2), dtype=float)
    covered = np.flatnonzero(found[back:] >= WHOLE * area[back:])
    return None if not len(covered) else covered[0] / FPS


def measure(program, scene, binary):
    truth = scene["path"].with_name(f"{scene['name']}_alpha.mkv")
    if "nearest" in program.name:
        truth = scene["path"].with_name(f"{scene['name']}_nearest_alpha.mkv")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        predicted, cpu = program.mattes(scene, folder)
        rows = folder / "rows.json"
        command = [binary, "eval", predicted, truth, "--static", "--json", "--per-frame", rows]
        evaluated = subprocess.run(command, check=True, capture_output=True).stdout
        found = {name: json.loads(evaluated)["mean"][name] for name in FIGURES}
        found["cpu"] = cpu
        if scene["kind"] == "empty":
            # Where the true alpha is 0, MAD is the mean of the matte.
            mean = np.array([row["mad"] for row in json.loads(rows.read_text())])
            found["mean"], found["jump"] = mean.mean(), np.abs(np.diff(mean)).max()
        if scene["kind"] == "returns":
            found["whole"] = seconds_until_whole(alphas(predicted, scene), alphas(truth, scene))
    return found


# The table


def shown(value, digits):
    return "–" if value is None else f"{value:.{digits}f}"


def row(title, found):
    digits = {"iou": 3, "mad": 1, "mse": 1}
    cells = [shown(found.get(name), digits.get(name, 2)) for name in FIGURES]
    extra = [("mean", 2), ("jump", 2), ("whole", 2), ("cpu", 1)]
    cells += [shown(found[name], n) if name in found else "" for name, n in extra]
    return f"| {' | '.join([*title, *cells])} |"


def averaged(many):
    """The mean of each figure. A person who was never whole counts as 2 seconds."""
    made = {}
    for name in {name for found in many for name in found}:
        values = [found[name] for found in many if name in found]
        if name == "whole":
            values = [2.0 if value is None else value for value in values]
        values = [value for value in values if value is not None]
        made[name] = sum(values) / len(values) if values else None
    return made


def table(first, rows):
    extra = ["mean alpha", "jump", "whole, s", "CPU ms"]
    head = [*first, "matte", *FIGURES.values(), *extra]
    line = "|" + "---|" * (len(first) + 1) + "--:|" * (len(FIGURES) + len(extra))
    return "\n".join([f"| {' | '.join(head)} |", line, *rows]) + "\n"


def means(scenes, results, names):
    """The means of each kind, and of all kinds but empty rooms."""
    kinds = list(dict.fromkeys(scene["kind"] for scene in scenes))
    groups = [(kind, [scene for scene in scenes if scene["kind"] == kind]) for kind in kinds]
    groups.append(("all but empty", [scene for scene in scenes if scene["kind"] != "empty"]))
    rows = []
    for kind, these in groups:
        for name in names:
            many = [results.get((scene["half"], scene["name"], name)) for scene in these]
            if many and all(many):
                rows.append(row([f"**{kind}** ({len(many)})", name], averaged(many)))
    return table(["scenes"], rows)


def each(scenes, results, names):
    """Every scene by itself."""
    rows = []
    for scene in scenes:
        for name in names:
            found = results.get((scene["half"], scene["name"], name))
            if found:
                rows.append(row([scene["half"], scene["name"], name], found))
    return table(["half", "scene"], rows)


def report(scenes, results, names):
    parts = []
    for half, title in [("held", "The held-out half"), ("tune", "The half for tuning")]:
        of_half = [scene for scene in scenes if scene["half"] == half]
        if of_half:
            parts.append(f"## {title}\n\n{means(of_half, results, names)}")
    parts.append(f"## Every scene\n\n{each(scenes, results, names)}")
    return "\n".join(parts)


INTRODUCTION = """# How good the matte is

Made by `bench/quality.py` (bench/README.md says how). Every scene has an exact alpha: people
rendered with Blender over rendered and photographed rooms, with sensor noise; see
`bench/material.py`. Scenes of the half `held` are kept out of every decision about the matte:
`tune` explains, `held` judges.

IoU: higher is better; the rest: lower is better. MAD and MSE × 1e3, Grad / 1e3, dtSSD and
Static × 1e2 ([ref/eval.md](../ref/eval.md)). Of empty rooms: mean alpha and its largest jump
between two frames, × 1e3. Of people who return to an empty room: seconds from half of the person in
view until 70 % of the person is covered; the averages take 2 s for never. CPU: of the whole
`mattebox run` with one thread, FFmpeg's own process left out, mattes written as PNG; of MediaPipe
its call alone. *soft before* is `soft` without averaged colours, evidence, the network's smooth
step and close looks at groups.

"""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("material", type=pathlib.Path)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/mattebox")
    parser.add_argument("--before", type=pathlib.Path, help="an older binary, for its soft matte")
    parser.add_argument("--only", default="*", help="scenes whose HALF/NAME matches this pattern")
    parser.add_argument(
        "--kept", action="store_true", help="measure nothing: show the scenes that are measured"
    )
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks/quality.md")
    asked = parser.parse_args()
    binary = asked.binary.resolve()
    compared = programs(binary, asked.before and asked.before.resolve())
    store = asked.material / "quality.json"
    kept = json.loads(store.read_text()) if store.exists() else {}
    scenes = []
    listed = json.loads((asked.material / "scenes.json").read_text())
    for scene in listed:
        scene["path"] = (asked.material / scene["half"] / f"{scene['name']}.mkv").resolve()
        if fnmatch.fnmatch(f"{scene['half']}/{scene['name']}", asked.only):
            scenes.append(scene)
    results = {}
    for scene in scenes:
        stamp = scene["path"].stat().st_mtime_ns
        place = f"{scene['half']}/{scene['name']}"
        for_it = [
            program
            for program in compared
            if "nearest" not in program.name or scene["kind"] == "bystanders"
        ]
        keys = {program: f"{place}/{program.name}/{program.version}/{stamp}" for program in for_it}
        if asked.kept and not kept.keys() >= set(keys.values()):
            continue  # means over different scenes are not comparable
        for program, key in keys.items():
            if key not in kept:
                kept[key] = measure(program, scene, binary)
                print(f"{place} {program.name}", file=sys.stderr)
                pending = store.with_suffix(".new")
                pending.write_text(json.dumps(kept, indent=1))
                pending.rename(store)
            results[scene["half"], scene["name"], program.name] = kept[key]
    scenes = [scene for scene in scenes if (scene["half"], scene["name"], "soft") in results]
    made = report(scenes, results, [program.name for program in compared])
    print(made)
    if asked.docs:
        path = ROOT / "docs/benchmarks/quality.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{INTRODUCTION}{made}")


if __name__ == "__main__":
    main()
