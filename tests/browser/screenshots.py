"""Pictures of the page in many states, in Chromium and Firefox, to be looked at:
`scripts/test-browser screenshots.py`.

They are in .cache/screenshots. With MATTEBOX_DOCS_IMAGES=1 those that docs use go to docs/img too.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import LIMIT_S, ROOT, SAMPLE, Server, Visit, looped
from firefox import Firefox
from test_windows import SlowNetwork

FOLDER = ROOT / ".cache/screenshots"
# Screenshots of the documentation, by scene and browser.
DOCS = {
    ("four", "chromium"): "live-grid.png",
    ("camera", "chromium"): "live-camera.png",
    ("sixteen-wall", "chromium"): "live-wall.png",
    ("phone", "firefox"): "live-phone.png",
    ("sixteen", "firefox"): "live-dark.png",
}
COLOURS = 255


def ffmpeg(*words: object) -> None:
    command = ["ffmpeg", "-v", "error", "-y", *(str(word) for word in words)]
    subprocess.run(command, check=True, timeout=LIMIT_S)


def keep(scene: str, browser: str, png: bytes) -> None:
    """Writes a screenshot, with few colours, so that it is small."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{scene}-{browser}.png"
    large = FOLDER / "large.png"
    large.write_bytes(png)
    few = f"split[a][b];[a]palettegen=max_colors={COLOURS}[p];[b][p]paletteuse"
    ffmpeg("-i", large, "-vf", few, path)
    large.unlink()
    if os.environ.get("MATTEBOX_DOCS_IMAGES") and (name := DOCS.get((scene, browser))):
        (ROOT / "docs/img" / name).write_bytes(path.read_bytes())


def cameras(folder: pathlib.Path, *names: str, width: int, fps: int) -> list[str]:
    """Cameras that show the sample by its bare file name, as in the documentation."""
    if not (folder / SAMPLE.name).exists():
        (folder / SAMPLE.name).symlink_to(SAMPLE)
    return [
        *(f"{name}={SAMPLE.name}" for name in names),
        "--loop",
        "--realtime",
        "--fps",
        str(fps),
        "--max-width",
        str(width),
    ]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Four cameras with four backgrounds."""
    folder = tmp_path_factory.mktemp("four")
    server = Server(folder, *cameras(folder, "door", "hall", "desk", "yard", width=640, fps=10))
    server.await_pictures()
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "gradients=s=640x360:n=2:c0=0x1b2a49:c1=0xe8a87c:x0=0:y0=0:x1=0:y1=360:speed=0.00001",
        "-frames:v",
        1,
        folder / "evening.png",
    )
    upload = server.ask(
        "POST",
        "/api/cameras/desk/background",
        (folder / "evening.png").read_bytes(),
        Content_Type="image/png",
    )
    assert upload.status == 200
    for camera, background in [("door", "#8fb8de"), ("hall", "blur:24"), ("yard", "#2f6b4f")]:
        assert server.patch(camera, {"background": background}).status == 200
    yield server
    server.finish()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Sixteen cameras, one in an empty room, one that cannot be reached."""
    folder = tmp_path_factory.mktemp("mixed")
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "gradients=s=320x180:d=2:r=5:c0=0x607060:c1=0x303840:speed=0.00001",
        folder / "empty.mp4",
    )
    names = [f"cam{n}" for n in range(1, 15)]
    server = Server(
        folder,
        "store=empty.mp4",
        "gate=rtsp://127.0.0.1:9/live",
        *cameras(folder, *names, width=320, fps=5),
    )
    yield server
    server.finish()


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("sixty")
    server = Server(folder, *cameras(folder, *(f"cam{n}" for n in range(1, 61)), width=160, fps=2))
    yield server
    server.finish()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("one")
    server = Server(folder, *cameras(folder, "door", width=640, fps=10))
    yield server
    server.finish()


