"""Drives a headless Chromium by its DevTools protocol, over a pair of pipes.

What the page logs, what it throws and what it asks for is collected, so that a test can say that there was nothing.
Nothing here waits for a while in the hope that something has happened: it asks again until the answer is right or the
deadline is over.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

DEADLINE = 60  # seconds; longer than anything takes on a busy machine
OPTIONS = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
    "--no-sandbox",
]


def find():
    """The path of a Chromium, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


class Chromium:
    """A browser process."""

    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix="berth-ui-")
        to_read, self.to_browser = os.pipe()
        self.from_browser, to_write = os.pipe()
        command = " ".join(["exec", program, *OPTIONS, f"--user-data-dir={self.folder}", f"3<&{to_read} 4>&{to_write}"])
        self.child = subprocess.Popen(
            ["bash", "-c", command], pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self.changed = threading.Condition()
        self.answers, self.listeners, self.last, self.ended = {}, [], 0, False
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        rest = b""
        while piece := os.read(self.from_browser, 1 << 20):
            *messages, rest = (rest + piece).split(b"\0")
            for message in map(json.loads, messages):
                with self.changed:
                    if "id" in message:
                        self.answers[message["id"]] = message
                    for listener in self.listeners:
                        listener(message)
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def post(self, method, session=None, **parameters):
        """Sends a command and does not wait. The number of its answer."""
        with self.changed:
            self.last += 1
            message = {"id": self.last, "method": method, "params": parameters}
            if session:
                message["sessionId"] = session
            os.write(self.to_browser, json.dumps(message).encode() + b"\0")
            return self.last

    def ask(self, method, session=None, **parameters):
        number = self.post(method, session, **parameters)
        with self.changed:
            if not self.changed.wait_for(lambda: number in self.answers or self.ended, DEADLINE):
                raise TimeoutError(f"{method} is not answered")
            if self.ended:
                raise SystemExit(f"the browser has ended: {self.child.wait()}")
            answer = self.answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def page(self):
        return Page(self)

    def close(self):
        self.post("Browser.close")
        try:
            self.child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.child.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Page:
    """A tab in a context of its own: no storage is shared with other pages."""

    def __init__(self, browser):
        self.browser = browser
        self.complaints, self.requests, self.replies = [], [], {}
        self.context = browser.ask("Target.createBrowserContext")["browserContextId"]
        target = browser.ask("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        self.session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        browser.listeners.append(self.hear)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.look()

    def look(self, width=1280, height=800, dark=False):
        """The window's size and the colours that the person prefers."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme, still])

    def ask(self, method, **parameters):
        return self.browser.ask(method, self.session, **parameters)

    def hear(self, message):
        if message.get("sessionId") != self.session or "method" not in message:
            return
        method, about = message["method"], message["params"]
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(about["exceptionDetails"].get("exception", about["exceptionDetails"])))
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.complaints.append(str([part.get("value") for part in about["args"]]))
        elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.complaints.append(about["entry"]["text"] + " " + about["entry"].get("url", ""))
        elif method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.browser.post("Page.handleJavaScriptDialog", self.session, accept=True)
        elif method == "Fetch.requestPaused":
            self.reply(about)

    # ---- replies in place of the server's ----

    def reply_to(self, path, body, kind="text/event-stream"):
        """From here on requests of the path are answered with these bytes."""
        self.replies[path] = (body, kind)
        self.ask("Fetch.enable", patterns=[{"urlPattern": "*" + known} for known in self.replies])

    def reply(self, about):
        for path, (body, kind) in self.replies.items():
            if about["request"]["url"].endswith(path):
                self.browser.post(
                    "Fetch.fulfillRequest",
                    self.session,
                    requestId=about["requestId"],
                    responseCode=200,
                    responseHeaders=[{"name": "content-type", "value": kind}],
                    body=base64.b64encode(body.encode()).decode(),
                )

    # ---- looking ----

    def run(self, expression):
        """The value of an expression of JavaScript; a promise is waited for."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression[:200]}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression):
        """Waits until the expression is true, and returns its value."""
        end = time.monotonic() + DEADLINE
        while not (value := self.run(expression)):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {expression}")
            time.sleep(0.02)
        return value

    def has(self, selector, text=""):
        """Waits for an element that is seen and has the text in it."""
        return self.wait(f"({FIND})({json.dumps(selector)}, {json.dumps(text)}) !== null")

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? null")

    def go(self, url):
        self.ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def reload(self):
        self.run("window.isOld = true")
        self.ask("Page.reload")
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            try:
                if self.run("!window.isOld && document.readyState === 'complete'"):
                    return
            except RuntimeError:
                pass  # between two documents
        raise AssertionError("the page does not load again")

    def shot(self, path):
        picture = self.ask("Page.captureScreenshot", format="png")
        with open(path, "wb") as out:
            out.write(base64.b64decode(picture["data"]))

    # ---- doing ----

    def click(self, selector, text=""):
        """Clicks on the middle of an element as a mouse does."""
        self.has(selector, text)
        self.run(f"({FIND})({json.dumps(selector)}, {json.dumps(text)}).scrollIntoView({{block: 'nearest'}})")
        x, y = self.run(
            f"(() => {{const box = ({FIND})({json.dumps(selector)}, {json.dumps(text)}).getBoundingClientRect();"
            "return [box.left + box.width / 2, box.top + box.height / 2];})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text):
        self.ask("Input.insertText", text=text)

    def press(self, key, modifiers=0):
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37}
        more = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.ask(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=codes[key],
                modifiers=modifiers,
                **(more if kind == "keyDown" else {}),
            )

    def pick(self, selector, value):
        """Picks a value of a select."""
        self.has(selector)
        self.run(
            f"((select) => {{ select.value = {json.dumps(value)}; select.dispatchEvent(new Event('change')); }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def close(self):
        self.browser.listeners.remove(self.hear)
        self.browser.ask("Target.disposeBrowserContext", browserContextId=self.context)


# The first element that matches, is seen and has the text in it; else null.
FIND = """(selector, text) => [...document.querySelectorAll(selector)].find((element) =>
    element.checkVisibility() && (element.innerText ?? '').includes(text)) ?? null"""
