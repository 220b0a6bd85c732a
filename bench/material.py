#!/usr/bin/env python3
# /// script
# dependencies = ["numpy", "opencv-python-headless"]
# ///
"""Composes the test scenes of the matte, with exact alpha, from rendered people and rooms.

    python bench/material.py PEOPLE ROOMS OUT [--only PATTERN] [--again] [--fixtures]

PEOPLE and ROOMS are what bench/people/render.py and bench/people/rooms.py wrote. OUT gets
scenes.json, tune/ and held/, each with NAME.mkv, NAME_alpha.mkv and, for bystanders,
NAME_nearest_alpha.mkv.
Two of the people and half of the rooms make tune/; held/ has the others and is for judging only.
A scene that exists stays, unless --again is given.
"""

import argparse
import fnmatch
import functools
import json
import math
import pathlib
import subprocess
from dataclasses import dataclass, field

import cv2
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
FPS = 25
SIZE = (640, 360)

# The parts of each half. The first room of `frame` hangs a dark picture behind the head.
HALVES = {
    "tune": {
        "people": ["long", "curly"],
        "rooms": ["office", "interior_0", "courtyard_2", "hall", "interior_2", "city_0"],
        "things": ["hall", "office", "courtyard_2"],
        "frame": ("dark", "curly"),
        "empty": [
            "interior_bed",
            "courtyard_sun",
            "office",
            "hall",
            "dark",
            "night_grass",
            "forest_0",
            "city_0",
        ],
    },
    "held": {
        "people": ["dark", "bald"],
        "rooms": ["lounge", "interior_1", "courtyard_0", "gallery", "city_1", "city_2"],
        "things": ["gallery", "garage", "lounge"],
        "frame": ("lounge", "dark"),
        "empty": [
            "courtyard_wall",
            "sunrise_tree",
            "gallery",
            "lounge",
            "garage",
            "night_trees",
            "sunset_quay",
            "interior_1",
        ],
    },
}


def smooth(x):
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


# People


def spread(color, alpha):
    """The colour of the foreground everywhere: outside of the person that of the nearest edge."""
    total, weight = color * alpha, alpha
    for sigma in (1.0, 2.5, 6.0):
        wide = cv2.GaussianBlur(np.dstack([total, weight]), (0, 0), sigma)
        near = wide[..., :3] / np.maximum(wide[..., 3:], 1e-4)
        total = np.where(weight > 0.5, total, near)
        weight = np.where(weight > 0.5, weight, (wide[..., 3:] > 0.02).astype(np.float32))
    return np.where(alpha > 0.98, color, total / np.maximum(weight, 1e-4))


