#!/usr/bin/env python3
"""Whole-frame peers: JPEG bytes in, PNG file out.

    workers.py python-worker OUT    a worker in Python, as stream processors run it
    workers.py segmenter OUT        the call of MediaPipe's ImageSegmenter alone

Files go to OUT/camera. Each serves requests (see peer.py). A request 0 is followed by the number of
JPEG files and each file with its length before it."""

import base64
import json
import os
import struct
import sys

import cv2
import numpy as np

import hard_vs_mediapipe
from peer import serve

GRAY = (192, 192, 192)


class Worker:
    def __init__(self, folder):
        import mediapipe

        self.mediapipe = mediapipe
        self.segmenter = hard_vs_mediapipe.segmenter(confidence=True)
        self.folder = os.path.join(folder, "camera")
        os.makedirs(self.folder, exist_ok=True)
        self.number = 0

    def load(self, read):
        (count,) = struct.unpack("<I", read(4))
        files = [read(struct.unpack("<I", read(4))[0]) for _ in range(count)]
        prepared = {}  # a clip played there and back has each file twice
        self.work = [
            prepared[file] if file in prepared else prepared.setdefault(file, self.prepare(file, i))
            for i, file in enumerate(files)
        ]
        return struct.pack("<I", count)

    def run(self):
        self.frame(self.work[self.number % len(self.work)])
        self.number += 1

    def segment(self, rgb):
        result = self.segmenter.segment(
            self.mediapipe.Image(image_format=self.mediapipe.ImageFormat.SRGB, data=rgb)
        )
        return result.category_mask.numpy_view()


class PythonWorker(Worker):
    """Message in, file out. The message queue, and the work before it (encoding), do not count."""

    def prepare(self, jpeg, number):
        height, width = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape[:2]
        message = {
            "camera_id": "camera",
            "frame_id": number,
            "ts": 1.7e9 + number / 25,
            "codec": "jpg",
            "width": width,
            "height": height,
        }
        return json.dumps(message | {"data_b64": base64.b64encode(jpeg).decode()}).encode()

    def frame(self, message):
        data = base64.b64decode(json.loads(message)["data_b64"])
        rgb = cv2.cvtColor(
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
        )
        person = self.segment(rgb) == 0
        composed = np.where(person[:, :, None], rgb, np.array(GRAY, np.uint8))
        path = os.path.join(self.folder, f"frame_{self.number:06d}.png")
        if not cv2.imwrite(path, cv2.cvtColor(composed, cv2.COLOR_RGB2BGR)):
            raise OSError(f"cannot write {path}")


class Segmenter(Worker):
    def prepare(self, jpeg, _):
        return cv2.cvtColor(
            cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
        )

    def frame(self, rgb):
        self.segment(rgb)


def main():
    kind, folder = sys.argv[1:]
    cv2.setNumThreads(1)
    worker = {"python-worker": PythonWorker, "segmenter": Segmenter}[kind](folder)
    serve(worker.load, worker.run)


if __name__ == "__main__":
    main()
