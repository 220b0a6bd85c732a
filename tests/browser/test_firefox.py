"""The page in Firefox: it loads, pictures move, controls change them, and nothing is wider than the
window."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from conftest import Server, decode, is_near, until
from firefox import Firefox

LARGE = "document.querySelector('[data-testid=\"large-picture\"]')"
BLUR = "document.querySelector('[data-testid=\"background-blur\"]')"
LIVE = "document.querySelectorAll('#grid li[data-state=live]').length === 4"
# The width of the content, and of the window without its scroll bar.
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    firefox = Firefox(tmp_path_factory.mktemp("firefox") / "profile")
    yield firefox
    firefox.close()


@pytest.fixture
def page(firefox: Firefox, server: Server) -> Iterator[Callable[[str, int], Firefox]]:
    """Opens the page at an address and a width."""

    def at(address: str, width: int) -> Firefox:
        firefox.size(width, 900)
        firefox.open("about:blank")
        firefox.open(f"{server.url}/{address}")
        if address.startswith("#camera"):
            firefox.until(f"{LARGE}.width > 100")
        else:
            firefox.until(LIVE)
        return firefox

    firefox.complaints.clear()
    yield at
    firefox.run("1")
    assert firefox.complaints == []


def test_pictures_move(page: Callable[[str, int], Firefox]) -> None:
    firefox = page("", 1280)
    canvas = "document.querySelector('#grid li[data-camera=\"hall\"] canvas').toDataURL()"
    seen = {firefox.run(canvas)}
    until("three pictures", lambda: seen.add(firefox.run(canvas)) or len(seen) >= 3)
    firefox.click('#grid li[data-camera="hall"] a')
    firefox.until(f"{LARGE}.width > 100")
    seen = {firefox.run(f"{LARGE}.toDataURL()")}
    until(
        "three large pictures",
        lambda: seen.add(firefox.run(f"{LARGE}.toDataURL()")) or len(seen) >= 3,
    )


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("address", ["", "#camera=door", "#wall"])
def test_nothing_is_wider_than_the_window(
    page: Callable[[str, int], Firefox], address: str, width: int
) -> None:
    firefox = page(address, width)
    content, window = firefox.run(WIDTHS)
    assert content <= window
    if address.startswith("#camera"):
        inside = """[...document.querySelectorAll('.controls *')].every((e) => {
          const card = document.querySelector('.controls').getBoundingClientRect();
          const box = e.getBoundingClientRect();
          return box.width === 0 || (box.left >= card.left && box.right <= card.right); })"""
        assert firefox.run(inside), "a control is outside of its card"


def test_controls_change_pixels(
    page: Callable[[str, int], Firefox], server: Server, settings: None
) -> None:
    firefox = page("#camera=door", 1280)
    change = """(() => {
      const input = document.querySelector('[data-testid="background-color"]');
      input.value = '#1040c0';
      return input.dispatchEvent(new Event('input', { bubbles: true })); })()"""
    assert firefox.run(change)
    firefox.until(f"""(() => {{
      const [r, g, b] = {LARGE}.getContext('2d').getImageData(4, 4, 1, 1).data;
      return Math.abs(r - 16) < 13 && Math.abs(g - 64) < 13 && Math.abs(b - 192) < 13; }})()""")
    assert is_near(decode(server.get("/api/cameras/door/frame.jpg").body), (16, 64, 192))
    firefox.click('[data-testid="view-matte"]')
    firefox.until(
        f"Math.max(...{LARGE}.getContext('2d').getImageData(4, 4, 8, 1).data"
        ".filter((_, i) => i % 4 !== 3)) < 12"
    )


def test_the_blur_says_its_value(
    page: Callable[[str, int], Firefox], server: Server, settings: None
) -> None:
    assert server.patch("desk", {"background": "blur:23"}).status == 200
    firefox = page("#camera=desk", 1280)
    firefox.until(
        f"{BLUR}.value === '23' && "
        "document.querySelector('[data-el=\"blur-value\"]').textContent === '23'"
    )
    firefox.run(f"{BLUR}.focus()")
    firefox.press("\ue014")  # the arrow to the right
    until(
        "the stronger blur", lambda: server.camera("desk")["settings"]["background"] == "blur:23.5"
    )
    firefox.until("document.querySelector('[data-el=\"blur-value\"]').textContent === '23.5'")
    firefox.until(
        "document.querySelector('[data-testid=\"background-now\"]').textContent === 'blur 23.5'"
    )


def test_the_overlay_is_transparent(firefox: Firefox, server: Server) -> None:
    firefox.open(f"{server.url}/overlay/door")
    alpha = """(() => { const canvas = document.querySelector('canvas');
      const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
        .filter((_, i) => i % 4 === 3);
      return data[0] === 0 && data.filter((a) => a > 250).length > data.length / 10; })()"""
    firefox.until(alpha)