class People:
    """Rendered people: frame n of a view as colour times alpha and alpha. A walk repeats; the other
    movements go to and fro."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.frames = {}

    def frame(self, name, view, n):
        frames = self.frames.setdefault((name, view), {})
        if "count" not in frames:
            count = 0
            while (self.folder / name / view / f"{count:04d}.png").exists():
                count += 1
            frames["count"] = count
        count = frames["count"]
        if count == 0:
            raise FileNotFoundError(self.folder / name / view)
        if view == "walk":
            n %= count
        else:
            n %= max(2 * count - 2, 1)
            n = min(n, 2 * count - 2 - n)
        if n not in frames:
            path = self.folder / name / view / f"{n:04d}.png"
            color = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32)
            exact = cv2.imread(str(path.with_stem(path.stem + "_a")), cv2.IMREAD_UNCHANGED)
            alpha = exact[..., 3:].astype(np.float32) / 255
            frames[n] = np.dstack([spread(color[..., :3], color[..., 3:] / 255) * alpha, alpha])
        return frames[n]


@dataclass
class Actor:
    """A person in a scene: `place(n)` gives scale and the middle of the lower edge, or None."""

    name: str
    view: str
    place: object
    start: int = 0
    mirrored: bool = False
    gain: float = 1.0

    def layer(self, people, n, size):
        placed = self.place(n)
        if placed is None:
            return None
        scale, x, y = placed
        picture = people.frame(self.name, self.view, self.start + n)
        if self.mirrored:
            picture = picture[:, ::-1]
        high, wide = picture.shape[:2]
        if scale < 0.6:  # shrink by area first: the transform below only samples
            small = (round(wide * scale), round(high * scale))
            picture = cv2.resize(np.ascontiguousarray(picture), small, interpolation=cv2.INTER_AREA)
            scale, (high, wide) = 1.0, picture.shape[:2]
        move = np.array(
            [[scale, 0, x - scale * wide / 2], [0, scale, y - scale * high]], np.float32
        )
        layer = cv2.warpAffine(np.ascontiguousarray(picture), move, size, flags=cv2.INTER_LINEAR)
        layer[..., :3] *= self.gain
        return layer


# Rooms


@functools.lru_cache(maxsize=4)
def plate(rooms, name):
    path = pathlib.Path(rooms) / f"{name}.png"
    if not path.exists():
        raise FileNotFoundError(path)
    return cv2.imread(str(path), cv2.IMREAD_COLOR).astype(np.float32)


def look(picture, size, zoom=1.0, x=0.5, y=0.5):
    """A part of the plate: its middle at (x, y) of the plate, all of its height at zoom 1."""
    high, wide = picture.shape[:2]
    step = high / zoom / size[1]
    move = np.array(
        [[step, 0, x * wide - step * size[0] / 2], [0, step, y * high - step * size[1] / 2]],
        np.float32,
    )
    if step > 1.2:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 * step)
    return cv2.warpAffine(
        picture,
        move,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )


# Scenes


@dataclass
class Scene:
    name: str
    kind: str
    room: object  # (n, size) to a picture
    actors: list = field(default_factory=list)  # the farthest first; the last is the nearest
    frames: int = 75
    size: tuple = SIZE
    noise: float = 1.0
    gain: object = None  # n to a factor, or a factor per row
    still: bool = False
    shadow: float = 0.0
    jpeg: int = 0
    crf: int = 0
    nearest: bool = False

    def truth_and_picture(self, people, n):
        picture = self.room(n)
        alpha = np.zeros(self.size[::-1], np.float32)
        nearest = alpha
        for actor in self.actors:
            layer = actor.layer(people, n, self.size)
            if layer is None:
                continue
            cover = layer[..., 3]
            if self.shadow:
                moved = np.float32([[1, 0, 34], [0, 1, 10]])
                dark = cv2.warpAffine(cover, moved, self.size, borderMode=cv2.BORDER_REPLICATE)
                dark = cv2.GaussianBlur(dark, (0, 0), 7)
                picture = picture * (1 - self.shadow * dark[..., None])
            picture = layer[..., :3] + (1 - cover[..., None]) * picture
            alpha = cover + (1 - cover) * alpha
            nearest = cover
        return picture, alpha, nearest

    def made(self, people):
        """The frames as bytes: picture (BGR), alpha, alpha of the nearest person."""
        rng = np.random.default_rng(sum(map(ord, self.name)))
        kept = None
        for n in range(self.frames):
            if kept is None or not self.still:
                kept = self.truth_and_picture(people, n)
            picture, alpha, nearest = kept
            if self.gain:
                picture = picture * self.gain(n)
            noise = rng.standard_normal(picture.shape, np.float32) * self.noise
            picture = np.clip(picture + noise + 0.5, 0, 255).astype(np.uint8)
            if self.jpeg:
                _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])
                picture = cv2.imdecode(coded, cv2.IMREAD_COLOR)
            yield picture, *((255 * a + 0.5).astype(np.uint8) for a in (alpha, nearest))


def fixed(rooms, name, size=SIZE, after=lambda seen: seen, **where):
    """A camera that stands still; its picture is made at the first use."""
    seen = functools.cache(lambda: after(look(plate(rooms, name), size, **where)))
    return lambda n: seen()


def at(scale, x, y=SIZE[1]):
    return lambda n: (scale, x, y)


def moving(rooms, first, second, how, frames):
    """A room seen by a camera that pans, zooms, shakes, or cuts to another room."""

    def room(n):
        u, t = n / frames, n / FPS
        zoom, x, y = 1.35, 0.5, 0.5
        if how == "pan":
            x = 0.38 + 0.24 * smooth(u)
        elif how == "zoom":
            zoom = 1.1 + 0.7 * smooth(u)
        elif how == "shake":
            x += 0.004 * math.sin(17 * t) + 0.003 * math.sin(29 * t + 1)
            y += 0.006 * math.sin(23 * t) + 0.004 * math.sin(41 * t + 2)
        name = second if how == "cut" and 0.4 <= u < 0.75 else first
        return look(plate(rooms, name), SIZE, zoom, x, y)

    return room


def crossing(start, end, scale, y, frames, bob=2.0):
    """A walk from x = start to x = end."""

    def place(n):
        return scale, start + (end - start) * n / frames, y + bob * math.sin(n * 0.9)

    return place


def leaving(scale, x, gone, back, frames_in=15, size=SIZE):
    """In view, out to the right by frame `gone`, back within `frames_in` from frame `back`."""

    def place(n):
        out = smooth((n - gone + 15) / 15) if n < back else 1 - smooth((n - back) / frames_in)
        return None if out >= 1 else (scale, x + out * (size[0] * 1.02), size[1])

    return place


def flicker(n):
    rows = np.arange(SIZE[1], dtype=np.float32)[:, None, None]
    return 1 + 0.07 * math.sin(2 * math.pi * 3.1 * n / FPS) + 0.04 * np.sin(rows / 40 + 1.9 * n)


def bench_seat(picture, x, y, wide, high):
    """Draws a seat into a room: the sitting people need one."""
    seen = picture.copy()
    left, right = int(x - wide / 2), int(x + wide / 2)
    cv2.rectangle(seen, (left, int(y - high)), (right, int(y - 0.82 * high)), (50, 62, 80), -1)
    for leg in (left + 6, (left + right) // 2, right - 6):
        cv2.rectangle(seen, (leg - 3, int(y - 0.82 * high)), (leg + 3, int(y)), (35, 42, 52), -1)
    return cv2.GaussianBlur(seen, (0, 0), 0.7)


def seated(people, count, scale, floor):
    """`count` people on a bench, and what draws the bench into a room."""
    step = min(170 * scale, 600 / count)
    left = SIZE[0] / 2 - step * (count - 1) / 2

    def seat(seen):
        return bench_seat(seen, SIZE[0] / 2, floor - 4, step * count, 128 * scale)

    actors = [
        Actor(
            people[k % 2],
            "sit",
            at(scale * (1 - 0.06 * (k % 3)), left + k * step, floor),
            3 * k,
            k % 3 == 1,
            (1.0, 0.85, 0.75, 0.95)[k % 4],
        )
        for k in range(count)
    ]
    return seat, actors


def scenes(half, rooms):
    """Every scene of one half."""
    own = HALVES[half]
    first, second = own["people"]
    names = own["rooms"]

    def room(k, *size, **where):
        return fixed(rooms, names[k % len(names)], *size, **where)

    def portrait(name, scale=1.0, x=320, **more):
        return Actor(name, "portrait", at(scale, x), **more)

    for sigma in (1, 2, 5):
        for k, name in enumerate(own["people"]):
            view = room(sigma + k, zoom=1.2)
            yield Scene(f"fixed_s{sigma}_{name}", "fixed", view, [portrait(name)], noise=sigma)
            yield Scene(
                f"static_s{sigma}_{name}",
                f"static_s{sigma}",
                view,
                [portrait(name, start=7 * sigma)],
                noise=sigma,
                still=True,
                frames=60,
            )
    for k, how in enumerate(("pan", "zoom", "shake", "cut")):
        view = moving(rooms, names[k], names[(k + 2) % len(names)], how, 100)
        name = own["people"][k % 2]
        yield Scene(f"moving_{how}", "moving", view, [portrait(name)], 100, noise=1.5)
    for k, name in enumerate(own["empty"]):
        view = fixed(rooms, name)
        yield Scene(f"empty_{name}", "empty", view, noise=(1.5, 2.5, 4.0)[k % 3])
        if k < 3:

            def drift(n):
                return 1 - 0.22 * smooth((n - 10) / 25) + 0.3 * smooth((n - 45) / 20)

            yield Scene(f"empty_gain_{name}", "empty", view, noise=2.0, gain=drift)
        if k in (1, 3):
            yield Scene(f"empty_flicker_{name}", "empty", view, noise=2.0, gain=flicker)
    for k, name in enumerate(own["empty"][:4]):
        view = fixed(rooms, name)
        actor = Actor(own["people"][k % 2], "portrait", leaving(1.0, 320, 35, 85))
        yield Scene(f"returns_{name}", "returns", view, [actor], 120, noise=2.0)

    def walker(name, scale, y, a, b, **more):
        return Actor(name, "walk", crossing(a, b, scale, y, 75), **more)

    for k, (share, scale) in enumerate(((25, 0.7), (15, 0.42))):
        for name in own["people"]:
            x = 260 + 110 * k

            def seat(seen, x=x, s=scale):
                return bench_seat(seen, x, 326, 150 * s, 128 * s)

            sitting = Actor(name, "sit", at(scale, x, 330))
            view = room(k + 2, after=seat)
            yield Scene(f"far_{share}_{name}", "far", view, [sitting], noise=1.5)
        view = room(k + 4)
        yield Scene(
            f"far_{share}_walk", "far", view, [walker(second, scale, 335, 150, 420)], noise=1.5
        )
    yield Scene(
        "two_unlike",
        "two",
        room(1),
        [walker(second, 0.62, 345, 560, 470, mirrored=True), portrait(first, x=250)],
        noise=1.5,
    )
    yield Scene(
        "two_low",
        "two",
        room(3, zoom=1.2),
        [portrait(first, 0.55, 500, start=9), portrait(second, x=220)],
        noise=1.5,
    )
    for count, scale in ((5, 0.68), (7, 0.5)):
        seat, actors = seated(own["people"], count, scale, 340)
        view = room(count, after=seat)
        yield Scene(f"group_{count}", "group", view, actors, noise=1.5)
        yield Scene(f"group_still_{count}", "stills", view, actors, 5, noise=1.5, still=True)
    wall = np.full((360, 640, 3), (150, 165, 172), np.float32) + np.linspace(-20, 20, 640)[:, None]
    yield Scene("shadow_wall", "shadow", lambda n: wall, [portrait(first)], noise=1.5, shadow=0.45)
    yield Scene(
        "shadow_room", "shadow", room(4, zoom=1.3), [portrait(second)], noise=1.5, shadow=0.4
    )
    for name in own["people"]:
        yield Scene(
            f"tall_{name}",
            "tall",
            room(2, (360, 640)),
            [Actor(name, "portrait", at(1.25, 180, 640))],
            size=(360, 640),
            noise=1.5,
        )
    yield Scene("jpeg_q40", "compressed", room(0), [portrait(first)], noise=2, jpeg=40)
    yield Scene("x264_crf35", "compressed", room(5), [portrait(second)], noise=2, crf=35)
    yield Scene(
        "x264_crf35_two",
        "compressed",
        room(3),
        [portrait(first, 0.6, 490), portrait(second, x=220)],
        noise=2,
        crf=35,
    )
    for k, name in enumerate(own["things"]):
        view = fixed(rooms, name, zoom=1.15)
        x = (190, 440, 250)[k]
        yield Scene(
            f"beside_{name}", "beside", view, [portrait(own["people"][k % 2], x=x)], noise=1.5
        )
    dark, name = own["frame"]
    yield Scene(
        "dark_hair", "dark hair", fixed(rooms, dark, zoom=1.25), [portrait(name)], noise=1.5
    )
    behind = [
        walker(second, 0.75, 352, -40, 690),
        walker(first, 0.6, 338, 700, -60, mirrored=True, start=5),
        walker(second, 0.5, 330, 60, 600, start=11),
    ]
    for count in (1, 2, 3):
        near = portrait(first, x=300) if count != 2 else portrait(second, x=340)
        others = behind[:count] if count != 2 else [behind[1], behind[2]]
        yield Scene(
            f"bystanders_{count}",
            "bystanders",
            room(count, zoom=1.05),
            [*others[::-1], near],
            noise=1.5,
            nearest=True,
        )


def fixtures(rooms):
    """The small scenes in samples/phantoms, for the tests."""
    size = (320, 180)
    for name in ("interior_bed", "night_grass"):
        view = fixed(rooms, name, size)
        yield Scene(f"empty_{name}", "empty", view, size=size, frames=30, noise=2.0, crf=16)
    actor = Actor("long", "portrait", leaving(0.5, 160, 10, 22, 12, size))
    view = fixed(rooms, "interior_bed", size)
    yield Scene("returns_interior_bed", "returns", view, [actor], 40, size, noise=2.0, crf=16)


# Writing


def writer(path, size, pixels, coding):
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-f",
        "rawvideo",
        "-pix_fmt",
        pixels,
        "-s",
        f"{size[0]}x{size[1]}",
        "-r",
        str(FPS),
        "-i",
        "-",
        *coding,
        str(path),
    ]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


def write(scene, people, folder):
    lossless = ["-c:v", "ffv1", "-level", "3", "-g", "1", "-threads", "1"]
    color = [
        "-vf",
        "scale=out_color_matrix=bt709:flags=accurate_rnd+full_chroma_int",
        "-pix_fmt",
        "yuv420p",
        "-colorspace",
        "bt709",
        "-color_primaries",
        "bt709",
        "-color_trc",
        "bt709",
    ]
    coded = ["-c:v", "libx264", "-threads", "1", "-preset", "medium", "-crf", str(scene.crf)]
    wanted = [
        ("", "bgr24", [*color, *(coded if scene.crf else lossless)]),
        ("_alpha", "gray", lossless),
    ]
    if scene.nearest:
        wanted.append(("_nearest_alpha", "gray", lossless))
    paths = [folder / f"{scene.name}{end}.mkv" for end, _, _ in wanted]
    temporary = [path.with_name("." + path.name) for path in paths]
    writers = [
        writer(path, scene.size, pixels, coding)
        for path, (_, pixels, coding) in zip(temporary, wanted)
    ]
    for pictures in scene.made(people):
        for made, picture in zip(writers, pictures):
            made.stdin.write(np.ascontiguousarray(picture).tobytes())
    for made in writers:
        made.stdin.close()
        if made.wait():
            raise SystemExit(f"FFmpeg failed on {scene.name}")
    for path, made in reversed(list(zip(paths, temporary))):
        made.rename(path)


def copy_sample(folder):
    """The project's sample clip, as one more scene."""
    for end, source in (("", "person.mp4"), ("_alpha", "person_alpha.mkv")):
        command = ["ffmpeg", "-v", "error", "-y", "-i", ROOT / "samples" / source, "-c", "copy"]
        subprocess.run([*command, "-an", folder / f"sample{end}.mkv"], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("people")
    parser.add_argument("rooms")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--only", default="*", help="scenes whose HALF/NAME matches this pattern")
    parser.add_argument("--fixtures", action="store_true", help="only the tests' clips, into OUT")
    parser.add_argument("--again", action="store_true", help="also those that exist")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    people, listed = People(asked.people), []
    if asked.fixtures:
        asked.out.mkdir(parents=True, exist_ok=True)
        for scene in fixtures(asked.rooms):
            write(scene, people, asked.out)
        return
    for half in HALVES:
        folder = asked.out / half
        folder.mkdir(parents=True, exist_ok=True)
        for scene in scenes(half, asked.rooms):
            path = folder / f"{scene.name}.mkv"
            if fnmatch.fnmatch(f"{half}/{scene.name}", asked.only) and (
                asked.again or not path.exists()
            ):
                try:
                    write(scene, people, folder)
                    print(path, flush=True)
                except FileNotFoundError as missing:
                    print(f"{path}: left out, not rendered yet: {missing}", flush=True)
            if path.exists():
                listed.append(
                    {
                        "name": scene.name,
                        "half": half,
                        "kind": scene.kind,
                        "static": scene.still,
                        "noise": scene.noise,
                        "frames": scene.frames,
                        "width": scene.size[0],
                        "height": scene.size[1],
                    }
                )
        if half == "tune":
            copy_sample(folder)
            listed.append(
                {
                    "name": "sample",
                    "half": half,
                    "kind": "sample",
                    "static": False,
                    "noise": 1.6,
                    "frames": 75,
                    "width": 640,
                    "height": 360,
                }
            )
    (asked.out / "scenes.json").write_text(json.dumps(listed, indent=1) + "\n")


if __name__ == "__main__":
    main()
