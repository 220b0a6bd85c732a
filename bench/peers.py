"""The programs that are compared, and their arguments."""

import dataclasses
import pathlib
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
NETWORK, FRAME = (ROOT / "target/release/examples" / name for name in ("network", "frame"))
MODELS = {
    "256x256": ROOT / "crates/net/model/selfie_segmentation.tflite",
    "256x144": ROOT / "crates/net/model/selfie_segmentation_landscape.tflite",
}

HIDE_SOURCE, HIDE = HERE / "hide_avx512.c", ROOT / ".cache/hide_avx512.so"
# glibc chooses its memcpy before it loads other libraries.
HIDDEN = {
    "LD_PRELOAD": str(HIDE),
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ",
}


@dataclasses.dataclass
class Row:
    """One side. `command` ends where the model (network) or the folder for files (frame)
    follows."""

    key: str
    label: str
    level: str  # the vector instructions that it has to do with
    command: list
    environment: dict = dataclasses.field(default_factory=dict)
    # Largest difference to the judge (LiteRT's confidence; the share of pixels of the Python
    # worker's file) that is right; None: not checked.
    limit: float | None = None
    error: str | None = None
    difference: float | None = None
    wall: list = dataclasses.field(default_factory=list)
    cpu: list = dataclasses.field(default_factory=list)

    @property
    def ours(self):
        return self.key.startswith("ours")


def levels():
    """Ours: the levels of this processor, slowest first."""
    return subprocess.run(
        [NETWORK, "levels"], check=True, capture_output=True, text=True
    ).stdout.split()


def hide_avx512():
    """Builds the library that hides AVX-512. Returns the reason if it cannot be used."""
    build = ["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", HIDE, HIDE_SOURCE]
    try:
        HIDE.parent.mkdir(exist_ok=True)
        subprocess.run(build, check=True, capture_output=True)
        subprocess.run(["true"], env=HIDDEN, check=True, capture_output=True)
    except FileNotFoundError:
        return "no C compiler (cc)"
    except subprocess.CalledProcessError as e:
        return e.stderr.decode().strip() or "the C compiler failed"
    return None


def at_levels(row, best, wanted, hidden):
    """A row of another program, and a second one with AVX-512 hidden, if this machine has AVX-512
    and ours runs with AVX2. `row(level, environment)` makes one."""
    yield row(best, {})
    if best == "avx512" and "avx2" in wanted:
        yield dataclasses.replace(row("avx2", HIDDEN), error=hidden)


def network_rows(case, available, wanted, hidden):
    """For the network `case`. `wanted`: ours at which levels."""
    best, model = available[-1], str(MODELS[case])

    def engine(key, label, name, *more, limit=1e-3):
        def make(level, environment):
            return Row(
                key,
                label,
                level,
                [sys.executable, HERE / "engines.py", name, model, *more],
                environment,
                limit,
            )

        return at_levels(make, best, wanted, hidden)

    yield from engine("litert", "LiteRT (XNNPACK)", "litert")
    yield from engine("onnxruntime-plain", "ONNX Runtime, plain graph", "onnxruntime", "plain")
    yield from engine("onnxruntime", "ONNX Runtime, optimised graph", "onnxruntime")
    yield from engine("openvino", "OpenVINO, optimised graph", "openvino")
    yield next(
        engine("openvino-bf16", "OpenVINO in bf16 (other results)", "openvino-bf16", limit=None)
    )
    for level in wanted:
        yield Row("ours", "mattebox", level, [NETWORK, "serve", model, level], {}, 1e-4)


def frame_rows(available, wanted, hidden):
    best = available[-1]

    def worker(key, label, limit=None):
        def make(level, environment):
            return Row(
                key, label, level, [sys.executable, HERE / "workers.py", key], environment, limit
            )

        return at_levels(make, best, wanted, hidden)

    yield from worker("python-worker", "Python worker (MediaPipe, OpenCV)", 1e-3)
    yield next(worker("segmenter", "  of it MediaPipe's call alone"))
    for level in wanted:
        for matte in ("hard", "soft"):
            yield Row(
                f"ours-{matte}",
                f"mattebox, {matte} matte",
                level,
                [FRAME, matte, level],
                {},
                1e-3 if matte == "hard" else None,
            )


def numbers(values):
    """Quantiles, in milliseconds."""
    shares = {"min": 0, "q1": 0.25, "median": 0.5, "q3": 0.75, "p95": 0.95, "max": 1}
    return {name: round(float(np.quantile(values, share)), 5) for name, share in shares.items()} | {
        "samples": len(values)
    }
