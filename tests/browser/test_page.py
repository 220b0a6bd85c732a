"""The live page in a real browser."""

from __future__ import annotations

import os
import pathlib
import re
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import playwright.sync_api
import pytest

from conftest import LIMIT_S, ROOT, Server, TestCamera, Visit, decode, is_near, looped, until

expect = playwright.sync_api.expect
CAMERAS = ("door", "hall", "desk", "yard")
LIMIT_MS = LIMIT_S * 1000

# Sets a colour, and returns the milliseconds until a corner of the large picture has it.
CHANGE = """([input, canvas, r, g, b, limit_ms]) => new Promise((done, failed) => {
  const begun = performance.now();
  const look = () => {
    const pixel = canvas.getContext('2d').getImageData(4, 4, 1, 1).data;
    const ms = performance.now() - begun;
    if ([r, g, b].every((value, i) => Math.abs(value - pixel[i]) <= 12)) done(ms);
    else if (ms > limit_ms) failed(new Error('the colour does not come'));
    else requestAnimationFrame(look);
  };
  input.value = '#' + [r, g, b].map((value) => value.toString(16).padStart(2, '0')).join('');
  input.dispatchEvent(new Event('input', { bubbles: true }));
  look();
})"""

# Whether the focused element, or the one around it, is outlined.
OUTLINED = """() => {
  for (let e = document.activeElement; e && e !== document.body; e = e.parentElement) {
    if (getComputedStyle(e).outlineStyle !== 'none') return true;
  }
  return false;
}"""


def open_camera(visit: Visit, camera: str) -> playwright.sync_api.Locator:
    """Opens a tile, and returns the large picture once it is not empty."""
    visit.await_live(camera)
    visit.tile(camera).get_by_role("link").click()
    large = visit.page.get_by_test_id("large-picture")
    expect(large).to_be_visible()
    visit.page.wait_for_function("canvas => canvas.width > 16", arg=large.element_handle())
    return large


def axe(page: playwright.sync_api.Page) -> list[dict[str, Any]]:
    """The serious and critical findings of axe-core."""
    script = pathlib.Path(os.environ["MATTEBOX_TEST_AXE"]).read_text()
    page.evaluate(script)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert found["testEngine"]["name"] == "axe-core" and found["passes"]
    bad = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    return [
        {"rule": one["id"], "what": one["help"], "where": [node["target"] for node in one["nodes"]]}
        for one in bad
    ]


def test_four_cameras_are_live_with_their_names_and_numbers(visit: Visit) -> None:
    for camera in CAMERAS:
        visit.await_live(camera)
        expect(visit.tile(camera).get_by_role("link")).to_have_text(camera)
        expect(visit.tile(camera)).to_contain_text("fps read")
        expect(visit.tile(camera).locator("dd").first).to_have_text(
            re.compile(r"^\d+\.\d$"), timeout=LIMIT_MS
        )
    assert visit.page.locator("#grid > li").count() == 4
    expect(visit.page.locator("#summary")).to_contain_text("4 cameras")


def test_pictures_move_in_every_tile_and_in_the_large_picture(visit: Visit) -> None:
    for camera in CAMERAS:
        visit.await_live(camera)
        canvas = visit.tile(camera).locator("canvas")
        seen = {visit.picture(canvas)}
        until(
            f"three pictures of {camera}", lambda: seen.add(visit.picture(canvas)) or len(seen) >= 3
        )
    shot = visit.tile("door").screenshot()
    until("a tile that looks different", lambda: visit.tile("door").screenshot() != shot)
    large = open_camera(visit, "hall")
    seen = {visit.picture(large)}
    until("three large pictures", lambda: seen.add(visit.picture(large)) or len(seen) >= 3)


def test_a_new_background_shows_in_the_next_pictures(
    visit: Visit, server: Server, settings: None
) -> None:
    large = open_camera(visit, "door")
    handles = [
        visit.page.get_by_test_id("background-color").element_handle(),
        large.element_handle(),
    ]
    times = []
    for colour in [(0, 200, 40), (180, 20, 160), (20, 60, 220)]:
        times.append(visit.page.evaluate(CHANGE, [*handles, *colour, LIMIT_MS]))
        until(
            "the colour in frame.jpg",
            lambda: is_near(decode(server.get("/api/cameras/door/frame.jpg").body), colour),
        )
        expect(visit.page.get_by_test_id("background-now")).to_have_text(
            "#{:02x}{:02x}{:02x}".format(*colour)
        )
    print(f"a new background shows in the page after {', '.join(f'{ms:.0f}' for ms in times)} ms")
    assert server.camera("hall")["settings"]["background"] != "#143cdc", "another camera's"


