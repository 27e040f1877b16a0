"""What many tests need: a cache of their own, and a suite to write down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SUITE = """\
name: tiny
checkpoints:
  base: {path: "lab:base", kind: base}
  tuned: {path: "lab:tuned", kind: tuned}
sampling:
  n: 4
  temperature: 1.0
  max_tokens: 24
metrics: [distinct_n, length]
prompts:
  - {id: one, text: "Write the first line of a story."}
  - {id: two, text: "Name a colour."}
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads what another left in the cache, or what lies around on the machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[..., Path]:
    """Write SUITE, with some of its text replaced, as suite.yaml."""

    def write(*replacements: tuple[str, str]) -> Path:
        text = SUITE
        for old, new in replacements:
            assert old in text, f"{old!r} is not in the suite; the test would test nothing"
            text = text.replace(old, new)
        path = tmp_path / "suite.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
