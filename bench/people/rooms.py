#!/usr/bin/env python3
"""Makes the empty rooms of the test material, as PNG plates of 1280x720 (960x540 where modelled).

    python bench/people/rooms.py MPFB2 OUT [--room NAME] [--portrait FRAME.png]

Some are modelled here and hold what a network takes for people: a statue, a coat on a stand, a
chair, a toy car, a dog, a framed portrait. The others are views into the panoramas that Blender
brings (`datafiles/studiolights/world`, real photographs, CC0). A plate that exists stays.
"""

import argparse
import math
import os
import pathlib

import blender
import bpy
import numpy as np

SIZE = (1280, 720)
MODELLED = (960, 540)


def finish(made):
    thing = bpy.context.object
    thing.data.materials.append(made)
    return thing


def box(place, size, made, turned=(0, 0, 0), round_by=0.0):
    bpy.ops.mesh.primitive_cube_add(size=1, location=place, scale=size, rotation=turned)
    thing = finish(made)
    if round_by:
        bpy.ops.object.transform_apply(location=False, rotation=False)
        change = thing.modifiers.new("round", "BEVEL")
        change.width, change.segments = round_by, 4
    return thing


def ball(place, size, made, turned=(0, 0, 0)):
    bpy.ops.mesh.primitive_uv_sphere_add(radius=1, location=place, rotation=turned)
    thing = finish(made)
    thing.scale = size
    bpy.ops.object.shade_smooth()
    return thing


def rod(start, end, radius, made):
    from mathutils import Vector

    way = Vector(end) - Vector(start)
    bpy.ops.mesh.primitive_cylinder_add(
        radius=radius,
        depth=way.length,
        location=(Vector(start) + Vector(end)) / 2,
        rotation=way.to_track_quat("Z", "Y").to_euler(),
    )
    return finish(made)


def walls(color, floor, depth=3.0):
    box((0, depth, 1.2), (9, 0.1, 4), blender.material(color, 0.8))
    box((0, 0.5, -0.05), (9, 7, 0.1), blender.material(floor, 0.5))
    box((-4, 0.5, 1.2), (0.1, 7, 4), blender.material(color, 0.8))
    box((4, 0.5, 1.2), (0.1, 7, 4), blender.material(color, 0.8))


def window(x, z, wide, high, light, depth=2.9):
    frame = blender.material((0.85, 0.85, 0.82))
    box((x, depth, z), (wide, 0.06, high), blender.material((0.6, 0.78, 1.0), emit=light))
    for part in (-1, 0, 1):
        box((x + part * wide / 2, depth - 0.04, z), (0.05, 0.08, high), frame)
        box((x, depth - 0.04, z + part * high / 2), (wide, 0.08, 0.05), frame)


def shelf(x, wide, rows, rng, depth=2.8):
    wood = blender.material((0.25, 0.14, 0.07))
    for row in range(rows):
        z = 0.35 + 0.48 * row
        box((x, depth, z), (wide, 0.3, 0.04), wood)
        at = x - wide / 2
        while at < x + wide / 2 - 0.08:
            thick, high = rng.uniform(0.025, 0.07), rng.uniform(0.22, 0.4)
            if rng.random() < 0.85:
                color = tuple(rng.uniform(0.05, [0.8, 0.6, 0.6]))
                box(
                    (at + thick / 2, depth - 0.02, z + high / 2),
                    (thick * 0.94, 0.2, high),
                    blender.material(color),
                )
            at += thick


def plant(x, y, z, rng, leaves=30):
    green = blender.material((0.05, 0.22, 0.05))
    rod((x, y, 0), (x, y, z - 0.2), 0.1, blender.material((0.4, 0.2, 0.12)))
    for _ in range(leaves):
        place = (x + rng.normal(0, 0.13), y + rng.normal(0, 0.1), z + rng.normal(0, 0.18))
        ball(place, (0.04, 0.015, 0.15), green, tuple(rng.uniform(-1, 1, 3)))


