"""The maps in a real browser: drawn, with the numbers of the picked prompt, whatever names and texts are."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.report.build import build_report

from . import test_browser
from .hostile import HOSTILE, hostile_content
from .mapped import with_map
from .test_browser import FLAGS, opened

pytestmark = test_browser.pytestmark


def test_both_maps_are_drawn_and_strangers_stay_strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The maps are drawn when a reader comes near them: here all of the page is in view.
    monkeypatch.setattr(test_browser, "FLAGS", [*FLAGS, "--window-size=1200,9000"])
    dom, console = opened(build_report(with_map(hostile_content())), tmp_path)
    assert console == ""
    assert "pwned" not in dom.ids
    assert "x2y2" in dom.classes  # the second arm's panel
    assert dom.text.count(f"{len(HOSTILE)} of {len(HOSTILE)}") == 2
    # Two arms and two prompts in panels; of one prompt, a face and an edge for each arm's texts.
    assert dom.classes.count("point") >= (2 * 2 + 2 * 2) * len(HOSTILE)
