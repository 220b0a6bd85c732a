"""The people of a camera on a transparent page, as OBS shows it."""

from __future__ import annotations

import os
import pathlib
import signal
import time
from collections.abc import Callable

import playwright.sync_api

from conftest import LIMIT_S, SAMPLE, Process, Server, Visit, decode, looped, until

expect = playwright.sync_api.expect

# The alpha of the canvas: the clear share, the opaque share, and the largest in the corner.
ALPHA = """() => {
  const canvas = document.querySelector('canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let clear = 0; let opaque = 0; let corner = 0;
  for (let i = 3; i < data.length; i += 4) {
    if (data[i] === 0) clear += 1;
    if (data[i] > 250) opaque += 1;
    if (i < 4 * 8) corner = Math.max(corner, data[i]);
  }
  const n = data.length / 4;
  return { clear: clear / n, opaque: opaque / n, corner, width: canvas.width };
}"""


def test_the_person_is_opaque_and_all_else_is_transparent(
    visits: Callable[..., Visit], server: Server
) -> None:
    visit = visits(viewport={"width": 640, "height": 360})
    page = visit.page
    page.goto(f"{server.url}/overlay/door")
    alpha = until("a person", lambda: (found := page.evaluate(ALPHA))["opaque"] > 0.1 and found)
    assert alpha["clear"] > 0.3 and alpha["corner"] == 0
    assert page.evaluate(ALPHA)["width"] == server.camera("door")["width"]
    # The picture with transparency, as OBS gets it from its browser.
    pixels = decode(page.screenshot(omit_background=True), "rgba")
    alphas = pixels[3::4]
    assert alphas[0] == 0 and alphas[639] == 0, "the corners are transparent"
    assert sum(one > 250 for one in alphas) > 640 * 360 * 0.1, "the person is opaque"
    assert sum(one == 0 for one in alphas) > 640 * 360 * 0.3, "the room is transparent"
    # The middle of the person has the person's colour, not the room's and not black.
    middle = next(i for i in range(640 * 300 + 200, 640 * 301) if alphas[i] > 250)
    assert max(pixels[4 * middle : 4 * middle + 3]) > 40
    assert visit.complaints == [] and visit.hosts == {server.host}


def test_the_overlay_moves_and_does_not_change_with_the_background(
    visits: Callable[..., Visit], server: Server, settings: None
) -> None:
    visit = visits()
    visit.page.goto(f"{server.url}/overlay/hall")
    canvas = visit.page.locator("canvas")
    until("a person", lambda: visit.page.evaluate(ALPHA)["opaque"] > 0.1)
    seen = {visit.picture(canvas)}
    until("three pictures", lambda: seen.add(visit.picture(canvas)) or len(seen) >= 3)
    assert server.patch("hall", {"background": "#ff0000"}).status == 200
    seen = {visit.picture(canvas)}
    until("three more", lambda: seen.add(visit.picture(canvas)) or len(seen) >= 3)
    alpha = visit.page.evaluate(ALPHA)
    assert alpha["clear"] > 0.3 and alpha["corner"] == 0


def test_an_overlay_of_no_camera_says_so(visits: Callable[..., Visit], server: Server) -> None:
    visit = visits()
    visit.page.goto(f"{server.url}/overlay/unknown")
    expect(visit.page.get_by_role("status")).to_have_text(
        'there is no camera "unknown"', timeout=LIMIT_S * 1000
    )


def test_people_vanish_when_no_picture_comes(
    visits: Callable[..., Visit], start: Callable[..., Server]
) -> None:
    server = start(*looped("door"))
    visit = visits()
    visit.page.goto(f"{server.url}/overlay/door")
    until("a person", lambda: visit.page.evaluate(ALPHA)["opaque"] > 0.1)
    server.end()
    until("an empty page", lambda: visit.page.evaluate(ALPHA)["clear"] == 1)
    Server.__init__(server, server.log.parent, *looped("door"), f"--view={server.host}")
    until("the person again", lambda: visit.page.evaluate(ALPHA)["opaque"] > 0.1)


def test_people_do_not_come_back_with_a_picture_that_is_sent_again(
    visits: Callable[..., Visit], start: Callable[..., Server], tmp_path: pathlib.Path
) -> None:
    """Without new pictures, the server repeats the last one every five seconds."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feed = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-re",
        "-stream_loop",
        "-1",
        "-i",
        SAMPLE,
        "-c",
        "copy",
        "-f",
        "mpegts",
        pipe,
    ]
    camera = Process(list(feed), tmp_path / "camera.log")
    try:
        server = start(f"yard={pipe}", "--max-width", "320")
        visit = visits()
        visit.page.goto(f"{server.url}/overlay/yard")
        until("a person", lambda: visit.page.evaluate(ALPHA)["opaque"] > 0.1)
        camera.process.send_signal(signal.SIGSTOP)
        until("an empty page", lambda: visit.page.evaluate(ALPHA)["clear"] == 1)
        ended = time.monotonic() + 11
        while time.monotonic() < ended:
            assert visit.page.evaluate(ALPHA)["clear"] == 1, "a person of before"
            time.sleep(0.1)
    finally:
        camera.end(signal.SIGKILL)
