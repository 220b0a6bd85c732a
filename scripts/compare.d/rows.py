"""The table: every row is one command that both builds run. `{name}` is an input of inputs.py."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass

SIMD_LEVELS = ("scalar", "sse4.2", "avx2", "avx512", "neon")


@dataclass(frozen=True)
class Row:
    """One command: `kind` is the program, `spec` its arguments."""

    name: str
    kind: str
    spec: str
    # The topic that is read: of kinds worker and spark.
    topic: str = ""
    # A vector level that the processor must have.
    simd: str = ""
    exit_code: int = 0


# Each has `--frames 12 --threads 1 --progress none` too, unless it says otherwise.
RUN = {
    "run-soft": "{clip} --max-width 320",
    "run-hard": "{clip} --max-width 320 --matte hard",
    "run-full-size": "{clip} --frames 4",
    "run-full-size-hard": "{clip} --frames 4 --matte hard",
    "run-width-160": "{clip} --max-width 160",
    "run-odd-size": "{odd}",
    "run-odd-size-hard": "{odd} --matte hard",
    "run-tiny": "lavfi:testsrc2=size=7x5:rate=25",
    "run-portrait": "lavfi:testsrc2=size=90x160:rate=25 --frames 4",
    "run-color": "{clip} --max-width 160 --background #102030",
    "run-named-color": "{clip} --max-width 160 --background teal",
    "run-transparent": "{clip} --max-width 160 --background transparent",
    "run-transparent-hard": "{clip} --max-width 160 --background transparent --matte hard",
    "run-blur": "{clip} --max-width 320 --background blur",
    "run-blur-5": "{odd} --background blur:5 --matte hard",
    "run-image": "{clip} --max-width 160 --background image:{image}",
    "run-image-odd-size": "{odd} --background image:{image}",
    "run-video": "{clip} --max-width 160 --background video:{video}",
    "run-jpg": "{clip} --max-width 160 --format jpg",
    "run-jpg-quality-35": "{odd} --format jpg --jpeg-quality 35",
    "run-jpg-quality-100": "{odd} --format jpg --jpeg-quality 100",
    "run-webp": "{clip} --max-width 160 --format webp",
    "run-webp-transparent": "{odd} --format webp --background transparent",
    "run-alpha-out": "{clip} --max-width 160 --alpha-out alpha",
    "run-alpha-out-hard": "{odd} --matte hard --alpha-out alpha",
    "run-no-foreground-cleanup": "{clip} --max-width 320 --foreground-cleanup=false",
    "run-skip-still": "{still} --skip-still --frames 16",
    "run-skip-still-hard": "{still} --skip-still --matte hard --frames 16",
    "run-landscape": "{clip} --max-width 320 --model landscape",
    "run-landscape-hard": "{clip} --max-width 320 --model landscape --matte hard",
    "run-two-cameras": "door={clip} yard={odd} --max-width 160",
    "run-three-cameras": "door={clip} yard={odd} test=lavfi:testsrc2=size=200x120:rate=25 "
    "--max-width 160 --threads 3",
    "run-threads-3": "{clip} --max-width 160 --threads 3",
    "run-threads-3-hard": "{clip} --max-width 160 --threads 3 --matte hard",
    "run-fps-10": "{clip} --max-width 160 --fps 10",
    "run-part": "{clip} --max-width 160 --start 1 --duration 400ms",
    "run-loop": "{still} --loop --frames 20 --max-width 120",
    "run-pictures": "{pictures}",
    "run-pictures-hard": "{pictures} --matte hard",
    "run-pictures-of-all-kinds": "{mixed}",
    "run-stdout-png": "{clip} --max-width 160 --out -",
    "run-stdout-raw": "{clip} --max-width 160 --out - --format raw",
    "run-stdout-raw-transparent": "{odd} --out - --format raw --background transparent",
    "run-mp4": "{clip} --max-width 160 --out clip.mp4",
    "run-mp4-odd-size": "{odd} --out clip.mp4",
    "run-mp4-of-two-cameras": "door={clip} yard={odd} --max-width 160 --out {{camera}}.mp4",
    "run-mov": "{clip} --max-width 160 --out clip.mov",
    "run-mov-transparent": "{clip} --max-width 160 --out clip.mov --background transparent",
    "run-mkv": "{clip} --max-width 160 --out clip.mkv",
    "run-mkv-transparent": "{clip} --max-width 160 --out clip.mkv --background transparent",
    "run-webm": "{clip} --max-width 160 --out clip.webm",
    "run-webm-transparent": "{clip} --max-width 160 --out clip.webm --background transparent",
    "run-ts": "{clip} --max-width 160 --out clip.ts",
    "run-gif": "{clip} --max-width 160 --out clip.gif",
    "run-gif-transparent": "{clip} --max-width 160 --out clip.gif --background transparent",
}

# One of the pictures of all kinds is cut off.
EXIT_CODES = {"run-pictures-of-all-kinds": 1}

# Records that a camera publishes: each build fills another topic.
CAMERA = {
    "camera-binary": "door={clip} yard={odd} --max-width 320 --wire binary",
    "camera-json": "door={clip} yard={odd} --max-width 320 --wire json",
    "camera-jpeg-quality": "{clip} --max-width 160 --jpeg-quality 40",
    "camera-passthrough": "{mjpeg}",
}

# Workers on a log that both builds read: name, topic of topics.py, flags.
WORKER = (
    ("worker-soft", "binary", ""),
    ("worker-hard", "binary", "--matte hard"),
    ("worker-json-soft", "json", ""),
    ("worker-json-hard", "json", "--matte hard"),
    ("worker-jpg", "binary", "--format jpg --jpeg-quality 70"),
    ("worker-webp-transparent", "binary", "--format webp --background transparent"),
    ("worker-blur", "json", "--background blur"),
    ("worker-landscape", "binary", "--model landscape"),
    ("worker-threads-3", "binary", "--threads 3"),
    ("worker-topic-soft", "binary", "--out topic:{results}"),
    ("worker-topic-hard-jpg", "json", "--out topic:{results} --matte hard --format jpg"),
    ("worker-hostile", "hostile", ""),
    ("worker-hostile-topic", "hostile", "--out topic:{results}"),
)

# Spark on the same log.
SPARK = (
    ("spark-soft", "binary", "--publish-frames {results}"),
    ("spark-hard-jpg", "json", "--matte hard --format jpg"),
    ("spark-hostile", "hostile", "--publish-frames {results}"),
)

# The arguments of `Matte`, as JSON.
PYTHON = {
    "python-soft": "{}",
    "python-hard": '{"matte": "hard"}',
    "python-jpg": '{"format": "jpg", "jpeg_quality": 60}',
    "python-webp-transparent": '{"format": "webp", "background": "transparent"}',
    "python-blur": '{"background": "blur", "foreground_cleanup": false}',
    "python-landscape": '{"model": "landscape"}',
}


def table() -> list[Row]:
    """Every row, in the order in which they run."""
    run = [Row(name, "run", spec, exit_code=EXIT_CODES.get(name, 0)) for name, spec in RUN.items()]
    simd = [
        Row(
            f"run-simd-{level}-{matte}",
            "run",
            f"{{clip}} --max-width 160 --simd {level} --matte {matte}",
            simd=level,
        )
        for level in SIMD_LEVELS
        for matte in ("soft", "hard")
    ]
    camera = [Row(name, "camera", spec) for name, spec in CAMERA.items()]
    worker = [Row(name, "worker", spec, topic=topic) for name, topic, spec in WORKER]
    python = [Row(name, "python", spec) for name, spec in PYTHON.items()]
    spark = [Row(name, "spark", spec, topic=topic) for name, topic, spec in SPARK]
    return [*run, *simd, *python, *camera, *worker, *spark]


# The promise "same bytes everywhere": each way is compared with `run`.
SAME_WAYS = ("worker-binary", "worker-json", "python", "spark")
# Matte and pictures. To `run` a folder of pictures is one scene each, so only the hard matte, which
# has no memory, can be compared with it; the PNG pictures lie in a video too.
SAME_FRAMES = ("soft png", "hard png", "hard jpg")


def same_table() -> list[Row]:
    """The rows of --same: `kind` is the way, `spec` the matte and the pictures."""
    return [
        Row(f"same-{frames.replace(' ', '-')}-{way}", way, frames)
        for frames in SAME_FRAMES
        for way in SAME_WAYS
    ]


def chosen(rows: Iterable[Row], patterns: list[str]) -> list[Row]:
    """The rows whose names match one of the patterns; all without patterns."""
    return [
        row
        for row in rows
        if not patterns or any(fnmatch.fnmatchcase(row.name, pattern) for pattern in patterns)
    ]


def unknown(rows: Iterable[Row], patterns: Iterable[str]) -> list[str]:
    """The patterns that no row matches."""
    names = [row.name for row in rows]
    return [pattern for pattern in patterns if not fnmatch.filter(names, pattern)]