def floor_lamp(x, y, light=8.0):
    rod((x, y, 0), (x, y, 1.5), 0.015, blender.material((0.1, 0.1, 0.1)))
    ball((x, y, 1.6), (0.16, 0.16, 0.18), blender.material((1, 0.75, 0.4), emit=light))


def office_chair(x, y, turned=20):
    dark, metal = blender.material((0.02, 0.02, 0.025), 0.8), blender.material((0.3, 0.3, 0.3), 0.3)
    angle = math.radians(turned)
    back = (x + 0.25 * math.sin(angle), y + 0.25 * math.cos(angle))
    box((x, y, 0.5), (0.5, 0.5, 0.09), dark, (0, 0, -angle), 0.04)
    box((*back, 0.95), (0.48, 0.09, 0.66), dark, (-0.1, 0, -angle), 0.04)
    box((*back, 1.42), (0.26, 0.08, 0.17), dark, (-0.1, 0, -angle), 0.035)
    rod((x, y, 0.05), (x, y, 0.48), 0.03, metal)
    for arm in range(5):
        way = angle + arm * 2 * math.pi / 5
        rod((x, y, 0.1), (x + 0.32 * math.cos(way), y + 0.32 * math.sin(way), 0.05), 0.02, metal)
    for side in (-1, 1):
        at = (x + side * 0.28 * math.cos(angle), y - side * 0.28 * math.sin(angle))
        box((*at, 0.72), (0.06, 0.3, 0.04), dark, (0, 0, -angle), 0.015)


def coat_stand(x, y, coat=(0.16, 0.12, 0.08)):
    wood = blender.material((0.12, 0.06, 0.03))
    cloth = blender.material(coat, 0.95)
    rod((x, y, 0), (x, y, 1.75), 0.025, wood)
    ball((x, y, 1.42), (0.22, 0.13, 0.1), cloth)
    ball((x, y, 1.05), (0.23, 0.15, 0.45), cloth)
    for side in (-1, 1):
        rod((x + side * 0.2, y, 1.4), (x + side * 0.29, y, 0.85), 0.065, cloth)
    hat = blender.material((0.05, 0.04, 0.04), 0.9)
    ball((x, y - 0.02, 1.76), (0.1, 0.11, 0.1), hat)
    rod((x, y - 0.02, 1.71), (x, y - 0.02, 1.73), 0.17, hat)


def framed(x, z, wide, high, picture, depth=2.93):
    """A picture in a dark frame; without a picture, a plain head and shoulders."""
    box((x, depth, z), (wide + 0.09, 0.04, high + 0.09), blender.material((0.03, 0.02, 0.015), 0.4))
    made = blender.material((0.5, 0.45, 0.35), 0.5)
    if picture:
        tree = made.node_tree
        image = tree.nodes.new("ShaderNodeTexImage")
        image.image = bpy.data.images.load(picture)
        mix = tree.nodes.new("ShaderNodeMix")
        mix.data_type = "RGBA"
        mix.inputs[6].default_value = (0.25, 0.22, 0.16, 1)
        tree.links.new(image.outputs["Alpha"], mix.inputs[0])
        tree.links.new(image.outputs["Color"], mix.inputs[7])
        shader = tree.nodes["Principled BSDF"]
        tree.links.new(mix.outputs[2], shader.inputs["Base Color"])
    bpy.ops.mesh.primitive_plane_add(
        size=1, location=(x, depth - 0.03, z), rotation=blender.degrees(90, 0, 0)
    )
    plane = finish(made)
    plane.scale = (wide, high, 1)
    if not picture:
        ball((x, depth - 0.03, z + 0.06), (0.11, 0.01, 0.15), blender.material((0.5, 0.3, 0.2)))
        ball(
            (x, depth - 0.03, z - high * 0.4), (0.22, 0.01, 0.17), blender.material((0.1, 0.1, 0.2))
        )
        ball((x, depth - 0.025, z + 0.13), (0.12, 0.01, 0.12), blender.material((0.03, 0.02, 0.02)))


