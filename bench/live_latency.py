#!/usr/bin/env python3
"""How late a live picture is: from the moment its bytes are sent to the moment its file is in
place, and how long the first one takes.

Usage: live_latency.py BINARY [BINARY...]

The binaries are measured in turn, each with the same streams.

Streams: the sample clip as H.264 in FLV over TCP, each frame sent when it is due; a JPEG picture 25
times a second on standard input; and the same H.264 from a real RTSP server (GStreamer), of which
only the time to the first file is told. Needs FFmpeg, and what `scripts/setup test` installs.
Prints a table in Markdown.
"""

import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "samples/person.mp4"
FRAMES = 250
WIDTH = 320
SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
clip = f"filesrc location={sys.argv[1]} ! qtdemux ! h264parse"
factory.set_launch(f"( {clip} ! rtph264pay name=pay0 config-interval=-1 )")
server.get_mount_points().add_factory("/camera", factory)
server.attach(None); print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


def ffmpeg(*arguments):
    subprocess.run(
        ["ffmpeg", "-nostdin", "-y", "-loglevel", "error", *map(str, arguments)], check=True
    )


def flv_tags(data):
    """The head, then (milliseconds, is a frame, bytes) of each tag (Adobe Flash Video File Format
    10.1, E.4.1)."""
    head, at = data[:13], 13
    yield 0, False, head
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        stamp = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        # A video tag whose AVC packet is a picture and not a description.
        is_frame = data[at] == 9 and data[at + 12] == 1
        end = at + 11 + size + 4
        yield stamp, is_frame, data[at:end]
        at = end


class Run:
    """One mattebox that writes JPEG files of every frame that comes."""

    def __init__(self, binary, source, folder, stdin=None):
        self.out = pathlib.Path(folder) / "out"
        self.begun = time.time()
        command = [
            binary,
            "run",
            source,
            "--out",
            self.out,
            "--format",
            "jpg",
            "--live",
            "false",
            "--matte",
            "hard",
            "--progress",
            "none",
        ]
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def times(self):
        """When each file was written, by number."""
        found = {}
        for path in self.out.glob("cam01/frame_*.jpg"):
            found[int(path.stem.split("_")[1])] = path.stat().st_mtime
        return found

    def first(self, limit):
        while time.time() - self.begun < limit:
            times = self.times()
            if 0 in times:
                return times[0] - self.begun
            time.sleep(0.005)
        return float("nan")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        return self.times()


def delays(sent, written):
    both = [(written[n] - sent[n]) * 1e3 for n in sorted(written) if n < len(sent)]
    # Frames that waited while FFmpeg probed the stream do not count.
    return statistics.median(both[-len(both) // 4 :]) if both else float("nan")


def over_tcp(binary, clip):
    listener = socket.create_server(("127.0.0.1", 0))
    sent = []

    def send():
        connection, _ = listener.accept()
        begun = time.time()
        try:
            for stamp, is_frame, data in flv_tags(clip):
                time.sleep(max(0.0, begun + stamp / 1e3 - time.time()))
                if is_frame:
                    sent.append(time.time())
                connection.sendall(data)
            # The end of the stream would flush frames that are held back.
            time.sleep(1)
        except OSError:
            pass

    with tempfile.TemporaryDirectory() as folder:
        thread = threading.Thread(target=send)
        thread.start()
        run = Run(binary, f"tcp://127.0.0.1:{listener.getsockname()[1]}", folder)
        first = run.first(30)
        thread.join()
        return first, delays(sent, run.stop())


def on_stdin(binary, jpeg):
    with tempfile.TemporaryDirectory() as folder:
        run = Run(binary, "-", folder, subprocess.PIPE)
        sent = []
        begun = time.time()
        limit = begun + 30
        first = [float("nan")]
        watch = threading.Thread(target=lambda: first.__setitem__(0, run.first(30)))
        watch.start()
        while time.time() < limit and (watch.is_alive() or len(sent) < FRAMES):
            time.sleep(max(0.0, begun + len(sent) / 25 - time.time()))
            sent.append(time.time())
            run.process.stdin.write(jpeg)
            run.process.stdin.flush()
        watch.join()
        written = run.times()
        run.process.kill()
        return first[0], delays(sent, written)


def over_rtsp(binary, clip):
    server = subprocess.Popen(
        ["/usr/bin/python3", "-c", SERVER, str(clip)], stdout=subprocess.PIPE, text=True
    )
    try:
        port = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            run = Run(binary, f"rtsp://127.0.0.1:{port}/camera", folder)
            first = run.first(30)
            run.stop()
            return first, None
    finally:
        server.kill()
        server.wait()


def main():
    binaries = sys.argv[1:] or [ROOT / "target/release/mattebox"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        video = [
            "-stream_loop",
            3,
            "-i",
            SAMPLE,
            "-an",
            "-vf",
            f"scale={WIDTH}:-2",
            "-frames:v",
            FRAMES,
            "-c:v",
            "libx264",
            "-tune",
            "zerolatency",
            "-x264-params",
            "sliced-threads=0",
            "-g",
            25,
        ]
        ffmpeg(*video, folder / "clip.flv")
        ffmpeg(*video, folder / "clip.mp4")
        ffmpeg("-i", SAMPLE, "-vf", f"scale={WIDTH}:-2", "-frames:v", 1, folder / "one.jpg")
        flv, jpeg = (folder / "clip.flv").read_bytes(), (folder / "one.jpg").read_bytes()
        print(f"{os.cpu_count()} CPUs, {WIDTH} pixels wide, 25 frames a second\n")
        print(
            "| binary | stream | first file, s | sent to file, ms (median) |\n|---|---|---:|---:|"
        )
        for name, measure, clip in [
            ("H.264, FLV over TCP", over_tcp, flv),
            ("H.264, RTSP", over_rtsp, folder / "clip.mp4"),
            ("JPEG, standard input", on_stdin, jpeg),
        ]:
            for binary in binaries:
                first, late = measure(binary, clip)
                print(
                    f"| {binary} | {name} | {first:.2f} | {'' if late is None else f'{late:.0f}'} "
                    "|",
                    flush=True,
                )


if __name__ == "__main__":
    main()
