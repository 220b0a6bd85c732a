"""Sends frames as the seed's camera does: producer.py BOOTSTRAP TOPIC CAMERA COUNT PICTURE.jpg.

The messages have no key, and the frames are numbered from 0.
"""

import base64
import json
import sys
import time

from kafka import KafkaProducer

bootstrap, topic, camera, count, picture = sys.argv[1:]
jpeg = open(picture, "rb").read()
producer = KafkaProducer(
    bootstrap_servers=bootstrap,
    value_serializer=lambda value: json.dumps(value).encode("utf-8"),
)
for frame in range(int(count)):
    message = {
        "camera_id": camera,
        "frame_id": frame,
        "ts": time.time(),
        "codec": "jpg",
        "width": 320,
        "height": 180,
        "data_b64": base64.b64encode(jpeg).decode("ascii"),
    }
    producer.send(topic, message)
producer.flush()
