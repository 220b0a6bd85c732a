"""Several windows, slow networks, missing cameras: the page shows the truth, and changes arrive."""

from __future__ import annotations

import collections
import contextlib
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import playwright.sync_api
import pytest

from conftest import LIMIT_S, Server, Visit, looped, until
from test_page import LIMIT_MS, open_camera

expect = playwright.sync_api.expect


class SlowNetwork:
    """Forwards bytes to a server after `delay_s`, in their order."""

    def __init__(self, port: int) -> None:
        self.delay_s = 0.0
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(
                    target=self._pass, args=(client, server, False), daemon=True
                ).start()
                threading.Thread(
                    target=self._pass, args=(server, client, True), daemon=True
                ).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_slow: bool) -> None:
        waiting: collections.deque[tuple[float, bytes]] = collections.deque()
        came = threading.Condition()

        def send() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with came:
                        came.wait_for(lambda: waiting)
                        due, data = waiting.popleft()
                    time.sleep(max(0.0, due - time.monotonic()))
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(data)

        threading.Thread(target=send, daemon=True).start()
        data = b"x"
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            with came:
                waiting.append((time.monotonic() + (self.delay_s if is_slow else 0), data))
                came.notify()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def network(server: Server) -> Iterator[SlowNetwork]:
    network = SlowNetwork(server.port)
    yield network
    network.close()


def test_three_windows_have_controls_that_work(
    visits: Callable[..., Visit], server: Server, settings: None
) -> None:
    first = visits()
    windows = [first, *(Visit(first.page.context.new_page()) for _ in range(2))]
    cameras = ("door", "hall", "desk")
    for window, camera in zip(windows, cameras, strict=True):
        window.page.set_default_timeout(LIMIT_MS)
        window.page.goto(server.url)
        open_camera(window, camera)
    colours = [("#20a040", "#a02060"), ("#2040a0", "#a0a020"), ("#20a0a0", "#606060")]
    for turn in range(2):
        for window, camera, colour in zip(windows, cameras, colours, strict=True):
            window.page.get_by_test_id("background-color").fill(colour[turn])
            until(
                f"the colour of {camera}",
                lambda: server.camera(camera)["settings"]["background"] == colour[turn],
            )
            expect(window.page.get_by_test_id("background-now")).to_have_text(colour[turn])
    for window in windows:
        with window.page.expect_download() as download:
            window.page.get_by_test_id("snapshot").click()
        assert download.value.suggested_filename.endswith(".png")
        expect(window.page.get_by_test_id("plots-note")).to_have_text("")
        assert window.complaints == []
    # One connection for each window stays open.
    until("three viewers", lambda: server.get("/api/cameras").json()["server"]["viewers"] == 3)


def test_a_request_without_an_answer_is_given_up_and_said(
    visit: Visit, server: Server, settings: None
) -> None:
    open_camera(visit, "door")
    visit.page.route("**/settings", lambda route: None)  # the request hangs
    visit.page.get_by_test_id("skip-still").check()
    message = visit.page.get_by_test_id("message")
    expect(message).to_contain_text("Not changed: no answer for 8 s", timeout=LIMIT_MS)
    expect(visit.page.get_by_test_id("skip-still")).not_to_be_checked()
    visit.page.unroute("**/settings")
    visit.page.get_by_test_id("skip-still").check()
    until("the change", lambda: server.camera("door")["settings"]["skip_still"])
    expect(message).to_have_text("")


def test_a_late_picture_is_never_green(visits: Callable[..., Visit], network: SlowNetwork) -> None:
    visit = visits()
    visit.page.goto(f"http://127.0.0.1:{network.port}")
    tile = visit.tile("door")
    visit.await_live("door")
    pill = tile.locator(".pill")
    # No faster than this: without a byte for three seconds the page connects again.
    for delay_s, very in [(1.5, "false"), (3.5, "false"), (5.2, "true"), (6.5, "true")]:
        network.delay_s = delay_s
        pattern = re.compile(rf"^late [{int(delay_s)}-9]\.\d s$")
        expect(pill).to_have_text(pattern, timeout=LIMIT_MS)
        expect(tile).to_have_attribute("data-state", "late")
        expect(tile).to_have_attribute("data-very", very, timeout=LIMIT_MS)
        good, colour = pill.evaluate(
            "pill => { const probe = document.createElement('i'); probe.style.color = "
            "'var(--good)'; pill.append(probe);"
            " const both = [getComputedStyle(probe).color, getComputedStyle(pill).color]; "
            "probe.remove(); return both; }"
        )
        assert colour != good
    expect(visit.page.locator("#summary")).to_contain_text("late")
    # A new connection without delay is in time again.
    network.delay_s = 0.0
    visit.page.reload()
    visit.await_live("door")


def test_a_camera_that_is_not_there_shows_nothing_of_another(visit: Visit) -> None:
    page = visit.page
    open_camera(visit, "door")
    page.evaluate("location.hash = 'camera=nowhere'")
    expect(page.get_by_test_id("missing")).to_be_visible()
    expect(page.get_by_test_id("detail").locator(".pill").first).to_have_text("no such camera")
    for hidden in ("large-picture", "controls", "numbers", "snapshot"):
        expect(page.get_by_test_id(hidden)).to_be_hidden()
    page.get_by_test_id("missing").get_by_role("link").click()
    expect(page.get_by_test_id("detail")).to_be_hidden()
    visit.await_live("door")


def test_an_address_of_no_camera_leads_back(visits: Callable[..., Visit], server: Server) -> None:
    visit = visits()
    visit.page.goto(f"{server.url}/#camera=nowhere")
    expect(visit.page.get_by_test_id("missing")).to_be_visible(timeout=LIMIT_MS)
    expect(visit.page.get_by_test_id("large-picture")).to_be_hidden()
    expect(visit.page.get_by_test_id("banner")).to_have_text("")
    visit.page.get_by_test_id("close").click()
    visit.await_live("door")
    # Browsers log each answer 404.
    assert all("404" in text for text in visit.complaints), visit.complaints


def test_connecting_says_why(visits: Callable[..., Visit], start: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    server = start(f"gate=rtsp://127.0.0.1:{free}/live")
    visit = visits()
    visit.page.goto(server.url)
    expect(visit.tile("gate")).to_contain_text("connection refused", timeout=LIMIT_S * 1000)
    expect(visit.tile("gate")).to_have_attribute("data-state", "connecting")


def test_what_was_told_before_is_no_sign_of_life(
    start: Callable[..., Server], visits: Callable[..., Visit]
) -> None:
    """While mattebox hangs, a click on a camera does not show that the connection is back."""
    server = start(*looped("door", "hall"))
    visit = visits()
    visit.page.goto(server.url)
    visit.await_live("door")
    server.process.send_signal(signal.SIGSTOP)
    try:
        banner = visit.page.get_by_test_id("banner")
        expect(banner).not_to_have_text("", timeout=LIMIT_S * 1000)
        lost = banner.inner_text()
        visit.page.evaluate("location.hash = '#camera=door'")
        expect(visit.page.get_by_test_id("detail")).to_be_visible()
        assert banner.inner_text() == lost
        expect(visit.page.locator("#detail")).to_have_attribute("data-state", "lost")
    finally:
        server.process.send_signal(signal.SIGCONT)
    visit.page.wait_for_selector('#detail[data-state="live"]')
