"""A MakeHuman body that Blender can render: shape, skin, clothes, hair, and how it is posed.

The base mesh is y up in decimetres and looks along z; the scene is z up in metres and the person
looks along -y, towards the camera.
"""

import gzip
import json
import math
import os

import blender
import bpy
import hair
import numpy as np
from mathutils import Vector

BODY_VERTICES = 13380


def turn(axis, angle):
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return np.array(
        {
            "x": [[1, 0, 0], [0, cos, -sin], [0, sin, cos]],
            "y": [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]],
            "z": [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]],
        }[axis]
    )


def to_scene(points):
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1) * 0.1


class Body:
    def __init__(self, folder, person):
        self.folder = folder
        self.person = person
        self.rng = np.random.default_rng(person.seed)
        self.read_mesh()
        self.shape()
        self.read_rig()
        self.measure_head()
        self.parts = []
        self.strands = []
        self.rigid = []
        self.dress()
        hair.grow(self)
        if person.glasses:
            self.add_glasses()
        if person.holds:
            self.add_held()

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    # The mesh and its shape

    def read_mesh(self):
        points, uvs, self.faces, self.face_uvs, groups = [], [], [], [], []
        group = ""
        with open(self.path("3dobjs", "base.obj")) as lines:
            for line in lines:
                words = line.split()
                if not words:
                    continue
                if words[0] == "v":
                    points.append([float(word) for word in words[1:4]])
                elif words[0] == "vt":
                    uvs.append([float(word) for word in words[1:3]])
                elif words[0] == "g":
                    group = words[1]
                elif words[0] == "f":
                    corners = [word.split("/") for word in words[1:]]
                    self.faces.append([int(corner[0]) - 1 for corner in corners])
                    self.face_uvs.append([int(corner[1]) - 1 for corner in corners])
                    groups.append(group)
        self.points = np.array(points)
        self.uvs = np.array(uvs)
        self.groups = np.array(groups)

    def target(self, name):
        """The shift of each point at a target's full strength."""
        moves = np.zeros_like(self.points)
        path = self.path("targets", name + ".target.gz")
        opened = gzip.open(path, "rt") if os.path.exists(path) else open(path[:-3])
        with opened as lines:
            for line in lines:
                words = line.split()
                if len(words) == 4 and not line.startswith("#"):
                    moves[int(words[0])] = [float(word) for word in words[1:]]
        return moves

    def shape(self):
        person = self.person
        moved = sum(
            share * self.target(f"macrodetails/{origin}-{person.sex}-{person.age}")
            for origin, share in person.origin.items()
        )
        whole = f"universal-{person.sex}-{person.age}-averagemuscle-{person.weight}"
        self.points = self.points + moved + self.target(f"macrodetails/{whole}")
        unit = "expression/units/caucasian/"
        self.faces_made = {
            "eyes": self.target(unit + "eye-left-closure")
            + self.target(unit + "eye-right-closure"),
            "mouth": self.target(unit + "mouth-open"),
        }

    def read_rig(self):
        with open(self.path("rigs", "standard", "rig.default.json")) as text:
            rig = json.load(text)
        with open(self.path("rigs", "standard", "weights.default.json")) as text:
            weights = json.load(text)["weights"]
        with open(self.path("mesh_metadata", "basemesh_vertex_groups.json")) as text:
            self.vertex_groups = json.load(text)
        self.parent = {bone: rig[bone]["parent"] for bone in rig}
        self.bones = []
        for bone in rig:
            chain = []
            while bone and bone not in self.bones:
                chain.append(bone)
                bone = self.parent[bone]
            self.bones += reversed(chain)
        self.number = {bone: n for n, bone in enumerate(self.bones)}
        self.heads = {bone: self.bone_head(rig[bone]["head"]) for bone in self.bones}
        self.weights = np.zeros((len(self.points), len(self.bones)), np.float32)
        for bone, pairs in weights.items():
            for vertex, weight in pairs:
                self.weights[vertex, self.number[bone]] = weight
        self.weights[self.weights.sum(1) == 0, self.number["root"]] = 1
        self.weights /= self.weights.sum(1, keepdims=True)

    def bone_head(self, head):
        if head["strategy"] == "CUBE":
            return self.points[self.group(head["cube_name"])].mean(0)
        if head["strategy"] == "VERTEX":
            return self.points[head["vertex_index"]].copy()
        return self.points[head["vertex_indices"]].mean(0)

    def group(self, name):
        spans = self.vertex_groups[name]
        return np.concatenate([np.arange(first, last + 1) for first, last in spans])

    # Masks over the mesh

    def texture_mask(self, name):
        """A MakeHuman mask, read at each vertex."""
        picture = bpy.data.images.load(self.path("textures", f"mpfb_{name}.jpg"))
        wide, high = picture.size
        values = np.empty(wide * high * 4, np.float32)
        picture.pixels.foreach_get(values)
        values = values.reshape(high, wide, 4)[..., 0]
        at = np.zeros((len(self.points), 2))
        for face, corners in zip(self.faces, self.face_uvs):
            at[face] = self.uvs[corners]
        row = np.clip((at[:, 1] * high).astype(int), 0, high - 1)
        column = np.clip((at[:, 0] * wide).astype(int), 0, wide - 1)
        return values[row, column]

    def measure_head(self):
        points, head = self.points, self.heads["head"]
        self.eye_y = (self.heads["eye.L"][1] + self.heads["eye.R"][1]) / 2
        on_head = (np.arange(len(points)) < BODY_VERTICES) & (points[:, 1] > head[1] - 0.6)
        self.top = points[on_head, 1].max()
        self.front, self.back = points[on_head, 2].max(), points[on_head, 2].min()
        # 0 at the eyes and 1 at the crown; 0 at the back of the head and 1 at the nose.
        height = (points[:, 1] - self.eye_y) / (self.top - self.eye_y)
        forward = (points[:, 2] - self.back) / (self.front - self.back)
        line = np.interp(
            forward,
            [0.0, 0.35, 0.5, 0.60, 0.72, 0.85, 1.0],
            [-0.75, -0.55, -0.18, 0.15, 0.56, 0.66, 0.9],
        )
        line = line + 0.03 * np.sin(points[:, 0] * 9)
        self.scalp = on_head & (height > line) & (self.texture_mask("ears") < 0.3)
        ear = (height < 0.12) & (np.abs(points[:, 0]) > 0.52) & (forward > 0.42)
        self.hairy = self.scalp & ~ear

    # Skin and clothes

    def add_part(self, keep, made, subdivide=0, puff=0.0, attribute=None):
        """Makes a thing of the faces in `keep`, which follows the body's points."""
        kept = np.where(keep)[0]
        vertices = np.unique(np.concatenate([self.faces[n] for n in kept]))
        place = {vertex: n for n, vertex in enumerate(vertices)}
        mesh = bpy.data.meshes.new("part")
        mesh.from_pydata(
            to_scene(self.points[vertices]).tolist(),
            [],
            [[place[vertex] for vertex in self.faces[n]] for n in kept],
        )
        uvs = np.array([self.uvs[at] for n in kept for at in self.face_uvs[n]], np.float32)
        mesh.uv_layers.new(name="UVMap").data.foreach_set("uv", uvs.ravel())
        mesh.shade_smooth()
        for name, values in (attribute or {}).items():
            layer = mesh.attributes.new(name, "FLOAT", "POINT")
            layer.data.foreach_set("value", values[vertices].astype(np.float32))
        mesh.materials.append(made)
        thing = bpy.data.objects.new("part", mesh)
        bpy.context.scene.collection.objects.link(thing)
        if puff:
            change = thing.modifiers.new("puff", "DISPLACE")
            change.strength, change.mid_level = puff, 0
        if subdivide:
            change = thing.modifiers.new("smooth", "SUBSURF")
            change.levels = change.render_levels = subdivide
        self.parts.append((thing, vertices))
        return thing

    def skin(self):
        color = np.array(self.person.skin)
        made = blender.material(self.person.skin, 0.5)
        tree = made.node_tree
        shader = tree.nodes["Principled BSDF"]
        place = tree.nodes.new("ShaderNodeTexCoord")
        noise = tree.nodes.new("ShaderNodeTexNoise")
        noise.inputs["Scale"].default_value = 9
        noise.inputs["Detail"].default_value = 6
        tree.links.new(place.outputs["UV"], noise.inputs["Vector"])
        ramp = tree.nodes.new("ShaderNodeValToRGB")
        ends = ramp.color_ramp.elements
        ends[0].position, ends[0].color = 0.3, (*(color * 0.76), 1)
        ends[1].position, ends[1].color = 0.7, (*(color * 1.02), 1)
        tree.links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
        last = ramp.outputs["Color"]

        def mixed(factor, other):
            mix = tree.nodes.new("ShaderNodeMix")
            mix.data_type = "RGBA"
            mix.inputs[7].default_value = (*other, 1)
            tree.links.new(factor, mix.inputs[0])
            tree.links.new(last, mix.inputs[6])
            return mix.outputs[2]

        for name, tint, share in (
            ("lips", (0.68, 0.34, 0.37), 0.8),
            ("ears", (0.95, 0.65, 0.62), 0.5),
            ("eyelids", (0.72, 0.5, 0.5), 0.4),
        ):
            picture = tree.nodes.new("ShaderNodeTexImage")
            picture.image = bpy.data.images.load(self.path("textures", f"mpfb_{name}.jpg"))
            picture.image.colorspace_settings.name = "Non-Color"
            tree.links.new(place.outputs["UV"], picture.inputs["Vector"])
            times = tree.nodes.new("ShaderNodeMath")
            times.operation = "MULTIPLY"
            times.inputs[1].default_value = share
            tree.links.new(picture.outputs["Color"], times.inputs[0])
            last = mixed(times.outputs[0], color * np.array(tint))
        if self.person.hair != "none":
            under = tree.nodes.new("ShaderNodeAttribute")
            under.attribute_name = "scalp"
            last = mixed(under.outputs["Fac"], np.array(self.person.hair_color) * 0.8)
        tree.links.new(last, shader.inputs["Base Color"])
        return made

    def eye_rings(self):
        """0 in the middle of the iris, 1 at the ball's edge, more behind."""
        rings = np.zeros(len(self.points))
        for name in ("helper-l-eye", "helper-r-eye"):
            at = self.group(name)
            way = self.points[at] - self.points[at].mean(0)
            radius = np.linalg.norm(way, axis=1).max()
            rings[at] = np.hypot(way[:, 0], way[:, 1]) / radius + (way[:, 2] < 0) * 2
        return rings

    def eye(self):
        made = blender.material((0.9, 0.88, 0.86), 0.08)
        tree = made.node_tree
        rings = tree.nodes.new("ShaderNodeAttribute")
        rings.attribute_name = "rings"
        ramp = tree.nodes.new("ShaderNodeValToRGB")
        ends = ramp.color_ramp.elements
        ends[0].position, ends[0].color = 0.0, (0.005, 0.005, 0.005, 1)
        ends[1].position, ends[1].color = 1.0, (0.80, 0.74, 0.70, 1)
        for at, color in (
            (0.17, (0.005, 0.005, 0.005)),
            (0.19, (0.13, 0.07, 0.03)),
            (0.38, (0.2, 0.11, 0.05)),
            (0.42, (0.03, 0.02, 0.02)),
            (0.47, (0.80, 0.75, 0.72)),
        ):
            ends.new(at).color = (*color, 1)
        tree.links.new(rings.outputs["Fac"], ramp.inputs["Fac"])
        shader = tree.nodes["Principled BSDF"]
        tree.links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
        return made

    def dress(self):
        points, neck = self.points, self.heads["neck01"]

        def collar(at):
            return neck[1] + 0.02 + 0.42 * np.clip(neck[2] - at[:, 2], -1, 1)

        middle = np.array([points[face].mean(0) for face in self.faces])
        tights = self.groups == "helper-tights"
        cloth = self.group("helper-tights")
        # A crew neck: the top row of the cloth is clamped to the collar's line.
        open_neck = np.array(
            [(points[face, 1] < collar(points[face])).any() for face in self.faces]
        )
        line = collar(points[cloth])
        above = points[cloth, 1] > line
        points[cloth[above], 1] = line[above]
        waist = self.heads["spine05"][1] - 0.6
        bare = [
            n
            for bone, n in self.number.items()
            if bone.startswith(("finger", "metacarpal", "wrist"))
        ]
        feet = [n for bone, n in self.number.items() if bone.startswith(("foot", "toe"))]

        def mostly(bones):
            share = self.weights[:, bones].sum(1)
            return np.array([share[face].mean() > 0.5 for face in self.faces])

        hands, shoes = mostly(bare), mostly(feet)
        highest = np.array([points[face, 1].max() for face in self.faces])
        skin = (self.groups == "body") & ~((highest < collar(middle) - 0.25) & ~hands)
        self.add_part(skin, self.skin(), 1, attribute={"scalp": self.scalp * 0.85})
        upper = tights & (middle[:, 1] > waist)
        shirt = self.add_part(
            upper & open_neck & ~hands, blender.material(self.person.shirt, 0.85), 2, 0.010
        )
        folds = bpy.data.textures.new("folds", "CLOUDS")
        folds.noise_scale, folds.noise_depth = 0.035, 2
        change = shirt.modifiers.new("folds", "DISPLACE")
        change.texture, change.texture_coords = folds, "UV"
        change.strength, change.mid_level = 0.022, 0.5
        shirt.modifiers.new("thick", "SOLIDIFY").thickness = 0.004
        self.add_part(
            tights & (middle[:, 1] <= waist + 0.25) & ~shoes,
            blender.material(self.person.trousers, 0.9),
            1,
            0.006,
        )
        self.add_part(
            (self.groups == "body") & shoes, blender.material((0.03, 0.02, 0.02), 0.4), 1, 0.008
        )
        rings = {"rings": self.eye_rings()}
        for name in ("helper-l-eye", "helper-r-eye"):
            self.add_part(self.groups == name, self.eye(), 2, attribute=rings)
        lashes = np.char.find(self.groups, "eyelashes") >= 0
        self.add_part(lashes, blender.material((0.01, 0.008, 0.006)))
        teeth = np.isin(self.groups, ["helper-upper-teeth", "helper-lower-teeth"])
        self.add_part(teeth, blender.material((0.75, 0.7, 0.6), 0.3), 1)

    # Hair, glasses, things in the hand: rigid with a bone

    def add_strands(self, strands, radius, made):
        count, points = strands.shape[:2]
        curves = bpy.data.hair_curves.new("strands")
        curves.add_curves([points] * count)
        thick = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
        taper = np.tile(np.linspace(radius, radius * 0.25, points), count)
        thick.data.foreach_set("value", taper.astype(np.float32))
        curves.materials.append(made)
        thing = bpy.data.objects.new("strands", curves)
        bpy.context.scene.collection.objects.link(thing)
        self.strands.append((thing, strands, "head"))

    def add_rigid(self, bone, made):
        """The active object, moved into the body's units so that it follows `bone`."""
        thing = bpy.context.object
        mesh = thing.data
        mesh.transform(thing.matrix_world)
        thing.matrix_world.identity()
        mesh.materials.append(made)
        points = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", points)
        x, y, z = points.reshape(-1, 3).T * 10
        self.rigid.append((thing, np.stack([x, z, -y], -1), bone))

    def add_glasses(self):
        made = blender.material((0.02, 0.02, 0.02), 0.3)
        for bone in ("eye.L", "eye.R"):
            eye = to_scene(self.heads[bone])
            ahead = -0.1 * self.front - 0.002
            bpy.ops.mesh.primitive_torus_add(
                location=(eye[0], ahead + 0.012, eye[2] - 0.004),
                rotation=blender.degrees(90, 0, 0),
                major_radius=0.024,
                minor_radius=0.0022,
                major_segments=32,
                minor_segments=8,
            )
            bpy.context.view_layer.update()
            self.add_rigid("head", made)
            side = math.copysign(1, eye[0])
            start = np.array([eye[0] + side * 0.024, ahead + 0.012, eye[2]])
            end = np.array([side * 0.073, ahead + 0.115, eye[2] + 0.006])
            self.add_bar(start, end, made)
        left, right = to_scene(self.heads["eye.L"]), to_scene(self.heads["eye.R"])
        bridge = [
            np.array([eye[0] - math.copysign(0.024, eye[0]), ahead + 0.012, eye[2]])
            for eye in (left, right)
        ]
        self.add_bar(*bridge, made)

    def add_bar(self, start, end, made):
        way = Vector(end - start)
        bpy.ops.mesh.primitive_cylinder_add(
            radius=0.0018,
            depth=way.length,
            vertices=8,
            location=tuple((start + end) / 2),
            rotation=way.to_track_quat("Z", "Y").to_euler(),
        )
        bpy.context.view_layer.update()
        self.add_rigid("head", made)

    def add_held(self):
        """A thing in the left hand. It belongs to the foreground: the alpha holds it."""
        wrist = to_scene(self.heads["wrist.L"])
        finger = to_scene(self.heads["finger3-1.L"])
        palm = finger + 0.2 * (finger - wrist)
        along = Vector(finger - wrist)
        if self.person.holds == "mug":
            bpy.ops.mesh.primitive_cylinder_add(
                radius=0.042,
                depth=0.1,
                vertices=32,
                location=tuple(palm + [0, -0.05, 0]),
                rotation=along.to_track_quat("Z", "Y").to_euler(),
            )
            color = (0.75, 0.75, 0.7)
        else:
            bpy.ops.mesh.primitive_cube_add(
                size=1,
                location=tuple(palm + [0, -0.03, 0]),
                scale=(0.15, 0.21, 0.025),
                rotation=along.to_track_quat("Y", "Z").to_euler(),
            )
            color = (0.45, 0.10, 0.04)
        bpy.context.view_layer.update()
        self.add_rigid("wrist.L", blender.material(color, 0.4))

    # Posing

    def transforms(self, bones):
        made = np.zeros((len(self.bones), 4, 4))
        for bone in self.bones:
            own = np.eye(4)
            if bone in bones:
                head = self.heads[bone]
                own[:3, :3] = bones[bone]
                own[:3, 3] = head - bones[bone] @ head
            parent = self.parent[bone]
            made[self.number[bone]] = own if not parent else made[self.number[parent]] @ own
        return made

    def pose(self, bones, faces, angle):
        """Moves all to a pose: turns by bone, strengths by face, and the whole body's turn."""
        points = self.points + sum(share * self.faces_made[name] for name, share in faces.items())
        by_bone = self.transforms(bones)
        whole = turn("y", angle)
        blend = np.einsum("vb,bij->vij", self.weights, by_bone)
        moved = np.einsum("vij,vj->vi", blend[:, :3, :3], points) + blend[:, :3, 3]
        self.moved = to_scene(moved @ whole.T)
        for thing, vertices in self.parts:
            places = self.moved[vertices].astype(np.float32)
            thing.data.vertices.foreach_set("co", places.ravel())
            thing.data.update()
        for thing, own, bone in self.strands + self.rigid:
            bone = by_bone[self.number[bone]]
            places = to_scene((own @ bone[:3, :3].T + bone[:3, 3]) @ whole.T).astype(np.float32)
            if hasattr(thing.data, "vertices"):
                thing.data.vertices.foreach_set("co", places.ravel())
                thing.data.update()
            else:
                thing.data.attributes["position"].data.foreach_set("vector", places.ravel())
                thing.data.update_tag()
        bpy.context.view_layer.update()

    def eyes(self):
        return to_scene((self.heads["eye.L"] + self.heads["eye.R"]) / 2)

    def bounds(self):
        seen = self.moved[:BODY_VERTICES]
        return seen.min(0), seen.max(0)