def sofa(x, y, color=(0.25, 0.27, 0.3), wide=2.2):
    cloth = blender.material(color, 0.95)
    box((x, y, 0.3), (wide, 0.85, 0.35), cloth, round_by=0.08)
    box((x, y + 0.35, 0.65), (wide, 0.25, 0.75), cloth, round_by=0.1)
    for side in (-1, 1):
        box((x + side * wide / 2, y, 0.45), (0.22, 0.85, 0.62), cloth, round_by=0.09)
    cushion = blender.material((0.5, 0.2, 0.06), 0.95)
    box((x + 0.6, y, 0.62), (0.42, 0.16, 0.42), cushion, (0.3, 0.2, 0.1), 0.07)


def car(x, y, z=0.0, scale=1.0, color=(0.35, 0.02, 0.02)):
    """A car's body: hull, cabin, dark windows, wheels."""
    paint, glass = (
        blender.material(color, 0.15, Metallic=0.6),
        blender.material((0.02, 0.03, 0.04), 0.05),
    )
    black, light = (
        blender.material((0.015, 0.015, 0.015), 0.7),
        blender.material((1, 0.95, 0.8), emit=1.5),
    )

    def at(dx, dy, dz):
        return (x + dx * scale, y + dy * scale, z + dz * scale)

    def sized(*size):
        return tuple(part * scale for part in size)

    box(at(0, 0, 0.55), sized(3.6, 1.5, 0.55), paint, round_by=0.22 * scale)
    box(at(-0.1, 0, 1.0), sized(1.9, 1.3, 0.6), paint, round_by=0.25 * scale)
    for dx in (-0.55, 0.35):
        box(at(dx, -0.62, 1.03), sized(0.75, 0.12, 0.36), glass, round_by=0.05 * scale)
    for dx in (-1.15, 1.15):
        for dy in (-0.72, 0.72):
            rod(at(dx, dy - 0.1, 0.33), at(dx, dy + 0.1, 0.33), 0.33 * scale, black)
            rod(at(dx, dy - 0.12, 0.33), at(dx, dy - 0.09, 0.33), 0.17 * scale, paint)
    ball(at(1.75, -0.5, 0.62), sized(0.07, 0.12, 0.1), light)


def dog(x, y, scale=1.0, color=(0.28, 0.15, 0.06)):
    fur = blender.material(color, 0.9)
    dark = blender.material((0.01, 0.01, 0.01), 0.3)

    def part(dx, dy, dz, a, b, c, made=fur, turned=(0, 0, 0)):
        ball(
            (x + dx * scale, y + dy * scale, dz * scale),
            (a * scale, b * scale, c * scale),
            made,
            turned,
        )

    part(0, 0, 0.42, 0.17, 0.22, 0.32, turned=(0.35, 0, 0))
    part(0, -0.1, 0.82, 0.15, 0.16, 0.15)
    part(0, -0.27, 0.77, 0.07, 0.12, 0.065)
    part(0, -0.38, 0.79, 0.03, 0.025, 0.02, dark)
    for side in (-1, 1):
        part(side * 0.14, -0.06, 0.82, 0.035, 0.07, 0.14)
        part(side * 0.06, -0.22, 0.87, 0.02, 0.02, 0.02, dark)
        part(side * 0.1, -0.18, 0.2, 0.055, 0.06, 0.24)
        part(side * 0.17, 0.08, 0.14, 0.08, 0.2, 0.13)


def statue(folder, x, y, height=1.0):
    """A MakeHuman body of stone, on a block."""
    import body
    import render

    person = render.Person(
        sex="female",
        age="young",
        weight="averageweight",
        origin={"caucasian": 1.0},
        skin=(0.5, 0.5, 0.48),
        shirt=(0.5, 0.5, 0.48),
        trousers=(0.5, 0.5, 0.48),
        hair="none",
        hair_color=(0.5, 0.5, 0.48),
    )
    made = body.Body(folder, person)
    made.pose(render.pose(person, "portrait", 0.0), {}, 25)
    low, _ = made.bounds()
    stone = blender.material((0.55, 0.54, 0.5), 0.7)
    for thing, *_ in made.parts + made.strands:
        thing.data.materials.clear()
        thing.data.materials.append(stone)
        thing.location = (x, y, height - low[2])
    box((x, y, height / 2), (0.6, 0.6, height), stone)


