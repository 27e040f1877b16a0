"""A real browser for the pages that evalkit writes: Chromium, driven by Selenium, with a log of all that a page asks for."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = (400, 800, 1280)
"""A phone, a window beside another, a laptop."""
HEIGHT = 900
PATIENCE = 30
"""Seconds until a condition that has not come is a failure; a loaded machine needs some."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--lang=en",
)
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


def lacking() -> list[str]:
    """What is not on this machine, and how to get it."""
    found = {
        f"Chromium ({', '.join(NAMES)})": chromium(),
        "chromedriver": shutil.which("chromedriver"),
        "axe-core": AXE.exists(),
    }
    return [name for name, there in found.items() if not there]


def required() -> bool:
    """Whether a machine without a browser fails the tests that need one, as in CI."""
    return os.environ.get("EVALKIT_BROWSER") == "required"


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One window. What the page said in the console and asked of the network is kept until `complaints` is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        self.asked: dict[str, str] = {}
        options = ChromeOptions()
        options.binary_location = str(chromium())
        for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = Chrome(options, Service(shutil.which("chromedriver")))
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def quit(self) -> None:
        self.driver.quit()

    def open(self, html: str, fragment: str = "", width: int = 1280, theme: Theme = "light") -> None:
        """Show the page from a file, as a reader would, in a window of that width."""
        file = self.folder / "page.html"
        file.write_text(html, encoding="utf-8")
        self.driver.get("about:blank")
        self.resize(width)
        self.dress(theme)
        self.driver.get(file.as_uri() + fragment)
        loaded = f"location.href.startsWith({json.dumps(file.as_uri())}) && document.readyState === 'complete'"
        self.until(lambda: self.evaluate(loaded), "the page")

    def resize(self, width: int) -> None:
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=HEIGHT, deviceScaleFactor=1, mobile=False
        )  # fmt: skip

    def dress(self, theme: Theme) -> None:
        """Emulate a reader who prefers that theme."""
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def cdp(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, or of the promise that it is, in the page's world."""
        found = self.cdp("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"]["exception"].get("description", found))
        return found["result"].get("value")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """What the elements hold, every character as it is."""
        return list(self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)"))

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for a condition; what it found."""
        try:
            return WebDriverWait(self.driver, PATIENCE).until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"{what}: did not come within {PATIENCE} s") from None

    def gone(self, flaws: Callable[[], list[Any]], what: str) -> None:
        """Wait until there is no flaw left; what is still there after all patience fails the test."""
        try:
            WebDriverWait(self.driver, PATIENCE).until(lambda _: not flaws())
        except TimeoutException:
            raise AssertionError(f"{what}: {flaws()[:10]}") from None

    def printed(self) -> bytes:
        """The page as a PDF."""
        return base64.b64decode(self.cdp("Page.printToPDF", printBackground=True)["data"])

    def downloaded(self, click: WebElement) -> Path:
        """The file that a click saves."""
        before = set(self.downloads.iterdir())
        click.click()

        def done() -> list[Path]:
            return [file for file in set(self.downloads.iterdir()) - before if file.suffix in (".json", ".csv")]

        [file] = self.until(done, "the download")
        return Path(file)

    def complaints(self) -> list[str]:
        """Whatever the console said, and every request for more than the file itself, since this was last asked.

        A request that the page's own policy stopped is told of too, and then that it was stopped.
        """
        said = [f"console: {entry['message']}" for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            found = event["params"]
            if found.get("documentURL", "").startswith("chrome"):
                continue  # Chromium's own first page
            if event["method"] == "Network.requestWillBeSent":
                self.asked[found["requestId"]] = url = found["request"]["url"]
                said += [f"asked for {url}"] if _is_outside(url) else []
            elif event["method"] in ("Network.webSocketCreated", "Network.webTransportCreated"):
                said.append(f"asked for {found['url']}")
            elif event["method"] == "Network.loadingFailed" and found.get("blockedReason") == "csp":
                said.append(f"stopped {self.asked[found['requestId']]}")
        return said


def _is_outside(url: str) -> bool:
    """Whether an address is neither that of the page's file nor within the page."""
    own = url.startswith("file:") and url.split("#")[0].endswith("/page.html")
    return not own and not url.startswith(("data:", "blob:", "about:"))
