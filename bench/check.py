"""Compares the results of all programs, before their times are measured."""

import struct

import cv2
import numpy as np

from peer import Failed


def check_network(rows, alive, inputs):
    """The largest difference of each engine's confidence to LiteRT's, over all pictures."""
    judge = next((row for row in rows if row.key == "litert"), None)
    if judge is None:
        return
    size = inputs[0].size // 3 * 4

    def confidence(row, picture):
        return np.frombuffer(
            alive[id(row)].ask(struct.pack("<I", 0) + picture.tobytes(), size), "<f4"
        )

    for picture in inputs:
        right = confidence(judge, picture)
        for row in rows:
            if row is judge or row.error:
                continue
            try:
                difference = float(np.abs(confidence(row, picture) - right).max())
            except Failed as e:
                row.error = str(e)
                continue
            # The difference to NaN is NaN, which compares as false.
            row.difference = max(
                row.difference or 0.0, difference if np.isfinite(difference) else float("inf")
            )


def check_files(rows, folders, size):
    """Checks that every peer has written its frames, and that those with the same mask differ from
    the first in few pixels (see hard_vs_mediapipe.py)."""
    judge = next((row for row in rows if row.key == "python-worker"), None)
    for row in rows:
        if row.key == "segmenter":
            continue
        shares = []
        for number in range(3):
            picture = cv2.imread(str(folders[id(row)] / f"frame_{number:06d}.png"))
            if picture is None or picture.shape[1::-1] != size:
                row.error = f"frame {number} was not written"
                break
            if judge is not None and row is not judge and row.limit is not None:
                right = cv2.imread(str(folders[id(judge)] / f"frame_{number:06d}.png"))
                # JPEG decoders may round differently; a pixel of the person on gray is far more
                # than that.
                shares.append(float((np.abs(picture.astype(int) - right).max(axis=2) > 8).mean()))
        if shares and not row.error:
            row.difference = max(shares)
