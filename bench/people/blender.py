"""The Blender scene that people and rooms share: renderer, materials, lights, camera."""

import math

import bpy
from mathutils import Vector


def new_scene(size, samples, seed=1, transparent=False):
    """An empty scene that Cycles renders on one thread, denoised."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.samples = samples
    cycles.use_adaptive_sampling = True
    cycles.adaptive_threshold = 0.05
    cycles.use_denoising = True
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_prefilter = "FAST"
    cycles.max_bounces = 4
    cycles.diffuse_bounces = 2
    cycles.glossy_bounces = 2
    cycles.transparent_max_bounces = 8
    cycles.seed = seed
    scene.cycles_curves.shape = "RIBBONS"
    render = scene.render
    render.threads_mode = "FIXED"
    render.threads = 1
    render.resolution_x, render.resolution_y = size
    render.film_transparent = transparent
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGBA"
    render.use_persistent_data = True
    scene.view_settings.view_transform = "Filmic"
    scene.view_settings.look = "Medium High Contrast"
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    scene.world = world
    background(0.25, (0.75, 0.82, 1.0))
    camera = bpy.data.cameras.new("camera")
    scene.camera = bpy.data.objects.new("camera", camera)
    scene.collection.objects.link(scene.camera)
    return scene


def background(strength, color):
    node = bpy.context.scene.world.node_tree.nodes["Background"]
    node.inputs[0].default_value = (*color, 1)
    node.inputs[1].default_value = strength


def material(color, rough=0.6, emit=0.0, **inputs):
    made = bpy.data.materials.new("material")
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*color, 1)
    shader.inputs["Roughness"].default_value = rough
    if emit:
        shader.inputs["Emission Color"].default_value = (*color, 1)
        shader.inputs["Emission Strength"].default_value = emit
    for name, value in inputs.items():
        shader.inputs[name.replace("_", " ")].default_value = value
    return made


def look_at(thing, target):
    way = Vector(target) - Vector(thing.location)
    thing.rotation_euler = way.to_track_quat("-Z", "Y").to_euler()


def lamp(place, target, size, power, color=(1, 1, 1)):
    light = bpy.data.lights.new("lamp", "AREA")
    light.size, light.energy, light.color = size, power, color
    made = bpy.data.objects.new("lamp", light)
    bpy.context.scene.collection.objects.link(made)
    made.location = place
    look_at(made, target)
    return made


def aim(place, target, lens):
    camera = bpy.context.scene.camera
    camera.location = place
    look_at(camera, target)
    camera.data.lens = lens


def degrees(*angles):
    return tuple(math.radians(angle) for angle in angles)
