"""A real headless Chromium, spoken to over WebDriver with nothing but the standard library."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WAIT = 60  # seconds until the driver listens


@dataclass(frozen=True)
class Browser:
    """One window."""

    address: str

    def open(self, file: Path, width: int, *, dark: bool = False) -> None:
        """A page from disk at a width in pixels, 900 high, in the light or the dark scheme."""
        sizes = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", **sizes)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])
        self._post("/url", {"url": file.resolve().as_uri()})

    def run(self, script: str) -> Any:
        """What a script returns; what it awaits is awaited."""
        last = "const done = arguments[arguments.length - 1];"
        wrapped = f"{last} (async () => {{ {script} }})().then(done, (error) => done(String(error)));"
        return self._post("/execute/async", {"script": wrapped, "args": []})

    def logged(self) -> list[str]:
        """What the console has told since the last call, above information."""
        found = self._post("/se/log", {"type": "browser"})
        return [one["message"] for one in found if one["level"] in ("SEVERE", "WARNING")]

    def press(self, *keys: str) -> None:
        """Keys, one after the other, to whatever has the focus."""
        pressed = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._post("/actions", {"actions": [{"type": "key", "id": "keys", "actions": pressed}]})

    def picture(self) -> bytes:
        """The whole page as PNG."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def devtools(self, command: str, **params: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._post("/goog/cdp/execute", {"cmd": command, "params": params})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return posted(self.address + path, body)


def posted(address: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)["value"]


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A new Chromium with an empty profile in `folder`; it ends with the context."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(DRIVER), f"--port={port}", f"--log-path={folder / 'driver.log'}"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root = f"http://127.0.0.1:{port}"
    try:
        _await(root)
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={folder / 'profile'}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = posted(f"{root}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        window = Browser(f"{root}/session/{session}")
        posted(f"{window.address}/timeouts", {"script": 240_000, "pageLoad": 240_000})
        try:
            yield window
        finally:  # the driver alone would leave the browser behind
            urllib.request.urlopen(
                urllib.request.Request(window.address, method="DELETE"), timeout=60
            ).close()
    finally:
        driver.terminate()
        driver.wait()


def _await(root: str) -> None:
    end = time.monotonic() + WAIT
    while True:
        try:
            urllib.request.urlopen(f"{root}/status", timeout=5).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return
