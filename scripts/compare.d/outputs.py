"""The outputs of a command: the sums of its files, and the difference of two such lists."""

from __future__ import annotations

import hashlib
import pathlib

from processes import Failure, answer

# Their containers have a random id, so the decoded pictures and their times are compared.
RANDOM_CONTAINERS = (".mkv", ".webm")
# Spark's files, with times and random ids, and the owner of a folder, with the id of a cluster.
NOT_COMPARED = (".checkpoint", ".mattebox")
SHOWN = 4

Sums = dict[str, str]


def sums(folder: pathlib.Path) -> Sums:
    """Relative path -> SHA-256 of every file below a folder, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {
        str(path.relative_to(folder)): path
        for path in files
        if not set(path.relative_to(folder).parts) & set(NOT_COMPARED)
    }
    return {name: _sum(path) for name, path in names.items()}


def _sum(path: pathlib.Path) -> str:
    data = decoded(path).encode() if path.suffix in RANDOM_CONTAINERS else path.read_bytes()
    return hashlib.sha256(data).hexdigest()


def decoded(video: pathlib.Path) -> str:
    """The times and sums of all pictures of a video, and the properties of its stream."""
    # FFmpeg's VP9 decoder drops the alpha, libvpx keeps it.
    decoder = ["-c:v", "libvpx-vp9"] if video.suffix == ".webm" else []
    pictures = answer(
        ["ffmpeg", "-nostdin", "-loglevel", "error", *decoder, "-i", video, "-f", "framemd5", "-"]
    )
    what = (
        "stream=codec_name,profile,width,height,pix_fmt,r_frame_rate,"
        "color_range,color_space,color_transfer,color_primaries"
    )
    stream = answer(["ffprobe", "-loglevel", "error", "-show_entries", what, video])
    if not pictures:
        raise Failure(f"{video} holds no pictures")
    return f"{stream}\n{pictures}"


def differences(old: Sums, new: Sums) -> list[str]:
    """The paths that differ, each with the kind of difference."""
    found = []
    for name in sorted({*old, *new}):
        if name not in new:
            found.append(f"{name} (missing)")
        elif name not in old:
            found.append(f"{name} (only there)")
        elif old[name] != new[name]:
            found.append(name)
    return found


def shortened(paths: list[str]) -> str:
    """The first few of many paths."""
    more = len(paths) - SHOWN
    return ", ".join(paths[:SHOWN]) + (f" and {more} more" if more > 0 else "")