def desk(x, y, wide=1.4):
    wood = blender.material((0.35, 0.2, 0.1), 0.4)
    box((x, y, 0.74), (wide, 0.6, 0.04), wood)
    for side in (-1, 1):
        box((x + side * wide / 2.1, y, 0.37), (0.05, 0.55, 0.74), wood)
    box((x - 0.2, y + 0.1, 1.05), (0.55, 0.03, 0.34), blender.material((0.02, 0.02, 0.03), 0.2))
    box((x - 0.2, y + 0.12, 0.82), (0.05, 0.04, 0.16), blender.material((0.1, 0.1, 0.1)))


def office(rng, folder, picture):
    walls((0.62, 0.58, 0.52), (0.30, 0.2, 0.12))
    window(-1.6, 1.75, 1.15, 1.25, 3.0)
    shelf(1.5, 1.7, 5, rng)
    office_chair(0.15, 1.6)
    desk(-1.3, 2.3)
    plant(0.75, 2.4, 1.2, rng)


def hall(rng, folder, picture):
    walls((0.45, 0.5, 0.42), (0.2, 0.2, 0.2))
    coat_stand(0.55, 2.0)
    framed(-0.75, 1.55, 0.62, 0.8, picture)
    dog(-1.2, 2.1, 0.9)
    floor_lamp(1.6, 2.4)


def lounge(rng, folder, picture):
    walls((0.55, 0.42, 0.36), (0.25, 0.13, 0.07))
    sofa(0.1, 2.0)
    framed(0.05, 1.7, 0.9, 0.55, None)
    floor_lamp(-1.5, 2.2)
    plant(1.7, 2.3, 1.3, rng, 40)
    office_chair(1.15, 1.1, 160)


def gallery(rng, folder, picture):
    walls((0.75, 0.74, 0.72), (0.4, 0.38, 0.35))
    statue(folder, 0.45, 2.2, 0.25)
    framed(-0.9, 1.5, 0.55, 0.75, picture)
    framed(1.6, 1.5, 0.5, 0.6, None)


def garage(rng, folder, picture):
    walls((0.4, 0.41, 0.43), (0.16, 0.16, 0.17), 5.0)
    car(0.5, 3.2, 0.0, 0.85)
    shelf(-2.2, 1.2, 4, rng, 4.8)
    coat_stand(-0.9, 2.4, (0.03, 0.06, 0.16))


def dark_room(rng, folder, picture):
    walls((0.1, 0.09, 0.1), (0.06, 0.04, 0.03))
    framed(0.05, 1.62, 0.75, 0.85, None)
    framed(-1.15, 1.6, 0.5, 0.7, picture)
    dog(1.15, 1.9, 1.1, (0.03, 0.025, 0.02))
    floor_lamp(1.7, 2.5, 5.0)
    sofa(-1.1, 2.0, (0.05, 0.05, 0.07), 1.4)


ROOMS = {
    "office": office,
    "hall": hall,
    "lounge": lounge,
    "gallery": gallery,
    "garage": garage,
    "dark": dark_room,
}

