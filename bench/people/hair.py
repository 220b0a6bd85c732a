"""The hair of a body: of the head, and the eyebrows. Strands are rigid with the head."""

import math
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree


@dataclass(frozen=True)
class Style:
    """How hair grows: `lengths` in decimetres from the nape to the crown."""

    strands: int
    segments: int
    lift: float
    gravity: float
    loose: float
    lengths: tuple
    curls: bool = False
    avoids_face: bool = False


STYLES = {
    "short": Style(20000, 6, 0.30, 0.22, 0.10, (0.08, 0.16, 0.38, 0.5)),
    "long": Style(18000, 10, 0.30, 0.42, 0.09, (1.2, 2.0, 2.8, 3.2), avoids_face=True),
    "curly": Style(16000, 9, 0.9, 0.03, 0.16, (0.35, 0.6, 0.8, 0.85), curls=True),
}


def grow(body):
    made = material(body.person.hair_color)
    if body.person.hair != "none":
        body.add_strands(head(body, STYLES[body.person.hair]), 0.0003, made)
    body.add_strands(brows(body), 0.00012, made)


def material(color):
    color = np.array(color)
    made = bpy.data.materials.new("hair")
    made.use_nodes = True
    tree = made.node_tree
    shader = tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = 0.5
    shader.inputs["Specular IOR Level"].default_value = 0.35
    info = tree.nodes.new("ShaderNodeHairInfo")
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].color = (*(color * 0.5), 1)
    ramp.color_ramp.elements[1].color = (*(color * 1.6), 1)
    tree.links.new(info.outputs["Random"], ramp.inputs["Fac"])
    tree.links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
    return made


def roots(body, count):
    """Where strands begin, evenly over the hairy skin, and the skin's normal there."""
    triangles = []
    for n in np.where(body.groups == "body")[0]:
        face = body.faces[n]
        if body.hairy[face].all():
            triangles += [(face[0], face[k], face[k + 1]) for k in range(1, len(face) - 1)]
    first, second, third = (body.points[at] for at in np.array(triangles).T)
    cross = np.cross(second - first, third - first)
    area = np.linalg.norm(cross, axis=1)
    pick = body.rng.choice(len(area), count, p=area / area.sum())
    u, v = body.rng.random((2, count, 1))
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    at = first[pick] + u * (second - first)[pick] + v * (third - first)[pick]
    return at, cross[pick] / area[pick, None]


def unit(ways):
    return ways / np.linalg.norm(ways, axis=1, keepdims=True)


def head(body, style):
    rng = body.rng
    at, normal = roots(body, style.strands)
    side = np.sign(at[:, 0] - 0.25) * 0.7 * np.clip(1.2 - np.abs(at[:, 0]), 0.2, 1)
    comb = np.stack([side, np.full(len(at), -0.15), np.where(at[:, 2] > 0.2, -0.15, -0.5)], 1)
    comb -= (comb * normal).sum(1, keepdims=True) * normal
    way = unit(style.lift * normal + comb + style.loose * rng.normal(size=at.shape))
    if style.curls:
        way = unit(normal + 0.25 * rng.normal(size=at.shape))
    high = (at[:, 1] - body.eye_y) / (body.top - body.eye_y)
    length = np.interp(high, [-0.7, 0, 0.5, 1], style.lengths)
    step = length[:, None] * rng.uniform(0.75, 1.1, (len(at), 1)) / style.segments
    skull = np.array([0, body.eye_y + 0.15, (body.front + body.back) / 2 - 0.1])
    phase = rng.uniform(0, 2 * math.pi, (len(at), 1))
    strand = [at]
    for n in range(style.segments):
        way = way + style.gravity * np.array([0, -1, 0])
        way = unit(way + style.loose * 0.35 * rng.normal(size=way.shape))
        curl = 0
        if style.curls:
            twist = phase + n * 2.1
            curl = 0.9 * np.concatenate([np.cos(twist), np.sin(twist), np.cos(twist + 1)], 1)
        point = strand[-1] + (way + curl) * step
        # Strands stay outside of the skull.
        out = (point - skull) / np.array([0.80, 1.02, 0.98])
        far = np.linalg.norm(out, axis=1, keepdims=True)
        inside = (far < 1.0) & (point[:, 1:2] > body.eye_y - 0.3)
        point = np.where(inside, skull + (point - skull) / np.maximum(far, 1e-6), point)
        if style.avoids_face:
            low = point[:, 1] < body.eye_y + 0.35
            ahead = low & (point[:, 2] > 0.2) & (np.abs(point[:, 0]) < 0.72)
            point[ahead, 0] = np.sign(point[ahead, 0] + 1e-9) * 0.72
        strand.append(point)
    return np.stack(strand, 1)


def brows(body):
    rng = body.rng
    skin = [face for n, face in enumerate(body.faces) if body.groups[n] == "body"]
    used = 1 + max(max(face) for face in skin)
    tree = BVHTree.FromPolygons([tuple(point) for point in body.points[:used]], skin)
    eye = abs(body.heads["eye.L"][0])
    strands = []
    for side in (-1, 1):
        for _ in range(420):
            u = rng.random()
            x = eye - 0.20 + 0.46 * u
            y = body.eye_y + 0.205 + 0.07 * math.sin(math.pi * min(u * 1.15, 1)) - 0.05 * u
            y += rng.normal() * 0.020 * (1.1 - u)
            hit, normal, _, _ = tree.ray_cast(
                Vector((side * x, y, body.front + 2)), Vector((0, 0, -1))
            )
            if hit is None:
                continue
            way = np.array([side, 0.45 * (1 - 1.6 * u), -0.25]) + 0.12 * rng.normal(size=3)
            way /= np.linalg.norm(way)
            normal = np.array(normal)
            root = np.array(hit) + normal * 0.006
            middle, end = root + (way + 0.12 * normal) * 0.05, root + (way + 0.05 * normal) * 0.1
            strands.append([root, middle, end])
    return np.array(strands)