def test_the_fine_matte_is_offered_where_its_network_is_there(
    visits: Callable[..., Visit],
    start: Callable[..., Server],
    server: Server,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    onnx = ROOT / ".cache/onnx"
    (tmp_path / "data/mattebox/models").mkdir(parents=True)
    (tmp_path / "data/mattebox/models/modnet.onnx").symlink_to(onnx / "modnet.onnx")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("ORT_DYLIB_PATH", str(onnx / "libonnxruntime.so"))
    fine = start(*looped("door"), "--matte", "fine")
    for here, offers in [(server, False), (fine, True)]:
        assert here.camera("door")["settable_matte"] == [
            "hard",
            "soft",
            *(["fine", "fine:always"] if offers else []),
        ]
        visit = visits()
        visit.page.goto(here.url)
        open_camera(visit, "door")
        for choice in ("matte-fine", "matte-finest"):
            expect(visit.page.get_by_test_id(choice)).to_be_visible(
                visible=offers, timeout=LIMIT_MS
            )
    server.patch("door", {"matte": "fine"}).assert_problem(409)
    visit.page.get_by_test_id("matte-finest").check(force=True)
    until("the finest matte", lambda: fine.camera("door")["settings"]["matte"] == "fine:always")


def test_an_uploaded_picture_becomes_the_background(
    visit: Visit, server: Server, settings: None, tmp_path: pathlib.Path
) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + bytes((230, 120, 10)) * 64 for _ in range(36))
    head = struct.pack(">IIBBBBB", 64, 36, 8, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "orange.png").write_bytes(png)
    open_camera(visit, "desk")
    visit.page.get_by_test_id("background-upload").set_input_files(tmp_path / "orange.png")
    until(
        "the picture behind the person",
        lambda: is_near(decode(server.get("/api/cameras/desk/frame.jpg").body), (230, 120, 10)),
    )
    expect(visit.page.get_by_test_id("background-now")).to_contain_text("picture")
    visit.page.get_by_test_id("background-start").click()
    until(
        "the old background",
        lambda: not is_near(decode(server.get("/api/cameras/desk/frame.jpg").body), (230, 120, 10)),
    )


@pytest.mark.parametrize("view", ["matte", "checkerboard"])
def test_the_matte_can_be_looked_at(visit: Visit, view: str) -> None:
    large = open_camera(visit, "hall")
    visit.page.get_by_test_id(f"view-{view}").check(force=True)
    # The corner is no person: black in the matte, squares of two greys in the checkerboard.
    row = (
        "canvas => [...canvas.getContext('2d').getImageData(0, 4, 24, 1).data]"
        ".filter((_, i) => i % 4 === 0)"
    )

    def is_shown() -> bool:
        greys = large.evaluate(row)
        return max(greys) < 12 if view == "matte" else max(greys) - min(greys) > 30

    until(f"the {view}", is_shown)


def test_a_snapshot_is_saved(visit: Visit) -> None:
    open_camera(visit, "hall")
    with visit.page.expect_download() as download:
        visit.page.get_by_test_id("snapshot").click()
    assert download.value.suggested_filename.startswith("hall-")
    assert pathlib.Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_raw_is_not_offered_unless_it_is_shown(visit: Visit) -> None:
    open_camera(visit, "hall")
    expect(visit.page.get_by_test_id("view-raw")).to_be_hidden()


def test_a_killed_camera_is_reconnecting_and_comes_back(
    visit: Visit, server: Server, camera: TestCamera
) -> None:
    visit.await_live("yard")
    begun = time.monotonic()
    camera.kill()
    try:
        expect(visit.tile("yard")).to_have_attribute("data-state", "reconnecting", timeout=LIMIT_MS)
        print(f"a killed camera is reconnecting after {time.monotonic() - begun:.1f} s")
        expect(visit.tile("yard")).to_contain_text("reconnecting", ignore_case=True)
        expect(visit.tile("door")).to_have_attribute("data-state", "live")
    finally:
        camera.start()
    begun = time.monotonic()
    visit.await_live("yard")
    print(f"it is live {time.monotonic() - begun:.1f} s after it was started again")
    canvas = visit.tile("yard").locator("canvas")
    before = visit.picture(canvas)
    until("its next picture", lambda: visit.picture(canvas) != before)
    assert server.camera("yard")["errors"], "what happened is told"


