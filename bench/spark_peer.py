"""A PySpark job as the demo's: Python workers with MediaPipe and OpenCV. bench/spark.py compares
with it.

    spark_peer.py MASTER BOOTSTRAP TOPIC OUT CHECKPOINT JARS MAX_OFFSETS

The frames are the JSON records of topic TOPIC. It makes what mattebox makes with --matte hard:
person kept, the rest #C0C0C0, PNG."""

import os
import sys

from pyspark.sql import SparkSession


def partition(rows, out):
    import base64
    import json
    import os

    import cv2
    import mediapipe
    import numpy as np

    import hard_vs_mediapipe

    cv2.setNumThreads(1)
    segmenter = None
    for (value,) in rows:
        if segmenter is None:
            segmenter = hard_vs_mediapipe.segmenter(confidence=True)
        message = json.loads(bytes(value))
        bgr = cv2.imdecode(
            np.frombuffer(base64.b64decode(message["data_b64"]), np.uint8), cv2.IMREAD_COLOR
        )
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        result = segmenter.segment(
            mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)
        )
        person = result.category_mask.numpy_view() == 0
        composed = np.where(person[:, :, None], bgr, np.array((192, 192, 192), np.uint8))
        folder = os.path.join(out, message["camera_id"])
        os.makedirs(folder, exist_ok=True)
        cv2.imwrite(os.path.join(folder, f"frame_{message['frame_id']:06d}.png"), composed)
        yield 1


def main():
    master, bootstrap, topic, out, checkpoint, jars, most = sys.argv[1:]
    builder = (
        SparkSession.builder.master(master)
        .appName("peer")
        .config("spark.jars", jars)
        .config("spark.sql.adaptive.enabled", "false")
    )
    # hard_vs_mediapipe.py makes MediaPipe's segmenter of our model.
    spark = builder.config(
        "spark.executorEnv.PYTHONPATH", os.path.dirname(os.path.abspath(__file__))
    ).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    reader = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", topic)
    )
    frames = (
        reader.option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", most)
        .load()
        .select("value")
    )
    query = frames.writeStream.foreachBatch(
        lambda batch, _: batch.rdd.mapPartitions(lambda rows: partition(rows, out)).count()
    )
    query.option("checkpointLocation", checkpoint).start().awaitTermination()


if __name__ == "__main__":
    main()
