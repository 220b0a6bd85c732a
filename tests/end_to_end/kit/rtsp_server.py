#!/usr/bin/env python3
"""A test camera: an RTSP server on 127.0.0.1 that sends a moving pattern as motion JPEG.

It serves /camera, and /datagrams by UDP alone.

Usage: rtsp_server.py [PORT]    (0 or none: a free one)

Prints the port when it is ready, and runs until it is killed. Needs the packages python3-gi,
gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-base and gstreamer1.0-plugins-good.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1] if len(sys.argv) > 1 else "0")
for path, protocols in [
    ("/camera", None),
    ("/datagrams", GstRtsp.RTSPLowerTrans.UDP),
]:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball "
        "! video/x-raw,format=I420,width=160,height=120,framerate=25/1 "
        "! jpegenc ! rtpjpegpay name=pay0 )"
    )
    if protocols is not None:
        factory.set_protocols(protocols)
    server.get_mount_points().add_factory(path, factory)
if server.attach(None) == 0:
    sys.exit("the port is taken")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