def test_a_page_whose_server_is_gone_says_so_and_comes_back(
    visits: Callable[..., Visit], start: Callable[..., Server]
) -> None:
    server = start(*looped("door"))
    visit = visits()
    visit.page.goto(server.url)
    visit.await_live("door")
    server.end()
    banner = visit.page.get_by_test_id("banner")
    expect(banner).to_be_visible(timeout=LIMIT_MS)
    expect(banner).not_to_have_text("")
    expect(visit.tile("door")).to_have_attribute("data-old", "true", timeout=LIMIT_MS)
    # The same address again.
    Server.__init__(server, server.log.parent, *looped("door"), f"--view={server.host}")
    visit.await_live("door")
    expect(visit.tile("door")).to_have_attribute("data-old", "false", timeout=LIMIT_MS)
    canvas = visit.tile("door").locator("canvas")
    before = visit.picture(canvas)
    until("its next picture", lambda: visit.picture(canvas) != before)


def test_everything_works_with_the_keyboard_alone(
    visit: Visit, server: Server, settings: None
) -> None:
    page = visit.page
    visit.await_live("hall")

    def tab_to(what: str, is_there: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(f"() => {{ const e = document.activeElement; return {is_there}; }}"):
                assert page.evaluate(OUTLINED), f"{what} does not show that it has the focus"
                return
        raise AssertionError(f"{what} cannot be reached by the Tab key")

    tab_to("the tile", "e.closest('li')?.dataset.camera === 'hall'")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("detail")).to_be_visible()
    visit.page.wait_for_function("() => document.activeElement.closest('[data-testid=detail]')")
    tab_to("the background's kind", "e.name === 'kind'")
    page.keyboard.press("ArrowDown")
    until("the blur", lambda: server.camera("hall")["settings"]["background"].startswith("blur"))
    tab_to("the blur's strength", "e.dataset.testid === 'background-blur'")
    page.keyboard.press("End")
    until(
        "the strongest blur", lambda: server.camera("hall")["settings"]["background"] == "blur:100"
    )
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("detail")).to_be_hidden()
    assert page.evaluate("() => document.activeElement.closest('li')?.dataset.camera") == "hall", (
        "the focus is where it was"
    )
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("detail")).to_be_visible()
    for _ in range(10):
        if page.evaluate("() => document.activeElement.dataset.testid === 'close'"):
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("detail")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious(
    visits: Callable[..., Visit], server: Server, scheme: str, width: int
) -> None:
    visit = visits(color_scheme=scheme, viewport={"width": width, "height": 800})
    visit.page.goto(server.url)
    for camera in CAMERAS:
        visit.await_live(camera)
    assert axe(visit.page) == [], "in the grid"
    open_camera(visit, "door")
    assert axe(visit.page) == [], "in the detail"
    assert visit.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), (
        "it is wider than the window"
    )
    assert visit.complaints == []


def test_whoever_knows_the_token_is_let_in(
    visits: Callable[..., Visit], start: Callable[..., Server], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "token").write_text("a-token-of-the-tests\n")
    (tmp_path / "token").chmod(0o600)
    server = start(*looped("door"), "--token-file", tmp_path / "token")
    visit = visits()
    page = visit.page
    page.goto(server.url)
    field = page.get_by_label("Token")
    assert axe(page) == []
    field.fill("wrong-token-of-the-tests")
    field.press("Enter")
    page.wait_for_load_state()
    expect(page.locator("#grid > li")).to_have_count(0)
    field.fill("a-token-of-the-tests")
    field.press("Enter")
    visit.await_live("door")
    # Browsers log each answer 401: these were the login pages.
    assert all("401" in text for text in visit.complaints), visit.complaints
    cookies = page.context.cookies()
    assert [(one["httpOnly"], one["sameSite"]) for one in cookies] == [(True, "Strict")]
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.goto(server.url)
    expect(page.locator("#grid > li")).to_have_count(0)