# Which panorama, and where its camera looks: to the right, up, and how wide (degrees).
# The first seven are views in which the network sees people; there are none.
VIEWS = {
    "interior_bed": ("interior", 100, -15, 75),
    "courtyard_sun": ("courtyard", 300, -5, 75),
    "night_grass": ("night", 240, -15, 50),
    "courtyard_wall": ("courtyard", 100, -15, 75),
    "sunrise_tree": ("sunrise", 280, -5, 75),
    "night_trees": ("night", 120, -5, 35),
    "sunset_quay": ("sunset", 40, -15, 75),
    "interior_0": ("interior", 0, -5, 75),
    "interior_1": ("interior", 120, -5, 75),
    "interior_2": ("interior", 240, -5, 75),
    "courtyard_0": ("courtyard", 30, 0, 75),
    "courtyard_1": ("courtyard", 150, 0, 75),
    "courtyard_2": ("courtyard", 270, 0, 75),
    "city_0": ("city", 0, 0, 75),
    "city_1": ("city", 120, 0, 75),
    "city_2": ("city", 240, 0, 75),
    "forest_0": ("forest", 60, 0, 75),
}


def model(name, folder, path, picture):
    rng = np.random.default_rng(sorted(ROOMS).index(name) + 1)
    scene = blender.new_scene(MODELLED, 8)
    ROOMS[name](rng, folder, picture)
    dim = 0.3 if name == "dark" else 1.0
    blender.lamp((0.3, -1.5, 2.7), (0, 3, 1.2), 2.0, 130 * dim, (1, 0.95, 0.88))
    blender.lamp((-2.5, 0.5, 2.7), (0.5, 2.5, 0.8), 1.0, 50 * dim, (0.9, 0.95, 1))
    blender.aim((0, -1.35, 1.4), (0, 3, 1.25), 34)
    scene.render.filepath = path
    bpy.ops.render.render(write_still=True)


def view(name, path):
    """A perspective view into a panorama, sharpened where Blender's small files leave it soft."""
    source, right, up, wide = VIEWS[name]
    data = pathlib.Path(bpy.utils.resource_path("LOCAL")) / "datafiles/studiolights/world"
    image = bpy.data.images.load(str(data / f"{source}.exr"))
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    values = values.reshape(height, width, 4)[::-1, :, :3]
    x, y = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    focal = SIZE[0] / 2 / math.tan(math.radians(wide) / 2)
    ray = np.stack([x - SIZE[0] / 2, SIZE[1] / 2 - y, np.full(x.shape, focal)], -1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    tilt = math.radians(up)
    ray_y = ray[..., 1] * math.cos(tilt) + ray[..., 2] * math.sin(tilt)
    ray_z = ray[..., 2] * math.cos(tilt) - ray[..., 1] * math.sin(tilt)
    column = (np.arctan2(ray[..., 0], ray_z) / (2 * math.pi) + right / 360 + 0.5) % 1 * width - 0.5
    row = (0.5 - np.arcsin(ray_y) / math.pi) * height - 0.5
    import cv2

    # Lamps and the sun are far brighter than the rest: cubic weights would ring around them.
    values = np.minimum(values, 20 * np.median(values))
    wrapped = np.concatenate([values[:, -2:], values, values[:, :3]], 1)
    seen = cv2.remap(
        wrapped,
        (column + 2).astype(np.float32),
        row.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    exposure = 0.18 / np.exp(np.log(np.maximum(seen.mean(-1), 1e-4)).mean())
    tone = np.maximum(seen * exposure, 0)
    tone = tone * (1 + tone / 9) / (1 + tone)
    srgb = np.where(
        tone <= 0.0031308, 12.92 * tone, 1.055 * np.maximum(tone, 1e-9) ** (1 / 2.4) - 0.055
    )
    cv2.imwrite(path, (np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)[..., ::-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mpfb2")
    parser.add_argument("out")
    parser.add_argument("--room", choices=[*ROOMS, *VIEWS], action="append")
    parser.add_argument("--portrait", help="a rendered person, for the framed portrait")
    asked = parser.parse_args()
    os.makedirs(asked.out, exist_ok=True)
    for name in asked.room or [*VIEWS, *ROOMS]:
        path = os.path.abspath(os.path.join(asked.out, f"{name}.png"))
        if not os.path.exists(path):
            if name in VIEWS:
                view(name, path)
            else:
                model(name, asked.mpfb2, path, asked.portrait and os.path.abspath(asked.portrait))
            print(path, flush=True)


if __name__ == "__main__":
    main()
