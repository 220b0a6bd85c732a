#!/usr/bin/env python3
"""Makes the pictures in fixtures/ from samples/person.mp4 and its alpha. Needs what
bench/hard_vs_mediapipe.py needs, and OpenCV.

hard_N.png            frames of odd sizes, lossless
hard_N_mask.png       MediaPipe's category mask of each, 1 bit, white = person
person_N.jpg          frames of the person
person_N_alpha.png    their exact alpha
room.jpg              a frame of the sample with the person's place filled in and blurred
"""

import pathlib
import sys

import cv2
import numpy

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import hard_vs_mediapipe as mediapipe_masks  # noqa: E402

OUT = HERE / "fixtures"


def write(name, picture, *how):
    cv2.imwrite(str(OUT / name), picture[..., ::-1] if picture.ndim == 3 else picture, list(how))


def room(picture, alpha):
    hole = (cv2.dilate(alpha, numpy.ones((15, 15))) > 0).astype(numpy.uint8)
    small = cv2.resize(picture, (160, 90), interpolation=cv2.INTER_AREA)
    filled = cv2.inpaint(
        small, (cv2.resize(hole, (160, 90)) > 0).astype(numpy.uint8), 9, cv2.INPAINT_TELEA
    )
    filled = cv2.resize(filled, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(hole.astype(numpy.float32), (0, 0), 6)[..., None]
    return (picture * (1 - soft) + filled * soft).astype(numpy.uint8)


def main():
    OUT.mkdir(exist_ok=True)
    segmenter = mediapipe_masks.segmenter()
    sample = ROOT / "samples/person.mp4"
    for number, (frame, width, height) in enumerate(
        [(20, 320, 180), (33, 241, 181), (45, 160, 284), (70, 400, 121)]
    ):
        picture = mediapipe_masks.frames(sample, width, height)[frame]
        write(f"hard_{number}.png", picture, cv2.IMWRITE_PNG_COMPRESSION, 9)
        mask = mediapipe_masks.mask(segmenter, picture).astype(numpy.uint8) * 255
        write(
            f"hard_{number}_mask.png",
            mask,
            cv2.IMWRITE_PNG_BILEVEL,
            1,
            cv2.IMWRITE_PNG_COMPRESSION,
            9,
        )
    pictures = mediapipe_masks.frames(sample, 640, 360)
    alphas = mediapipe_masks.frames(ROOT / "samples/person_alpha.mkv", 640, 360)[..., 0]
    for number, frame in enumerate(range(0, 24, 4)):
        write(f"person_{number}.jpg", pictures[frame], cv2.IMWRITE_JPEG_QUALITY, 90)
        write(f"person_{number}_alpha.png", alphas[frame], cv2.IMWRITE_PNG_COMPRESSION, 9)
    write("room.jpg", room(pictures[70], alphas[70]), cv2.IMWRITE_JPEG_QUALITY, 90)


if __name__ == "__main__":
    main()
