#!/usr/bin/env python3
"""Compares `hard` mattes with the category mask of MediaPipe's ImageSegmenter, on identical RGB
input.

    pip install mediapipe==0.10.14 "numpy<2"
    cargo build --release -p mattebox-core --example matte
    python bench/hard_vs_mediapipe.py [VIDEO] [--sizes 640x360,1280x720,481x363]

Prints for each size the mean and the worst share of differing pixels; fails where a frame differs
in more than 0.1 %.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "crates/net/model/selfie_segmentation.tflite"
MATTE = ROOT / "target/release/examples/matte"


def segmenter(model=MODEL, confidence=False):
    """MediaPipe's ImageSegmenter with our model file: it asks for metadata that the file lacks
    (bytes become 0..1)."""
    from mediapipe.tasks.python import BaseOptions, vision
    from mediapipe.tasks.python.metadata.metadata_writers import image_segmenter as writer

    made = writer.MetadataWriter.create(
        bytearray(model.read_bytes()), [0.0], [255.0], activation=writer.Activation.NONE
    )
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(made.populate()[0])
        file.flush()
        options = vision.ImageSegmenterOptions(
            base_options=BaseOptions(model_asset_path=file.name),
            output_category_mask=True,
            output_confidence_masks=confidence,
        )
        return vision.ImageSegmenter.create_from_options(options)


def mask(segmenter, picture):
    """`[height][width]` bool: person. In MediaPipe's category mask of this model 0 is the
    person."""
    import mediapipe
    import numpy

    image = mediapipe.Image(
        image_format=mediapipe.ImageFormat.SRGB, data=numpy.ascontiguousarray(picture)
    )
    return segmenter.segment(image).category_mask.numpy_view() == 0


def frames(video, width, height):
    """The video's frames as `[frames][height][width][3]` bytes."""
    import numpy

    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(video),
        "-vf",
        f"scale={width}:{height}",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return numpy.frombuffer(raw, numpy.uint8).reshape(-1, height, width, 3)


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("video", nargs="?", default=ROOT / "samples/person.mp4")
    arguments.add_argument("--sizes", default="640x360")
    arguments = arguments.parse_args()
    import numpy

    theirs, failed = segmenter(), False
    for size in arguments.sizes.split(","):
        width, height = map(int, size.split("x"))
        pictures = frames(arguments.video, width, height)
        ours = subprocess.run(
            [MATTE, "hard", str(width), str(height), "25"],
            input=pictures.tobytes(),
            capture_output=True,
            check=True,
        )
        ours = numpy.frombuffer(ours.stdout, numpy.uint8).reshape(-1, height, width) > 127
        differ = numpy.array(
            [(a != mask(theirs, p)).sum() for a, p in zip(ours, pictures, strict=True)]
        )
        share, worst = 100 * differ / (width * height), int(differ.argmax())
        print(
            f"{size}: {len(differ)} frames, mean {share.mean():.5f} %, worst {share[worst]:.5f} % "
            f"({differ[worst]} pixels, frame {worst})"
        )
        failed |= bool(share[worst] > 0.1)
    sys.exit(failed)


if __name__ == "__main__":
    main()
