"""The pictures in docs/images, of reports and of `evalkit annotate`, taken anew in a real browser: `make images`.

The lab's are of `suites/creative.yaml`, which is run here where no run of it is named. The real run's needs its
checkpoints, so its folder is named (docs/real-run.md has the command): `python -m docs.screenshots --real RUN`; so is
the ladder's (docs/real-ladder.md), with `--ladder RUN`.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from evalkit.plumbing.progress import Quiet
from evalkit.preferences.annotation import Comparison
from evalkit.preferences.pairs import Pair
from evalkit.records import Message, Prompt
from evalkit.report.content.read import read_content
from evalkit.report.page import build_report
from evalkit.run import run_suite
from evalkit.suite.schema import load_suite
from tests.browser import Browser, lacking
from tests.preferences.annotate.served import served

IMAGES = Path(__file__).with_name("images")
SUITE = Path(__file__).parent.parent / "suites" / "creative.yaml"
WIDTH = 1100
"""Pixels of the window."""
MARGIN = 12
"""Pixels of the page that are left around what is shown."""


LOW = 664
"""Of the window, where a page is shown that fills it."""
QUESTION = "What grows on a balcony that gets no sun before four o'clock?"
ANSWERS = (
    "Ferns and ivy forgive you almost everything, and heuchera keeps its leaves through the frost.\n\n"
    "Start with one large pot rather than five small ones: it dries out more slowly.",
    "Here are some great plants!\n\n1. Ferns\n2. Ivy\n3. Hostas\n\nAlways give them the love they deserve!",
)


@dataclass(frozen=True)
class Picture:
    """A part of a report: from the top of one element to the bottom of another, both as expressions of JavaScript."""

    name: str
    first: str
    last: str


TOP, CHART, CARD = (f"document.querySelector('{one}')" for one in ("header", "#overview", ".cards .card:last-of-type"))
METRIC = "[...document.querySelectorAll('.metric')].find(one => one.querySelector('h4').textContent === 'distinct_n')"
LAB = (Picture("report-lab", TOP, CARD), Picture("fair-comparison", METRIC, METRIC))
REAL = (Picture("report-real", TOP, CHART),)
TUNING = "document.querySelector('section[aria-labelledby=trainings]')"
LADDER = (
    Picture("real-ladder", CHART, CHART),
    Picture("real-ladder-tuning", TUNING, f"{TUNING}.querySelector('.multiples')"),
)


def main() -> None:
    """Take the pictures of the runs that are named, or of one that is made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", type=Path, metavar="RUN", help="a run of suites/creative.yaml on the lab")
    parser.add_argument("--real", type=Path, metavar="RUN", help="a run of it on real checkpoints")
    parser.add_argument("--ladder", type=Path, metavar="RUN", help="that of real_ladder.py on creative prompts")
    given = parser.parse_args()
    if missing := [tool for tool in lacking() if tool != "axe-core"]:
        parser.error(f"there is no {' and no '.join(missing)}; make browser installs them")
    take_annotation()
    if given.real is not None:
        take(given.real, REAL)
    if given.ladder is not None:
        take(given.ladder, LADDER)
    if given.lab is not None:
        take(given.lab, LAB)
    elif given.real is given.ladder is None:
        with tempfile.TemporaryDirectory() as made:
            take(run_suite(load_suite(SUITE), "auto", Path(made) / "run", Quiet()).folder, LAB)


def take(run: Path, pictures: Iterable[Picture]) -> None:
    """Photograph parts of a run's report as evalkit writes it now."""
    with tempfile.TemporaryDirectory() as scratch:
        browser = Browser(Path(scratch))
        try:
            browser.cdp("Emulation.setScrollbarsHidden", hidden=True)  # a whole page has none, and other lines then
            browser.open(build_report(read_content(run)), width=WIDTH)
            browser.until(lambda: browser.all("#overview .main-svg"), "the chart")
            for picture in pictures:
                small(photograph(browser, picture)).save(IMAGES / f"{picture.name}.png", optimize=True)
        finally:
            browser.quit()


def take_annotation() -> None:
    """Photograph the page on which people choose, with a conversation."""
    turns = (Message("user", QUESTION), Message("assistant", "How cold does it get?"), Message("user", "Minus ten."))
    asked = Comparison(Pair(Prompt("balcony", QUESTION, messages=turns), *ANSWERS))
    with tempfile.TemporaryDirectory() as scratch:
        browser = Browser(Path(scratch))
        try:
            with served(Path(scratch), [asked]) as server:
                browser.cdp(
                    "Emulation.setDeviceMetricsOverride", width=WIDTH, height=LOW, deviceScaleFactor=1, mobile=False
                )
                browser.driver.get(f"{server.url}/#rater=Ann")
                browser.until(lambda: browser.one("#pair").is_displayed(), "the pair")
                shot = browser.cdp("Page.captureScreenshot")
            small(base64.b64decode(shot["data"])).save(IMAGES / "annotate.png", optimize=True)
        finally:
            browser.quit()


def photograph(browser: Browser, picture: Picture) -> bytes:
    """PNG of a part of the page that is open."""
    clip = {"x": 0, "y": edge(browser, picture.first, "top") - MARGIN, "width": WIDTH, "scale": 1}
    clip["y"] = max(clip["y"], 0)
    clip["height"] = edge(browser, picture.last, "bottom") + MARGIN - clip["y"]
    shot: dict[str, Any] = browser.cdp("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
    return base64.b64decode(shot["data"])


def small(png: bytes) -> Image.Image:
    """The picture in 256 colours, which takes a third of the bytes."""
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    # The median cut would give all colours to the many greys of the text, and two arms the same one.
    return whole.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def edge(browser: Browser, element: str, side: str) -> float:
    """Pixels from the top of the page to an edge of an element."""
    return float(browser.evaluate(f"({element}).getBoundingClientRect()[{json.dumps(side)}] + scrollY"))


if __name__ == "__main__":
    main()
