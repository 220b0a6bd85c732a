"""Firefox as Debian and Ubuntu have it, by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/):
Playwright's own protocol needs another build of it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAMS = ("firefox-esr", "firefox")
LIMIT_S = 120
# With these preferences Firefox makes no requests of its maker.
PREFERENCES = {
    "app.update.enabled": False,
    "browser.aboutConfig.showWarning": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


def program() -> str:
    """The path of Firefox."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    assert found, "there is no Firefox here; `scripts/setup test` installs it"
    return found


class Firefox:
    """A running Firefox with one window."""

    def __init__(self, folder: pathlib.Path, dark: bool = False) -> None:
        folder.mkdir(parents=True)
        preferences = PREFERENCES | {
            "layout.css.prefers-color-scheme.content-override": 0 if dark else 1
        }
        lines = (
            f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
            for name, value in preferences.items()
        )
        (folder / "user.js").write_text("".join(lines))
        log = folder / "firefox.log"
        command = [
            program(),
            "--headless",
            "--no-remote",
            "--profile",
            str(folder),
            "--remote-debugging-port",
            "0",
            "about:blank",
        ]
        environment = {
            name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ
        }
        with log.open("w") as file:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env=environment,
            )
        begun = time.monotonic()
        while not (
            found := re.search(
                r"WebDriver BiDi listening on (ws://\S+)", log.read_text(errors="replace")
            )
        ):
            assert self.process.poll() is None and time.monotonic() - begun < LIMIT_S, (
                log.read_text(errors="replace")[-2000:]
            )
            time.sleep(0.1)
        self.complaints: list[str] = []
        self._number = 0
        self._ends = contextlib.ExitStack()
        self._socket: ClientConnection = self._ends.enter_context(
            connect(f"{found[1]}/session", max_size=None, proxy=None)
        )
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded"])
        self.context = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method: str, **parameters: Any) -> Any:
        """Sends a command and returns its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=LIMIT_S))
            if message.get("method") == "log.entryAdded":
                entry = message["params"]
                # The tests read canvases, which the page never does.
                if entry["level"] in ("error", "warn") and "willReadFrequently" not in str(
                    entry["text"]
                ):
                    self.complaints.append(str(entry["text"]))
            if message.get("id") == self._number:
                assert message["type"] == "success", message
                return message["result"]

    def size(self, width: int, height: int) -> None:
        self.ask(
            "browsingContext.setViewport",
            context=self.context,
            viewport={"width": width, "height": height},
        )

    def open(self, url: str) -> None:
        self.ask("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def run(self, script: str) -> Any:
        """The value of an expression in the page, as JSON."""
        expression = f"Promise.resolve({script}).then((value) => JSON.stringify(value ?? null))"
        found = self.ask(
            "script.evaluate",
            expression=expression,
            target={"context": self.context},
            awaitPromise=True,
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return json.loads(found["result"]["value"])

    def until(self, script: str) -> Any:
        """Waits until an expression is true in the page, and returns it."""
        begun = time.monotonic()
        while not (found := self.run(script)):
            assert time.monotonic() - begun < LIMIT_S, f"waited {LIMIT_S} s for {script}"
            time.sleep(0.1)
        return found

    def click(self, selector: str) -> None:
        """Clicks with the mouse, as a person does."""
        script = f"""(() => {{
          const e = document.querySelector({json.dumps(selector)});
          e.scrollIntoView({{ block: 'center' }});
          const b = e.getBoundingClientRect();
          return [b.x + b.width / 2, b.y + b.height / 2].map(Math.round);
        }})()"""
        x, y = self.run(script)
        actions = [
            {"type": "pointerMove", "x": x, "y": y},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self.ask(
            "input.performActions",
            context=self.context,
            actions=[{"type": "pointer", "id": "mouse", "actions": actions}],
        )

    def press(self, *keys: str) -> None:
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask(
            "input.performActions",
            context=self.context,
            actions=[{"type": "key", "id": "keys", "actions": actions}],
        )

    def screenshot(self) -> bytes:
        """A screenshot of the window, as a PNG file."""
        return base64.b64decode(
            self.ask("browsingContext.captureScreenshot", context=self.context)["data"]
        )

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._ends.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
