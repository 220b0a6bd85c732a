"""The grid: search, filter and order of many cameras."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator

import playwright.sync_api
import pytest

from conftest import LIMIT_S, Server, Visit, looped
from test_page import LIMIT_MS, axe, open_camera

expect = playwright.sync_api.expect
LONG = "a-camera-with-a-long-name-in-the-second-yard"
NAMES = "[...document.querySelectorAll('#grid > li:not([hidden])')].map((li) => li.dataset.camera)"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Cameras with numbers, one in an empty room, one that cannot be reached."""
    folder = tmp_path_factory.mktemp("grid")
    empty = folder / "empty.mp4"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "gradients=s=320x180:d=2:r=10:c0=0x607060:c1=0x303840:speed=0.00001",
        empty,
    ]
    subprocess.run([str(word) for word in command], check=True, timeout=LIMIT_S)
    server = Server(
        folder,
        f"room={empty}",
        "gate=rtsp://127.0.0.1:9/live",
        *looped("cam1", "cam2", "cam10", LONG),
    )
    yield server
    server.finish()


@pytest.fixture
def grid(visits: Callable[..., Visit], many: Server) -> Iterator[Visit]:
    visit = visits(viewport={"width": 1280, "height": 900})
    visit.page.goto(many.url)
    for camera in ("cam1", "cam2", "cam10", LONG, "room"):
        visit.await_live(camera)
    yield visit
    assert visit.complaints == []


def await_names(visit: Visit, *names: str) -> None:
    visit.page.wait_for_function(
        f"(names) => JSON.stringify({NAMES}) === JSON.stringify(names)", arg=list(names)
    )


def test_tiles_are_in_order_and_can_be_found(grid: Visit) -> None:
    page = grid.page
    natural = (LONG, "cam1", "cam2", "cam10", "gate", "room")
    await_names(grid, *natural)
    page.get_by_test_id("order").select_option("given")
    await_names(grid, "room", "gate", "cam1", "cam2", "cam10", LONG)
    page.get_by_test_id("order").select_option("name")
    page.get_by_test_id("problems-first").check()
    await_names(grid, "gate", LONG, "cam1", "cam2", "cam10", "room")
    page.reload()
    await_names(grid, "gate", LONG, "cam1", "cam2", "cam10", "room")
    page.get_by_test_id("problems-first").uncheck()
    page.keyboard.press("/")
    page.keyboard.type("CAM1")
    await_names(grid, "cam1", "cam10")
    page.get_by_test_id("search").fill("no such name")
    expect(page.get_by_text("No camera is like that.")).to_be_visible()
    page.get_by_test_id("search").fill("")
    chip = page.get_by_test_id("chip-connecting")
    expect(chip).to_have_text("connecting 1")
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    await_names(grid, "gate")
    page.get_by_test_id("chip-all").click()
    await_names(grid, *natural)


def test_an_empty_room_says_so_and_names_are_whole(grid: Visit) -> None:
    expect(grid.tile("room")).to_contain_text("Nobody for", timeout=LIMIT_MS)
    expect(grid.tile("cam1")).not_to_contain_text("Nobody")
    link = grid.tile(LONG).get_by_role("link")
    expect(link).to_have_text(LONG)
    assert link.evaluate("e => e.parentElement.scrollWidth <= e.parentElement.clientWidth"), (
        "the name is cut"
    )
    expect(grid.tile("cam1").locator('[data-el="person"]')).to_have_text(
        re.compile(r"^\d+ %$"), timeout=LIMIT_MS
    )
    expect(grid.tile("cam1").locator('[data-el="age"]')).to_have_text(
        re.compile(r"^(≥ )?\d+\.\d s$"), timeout=LIMIT_MS
    )


def test_keys_lead_from_camera_to_camera_to_the_wall_and_back(grid: Visit) -> None:
    page = grid.page
    open_camera(grid, "cam2")
    title = page.locator("#detail-title")
    for key, name in [
        ("n", "cam10"),
        ("ArrowRight", "gate"),
        ("p", "cam10"),
        ("ArrowLeft", "cam2"),
    ]:
        page.keyboard.press(key)
        expect(title).to_have_text(name)
    page.get_by_test_id("after").click()
    expect(title).to_have_text("cam10")
    page.get_by_test_id("background-blur").focus()
    page.keyboard.press("ArrowRight")
    expect(title).to_have_text("cam10")  # the arrow is the slider's
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("detail")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.get_by_test_id("keys")).to_be_visible()
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("keys")).to_be_hidden()
    page.keyboard.press("w")
    expect(page.locator("header")).to_be_hidden()
    assert page.evaluate("location.hash") == "#wall"
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight"), (
        "the wall fits the window"
    )
    assert axe(page) == []
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement !== null")
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement === null")
    page.keyboard.press("Escape")
    expect(page.locator("header")).to_be_visible()