# Scene: server, address, width, height, dark.
SCENES: dict[str, tuple[str, str, int, int, bool]] = {
    "one": ("one", "", 1280, 860, False),
    "four": ("four", "", 1280, 860, False),
    "four-dark": ("four", "", 1280, 860, True),
    "camera": ("four", "#camera=desk", 1280, 1180, False),
    "camera-dark": ("four", "#camera=hall", 1280, 1180, True),
    "camera-phone": ("four", "#camera=door", 390, 844, True),
    "wall": ("four", "#wall", 1280, 720, False),
    "nowhere": ("four", "#camera=nowhere", 1280, 500, False),
    "sixteen": ("mixed", "", 1280, 1010, True),
    "tablet": ("mixed", "", 768, 1024, False),
    "phone": ("mixed", "", 390, 844, False),
    "sixteen-wall": ("mixed", "#wall", 1280, 720, True),
    "sixty": ("sixty", "", 1280, 1000, False),
    "sixty-wall": ("sixty", "#wall", 1600, 900, False),
}
# Enough for pictures and a few seconds of numbers.
READY_MS = 9000


@pytest.mark.parametrize("scene", SCENES)
def test_in_chromium(
    scene: str, visits: Callable[..., Visit], request: pytest.FixtureRequest
) -> None:
    name, address, width, height, dark = SCENES[scene]
    server = request.getfixturevalue(name)
    visit = visits(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    )
    visit.page.goto(f"{server.url}/{address}")
    visit.page.wait_for_timeout(READY_MS)
    keep(scene, "chromium", visit.page.screenshot())


@pytest.fixture(scope="module")
def firefoxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], Firefox]]:
    """Firefox, light or dark."""
    running: dict[bool, Firefox] = {}

    def one(dark: bool) -> Firefox:
        if dark not in running:
            running[dark] = Firefox(tmp_path_factory.mktemp("firefox") / "profile", dark)
        return running[dark]

    yield one
    for firefox in running.values():
        firefox.close()


@pytest.mark.parametrize("scene", SCENES)
def test_in_firefox(
    scene: str,
    firefoxes: Callable[[bool], Firefox],
    visits: Callable[..., Visit],
    request: pytest.FixtureRequest,
) -> None:
    name, address, width, height, dark = SCENES[scene]
    server = request.getfixturevalue(name)
    firefox = firefoxes(dark)
    firefox.size(width, height)
    firefox.open("about:blank")
    firefox.open(f"{server.url}/{address}")
    visits().page.wait_for_timeout(READY_MS)
    keep(scene, "firefox", firefox.screenshot())


@pytest.mark.parametrize("delay_s", [2.0, 6.0])
def test_late(delay_s: float, one: Server, visits: Callable[..., Visit]) -> None:
    network = SlowNetwork(one.port)
    visit = visits(viewport={"width": 1280, "height": 860})
    visit.page.goto(f"http://127.0.0.1:{network.port}")
    visit.await_live("door")
    # No faster than this: without a byte for three seconds the page connects again.
    while network.delay_s < delay_s:
        network.delay_s += 2.0
        visit.page.wait_for_timeout(5000)
    keep(f"late-{delay_s:.0f}", "chromium", visit.page.screenshot())
    network.close()


def test_login(
    start: Callable[..., Any], visits: Callable[..., Visit], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "token").write_text("a-token-of-the-tests\n")
    (tmp_path / "token").chmod(0o600)
    server = start(*looped("door"), "--token-file", tmp_path / "token")
    visit = visits(viewport={"width": 800, "height": 600})
    visit.page.goto(server.url)
    field = visit.page.get_by_label("Token")
    field.fill("wrong-token-of-the-tests")
    field.press("Enter")
    visit.page.wait_for_load_state()
    keep("login-failure", "chromium", visit.page.screenshot())
    field.fill("a-token-of-the-tests")
    field.press("Enter")
    visit.await_live("door")
    keep("with-token", "chromium", visit.page.screenshot())
