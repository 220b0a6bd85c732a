"""Facts of this machine that the figures depend on."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess

from peers import ROOT

PACKAGES = [
    "ai-edge-litert",
    "onnxruntime",
    "openvino",
    "mediapipe",
    "opencv-contrib-python",
    "numpy",
]
SETS = [
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "asimd",
]


def describe(levels):
    info = dict(
        map(str.strip, line.split(":", 1)) for line in cpuinfo().splitlines() if ":" in line
    )
    flags = (info.get("flags") or info.get("Features") or "").split()
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": info.get("model name") or platform.machine(),
        "cpu_family_model": " ".join(
            info[name] for name in ("cpu family", "model") if name in info
        ),
        "cores": os.cpu_count(),
        "instruction_sets": [name for name in SETS if name in flags],
        "mattebox_levels": levels,
        "system": f"{platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}",
        "mattebox": said("git", "describe", "--always", "--dirty"),
        "versions": {name: version(name) for name in PACKAGES},
    }


def cpuinfo():
    try:
        return pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return ""


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def said(*command):
    try:
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
