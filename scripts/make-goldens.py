#!/usr/bin/env python3
"""Makes crates/net/tests/goldens: pictures and LiteRT's results for them, which the executor must
reproduce.

    python3 -m venv .venv
    .venv/bin/pip install ai-edge-litert==2.3.0 numpy==2.4.6 opencv-python-headless==5.0.0.93
    make model && .venv/bin/python scripts/make-goldens.py

Of each network, some frames of samples/person.mp4, resized to its input and stored as 8-bit PNG, so
that the test reads the very numbers that LiteRT got; and the confidence as 16-bit grey PNG. Storing
rounds the confidence by at most 0.5 / 65535 = 7.7e-6, which is far below the 1e-4 that the test
allows."""

import pathlib

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "crates/net/tests/goldens"
NETWORKS = {
    "general": "selfie_segmentation.tflite",
    "landscape": "selfie_segmentation_landscape.tflite",
}
FRAMES = [0, 18, 37, 56, 74]
SMALLEST = [cv2.IMWRITE_PNG_COMPRESSION, 9]


def frames(clip):
    capture = cv2.VideoCapture(str(clip))
    while (read := capture.read())[0]:
        yield read[1]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    pictures = [
        picture
        for number, picture in enumerate(frames(ROOT / "samples/person.mp4"))
        if number in FRAMES
    ]
    for name, file in NETWORKS.items():
        interpreter = Interpreter(str(ROOT / "crates/net/model" / file), num_threads=1)
        interpreter.allocate_tensors()
        source, target = (
            interpreter.get_input_details()[0],
            interpreter.get_output_details()[0]["index"],
        )
        height, width = source["shape"][1:3]
        for number, picture in zip(FRAMES, pictures):
            picture = cv2.resize(picture, (int(width), int(height)), interpolation=cv2.INTER_AREA)
            interpreter.set_tensor(
                source["index"], (picture[None, :, :, ::-1] / np.float32(255)).astype("f4")
            )
            interpreter.invoke()
            confidence = np.rint(
                interpreter.get_tensor(target).reshape(height, width).astype("f8") * 65535
            ).astype("u2")
            cv2.imwrite(str(OUT / f"{name}-{number:02}-picture.png"), picture, SMALLEST)
            cv2.imwrite(str(OUT / f"{name}-{number:02}-confidence.png"), confidence, SMALLEST)
    print(sum(f.stat().st_size for f in OUT.iterdir()), "bytes in", OUT)


if __name__ == "__main__":
    main()
