#!/usr/bin/env python3
"""The gain of the foreground clean-up, judged by finished pictures.

    blender/bin/python bench/clean_up.py PEOPLE ROOMS [--only 'tune/fixed_*']
        [--background white ...]

PEOPLE and ROOMS are folders that bench/people wrote. Each scene is written as bench/material.py
does. The same people are also put on a plain background directly: that is the truth. `mattebox run`
puts the scene's people on that background, with and without the clean-up. Printed is the mean
difference of a colour from the truth, in levels: over the whole picture, and over the pixels whose
exact alpha is neither 0 nor 1.
"""

import argparse
import fnmatch
import pathlib
import subprocess
import tempfile

import cv2
import numpy as np

import material

ROOT = pathlib.Path(__file__).resolve().parent.parent
BACKGROUNDS = {"white": (255, 255, 255), "green": (40, 160, 40), "black": (0, 0, 0)}


def on(scene, people, color, frames):
    """The scene's people on a plain background (BGR), as bytes."""
    width, height = scene.size
    plain = np.tile(np.float32(color[::-1]), (height, width, 1))
    bare = material.Scene("plain", scene.kind, lambda n: plain, scene.actors, frames, scene.size)
    for n in range(frames):
        picture, _, _ = bare.truth_and_picture(people, 0 if scene.still else n)
        yield np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def made(binary, clip, color, cleans, folder):
    """The pictures that mattebox makes (BGR)."""
    name = "#{:02x}{:02x}{:02x}".format(*color)
    command = [binary, "run", clip, "--camera-id", "scene", "--background", name, "--out", folder]
    command += ["--progress", "none", "--foreground-cleanup", "true" if cleans else "false"]
    subprocess.run(command, check=True, capture_output=True)
    return [cv2.imread(str(path)) for path in sorted((folder / "scene").glob("*.png"))]


def differences(pictures, truths, alphas):
    """Mean over the whole picture, and over its mixed pixels."""
    found = []
    for picture, truth, alpha in zip(pictures, truths, alphas, strict=True):
        levels = np.abs(picture.astype(np.float32) - truth).mean(axis=2)
        mixed = (alpha > 0) & (alpha < 255)
        found.append([levels.mean(), levels[mixed].mean() if mixed.any() else 0.0])
    return np.mean(found, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("people")
    parser.add_argument("rooms")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/mattebox")
    parser.add_argument("--only", default="tune/fixed_*", help="scenes whose HALF/NAME matches")
    parser.add_argument("--background", nargs="+", choices=BACKGROUNDS, default=["white", "green"])
    parser.add_argument("--frames", type=int, default=20)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    people = material.People(asked.people)
    print("| scene | background | | whole picture | mixed pixels |\n|---|---|---|--:|--:|")
    for half in material.HALVES:
        for scene in material.scenes(half, asked.rooms):
            if not fnmatch.fnmatch(f"{half}/{scene.name}", asked.only) or not scene.actors:
                continue
            scene.frames = min(asked.frames, scene.frames)
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                material.write(scene, people, folder)
                alphas = [alpha for _, alpha, _ in scene.made(people)]
                for name in asked.background:
                    color = BACKGROUNDS[name]
                    truths = list(on(scene, people, color, scene.frames))
                    for cleans in (False, True):
                        out = folder / f"{name}-{cleans}"
                        pictures = made(
                            asked.binary, folder / f"{scene.name}.mkv", color, cleans, out
                        )
                        whole, mixed = differences(pictures, truths, alphas)
                        how = "clean" if cleans else "as it is"
                        print(
                            f"| {half}/{scene.name} | {name} | {how} | {whole:.2f} | {mixed:.2f} |",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
