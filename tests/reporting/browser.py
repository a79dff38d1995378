"""A headless Chromium that tests can click, type and look in: DevTools over two pipes."""

import base64
import io
import itertools
import json
import os
import shutil
import subprocess

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-pipe", "--hide-scrollbars"),
)
KEYS = {"Tab": 9, "Enter": 13, " ": 32}


class Browser:
    """One window, told what to do by messages that end in a zero byte."""

    def __init__(self, profile):
        from_us, self.to_it = os.pipe()
        self.from_it, from_child = os.pipe()
        command = f'exec "$@" 3<&{from_us} 4>&{from_child}'
        self.process = subprocess.Popen(
            ["bash", "-c", command, "bash", CHROMIUM, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(from_us, from_child),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(from_us)
        os.close(from_child)
        self.numbers, self.buffer, self.session, self.events = itertools.count(1), b"", None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def close(self):
        os.close(self.to_it)
        self.process.terminate()
        self.process.wait(30)
        os.close(self.from_it)

    def _message(self):
        while b"\0" not in self.buffer:
            chunk = os.read(self.from_it, 1 << 16)
            assert chunk, "Chromium ended"
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method, **params):
        """Sends a command; what came meanwhile is kept in `events`."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.to_it, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, address, *, width=1280, height=1000, dark=False):
        """Shows a page, and waits until it has loaded."""
        self.ask("Page.navigate", url="about:blank")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}  # jumps instead of scrolling
        self.ask("Emulation.setEmulatedMedia", features=[scheme, still])
        self.events.clear()
        self.ask("Page.navigate", url=address)
        while self.js("document.readyState + location.protocol") != "completefile:":
            pass

    def js(self, expression):
        """The value of an expression, or of what it promises."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key):
        """A key down and up, as from a keyboard."""
        text = {"Enter": "\r", " ": " "}.get(key)
        code = {"key": key, "windowsVirtualKeyCode": KEYS[key]}
        more = {"text": text} if text else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **code, **more)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **code)

    def hover(self, selector):
        """Moves the mouse over the middle of an element."""
        box = (
            f"(e=>{{e.scrollIntoView({{block:'center'}});const b=e.getBoundingClientRect();"
            f"return [b.x+b.width/2,b.y+b.height/2]}})(document.querySelector({selector!r}))"
        )
        x, y = self.js(box)
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def pixels(self):
        """What is seen, uint8 (height, width, 3)."""
        file = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))

    def complaints(self):
        """Errors of scripts, refusals of the page's policy, and addresses asked for."""
        found = []
        for event in self.events:
            if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded"):
                found.append(event["params"])
            if event["method"] == "Network.requestWillBeSent":
                url = event["params"]["request"]["url"]
                found += [] if url.startswith(("file:", "data:", "about:")) else [url]
        return found
