"""What `evalkit publish` prints."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from evalkit.cli.publish import publish


@pytest.mark.parametrize(("place", "head"), [("site", "Site: site/index.html"), ("hf://spaces/me/runs", "Site: hf:")])
@pytest.mark.parametrize(("runs", "said"), [(1, "(1 run"), (2, "(2 runs")])
def test_it_counts_the_runs_of_the_site(
    place: str, head: str, runs: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for function in ("evalkit.report.site.publish", "evalkit.report.hub.publish_to_hub"):
        monkeypatch.setattr(function, lambda *_: [object()] * runs)
    told = CliRunner().invoke(publish, ["run", "--to", place], catch_exceptions=False).output
    assert told.startswith(head)
    assert said in told
    assert said + "s" not in told