def test_a_phone_shows_two_columns(visits: Callable[..., Visit], many: Server) -> None:
    visit = visits(viewport={"width": 390, "height": 844})
    visit.page.goto(many.url)
    visit.await_live("cam1")
    columns = visit.page.evaluate(
        "getComputedStyle(document.querySelector('#grid')).gridTemplateColumns.split(' ').length"
    )
    assert columns == 2
    assert visit.page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


def test_settings_come_to_all_cameras_and_to_the_next_start(grid: Visit, many: Server) -> None:
    page = grid.page
    open_camera(grid, "cam2")
    page.get_by_test_id("background-color").fill("#123456")
    page.get_by_test_id("matte-hard").check(force=True)
    expect(page.get_by_test_id("background-now")).to_have_text("#123456")
    page.get_by_test_id("keep").locator("summary").click()
    expect(page.get_by_test_id("keep-lines")).to_contain_text(
        'background = "#123456"\nmatte = "hard"\npeople = "all"'
    )
    page.get_by_test_id("for-all").click()
    expect(page.get_by_test_id("for-all")).to_have_text("Done: all cameras", timeout=LIMIT_MS)
    for camera in many.get("/api/cameras").json()["cameras"]:
        assert (camera["settings"]["background"], camera["settings"]["matte"]) == (
            "#123456",
            "hard",
        ), camera["id"]


def test_plots_tell_values_under_the_pointer(grid: Visit) -> None:
    open_camera(grid, "cam1")
    plot = grid.page.get_by_test_id("plot-fps")
    grid.page.wait_for_function(
        "() => document.querySelector('[data-testid=plot-fps] svg[role] .line')"
        "?.getAttribute('d').length > 20"
    )
    expect(plot.locator(".when")).to_have_text("")
    box = plot.locator("svg[role]").bounding_box()
    assert box
    grid.page.mouse.move(box["x"] + box["width"] * 0.97, box["y"] + 40)
    expect(plot.locator(".when")).to_have_text(re.compile(r"^at \d\d:\d\d:\d\d$"))
    expect(plot.locator("b").first).to_have_text(re.compile(r"^\d+\.\d$"))
    for name in ("plot-drops", "plot-quality", "plot-latency"):
        expect(grid.page.get_by_test_id(name)).to_be_visible()


def test_lines_for_other_programs_are_there_to_copy(grid: Visit, many: Server) -> None:
    grid.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=many.url)
    open_camera(grid, "cam1")
    stream = f"{many.url}/api/cameras/cam1/stream.mjpg"
    page = grid.page
    expect(page.get_by_test_id("stream-url")).to_have_text(stream)
    for name, text in [
        ("line-vlc", f"vlc {stream}"),
        ("line-ffplay", f"ffplay -fflags nobuffer {stream}"),
        ("line-opencv", f'cv2.VideoCapture("{stream}")'),
        ("line-img", f'<img src="{stream}" alt="cam1">'),
        ("line-obs", f"{many.url}/overlay/cam1"),
    ]:
        expect(page.get_by_test_id(name)).to_have_text(text)
    page.get_by_role("button", name="Copy the line for OpenCV").click()
    assert page.evaluate("navigator.clipboard.readText()") == f'cv2.VideoCapture("{stream}")'
    server = page.get_by_test_id("server")
    for fact in ("Version", "CPU", "Memory", "SIMD"):
        expect(server).to_contain_text(fact)
    for name, path in [("API", "/api/openapi.json"), ("Metrics", "/metrics")]:
        expect(server.get_by_role("link", name=name)).to_have_attribute("href", path)
        assert many.get(path).status == 200
    expect(server.get_by_role("link", name="Guide")).to_have_attribute(
        "href", re.compile(r"/docs/guide/live\.md$")
    )
