"""Reads frames as the seed's job reads them: consumer.py BOOTSTRAP TOPIC COUNT.

Prints a line for each frame: camera, number, bytes, and the size that the message states.
"""

import base64
import json
import sys

from kafka import KafkaConsumer

bootstrap, topic, count = sys.argv[1:]
consumer = KafkaConsumer(
    topic,
    bootstrap_servers=bootstrap,
    auto_offset_reset="earliest",
    consumer_timeout_ms=20000,
)
left = int(count)
for message in consumer:
    record = json.loads(message.value.decode("utf-8"))
    jpeg = base64.b64decode(record["data_b64"])
    assert jpeg[:2] == b"\xff\xd8" and jpeg[-2:] == b"\xff\xd9", "no JPEG"
    assert isinstance(record["ts"], float) and record["codec"] == "jpg"
    size = f"{record['width']}x{record['height']}"
    print(record["camera_id"], record["frame_id"], len(jpeg), size)
    left -= 1
    if left == 0:
        break
