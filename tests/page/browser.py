"""A headless Chromium, driven over a pipe by its DevTools protocol; nothing but the standard library.

    with Browser(path) as browser:
        page = browser.open("file:///...")
        page.run("document.title")
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

SOON = 60


class Failed(Exception):
    """What the browser refused, or what a script threw."""


class Browser:
    """A browser with a profile of its own that goes with it."""

    def __init__(self, path):
        self.profile = tempfile.mkdtemp(prefix="raywarden-chromium-")
        low = (*os.pipe(), *os.pipe())
        # The protocol is spoken on descriptors 3 and 4; ours lie above them.
        there, self.to, self.back, here = (fcntl.fcntl(it, fcntl.F_DUPFD_CLOEXEC, 10) for it in low)
        for it in low:
            os.close(it)
        flags = [
            "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "--disable-gpu",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-default-apps", "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio",
            "--force-color-profile=srgb", "--font-render-hinting=none",
        ]
        if os.geteuid() == 0:
            # Chromium's own sandbox does not start as root.
            flags.append("--no-sandbox")
        wires = f"exec 3<&{there} 4>&{here} {there}<&- {here}>&- && exec \"$@\""
        self.process = subprocess.Popen(
            ["bash", "-c", wires, "chromium", path, *flags, "about:blank"],
            pass_fds=(there, here), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(there)
        os.close(here)
        self.rest = b""
        self.number = 0
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self.process.wait(timeout=10)
        except (Failed, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait(timeout=10)
        os.close(self.to)
        os.close(self.back)
        shutil.rmtree(self.profile, ignore_errors=True)

    def read(self, deadline):
        """The next message."""
        while b"\0" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.back], [], [], left)[0]:
                raise Failed("the browser does not answer")
            more = os.read(self.back, 1 << 20)
            if not more:
                raise Failed("the browser ended: " + self.process.stderr.read().decode(errors="replace")[-2000:])
            self.rest += more
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def call(self, method, session=None, **params):
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        deadline = time.monotonic() + SOON
        while True:
            answer = self.read(deadline)
            if answer.get("id") == number:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def wait(self, method, session):
        """The next event of a kind that has not been waited for."""
        deadline = time.monotonic() + SOON
        while True:
            for at, event in enumerate(self.events):
                if event["method"] == method and event.get("sessionId") == session:
                    return self.events.pop(at)["params"]
            answer = self.read(deadline)
            if "method" in answer:
                self.events.append(answer)

    def open(self, url, width=1280, height=900, **media):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.size(width, height)
        if media:
            page.media(**media)
        page.go(url)
        return page


class Page:
    """One tab."""

    def __init__(self, browser, session):
        self.browser = browser
        self.session = session

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def go(self, url):
        self.call("Page.navigate", url=url)
        self.browser.wait("Page.loadEventFired", self.session)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, **features):
        """Emulates features such as prefers_color_scheme="dark"."""
        given = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=given)

    def run(self, script):
        """The value of an expression, awaited."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise Failed(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def press(self, key, text=None, shift=False):
        """One key, as a keyboard sends it."""
        codes = {"Tab": 9, "Enter": 13, " ": 32, "Escape": 27, "ArrowDown": 40, "/": 191}
        code = codes.get(key, ord(key.upper()[0]))
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else None) if text is None else text
        event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        down = {**event, "type": "keyDown" if text else "rawKeyDown"}
        if text:
            down["text"] = text
        self.call("Input.dispatchKeyEvent", **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text):
        for letter in text:
            self.press(letter)

    def picture(self, path, whole=False):
        with open(path, "wb") as file:
            data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
            file.write(base64.b64decode(data))

    def requests(self):
        """Every URL that was asked for, data and the page itself included."""
        seen = [it for it in self.browser.events if it["method"] == "Network.requestWillBeSent"]
        return [it["params"]["request"]["url"] for it in seen if it.get("sessionId") == self.session]

    def complaints(self):
        """Errors of scripts, and what a policy kept out."""
        out = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                out.append(details.get("exception", {}).get("description") or details["text"])
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in ("error", "warning"):
                out.append(event["params"]["entry"]["text"])
        return out
