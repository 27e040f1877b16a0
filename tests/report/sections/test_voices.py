"""Who speaks, drawn: a voice a group, an arm a dot, the baseline on top."""

from __future__ import annotations

from evalkit.report.page import build_report
from evalkit.report.sections import voices
from tests.report.page_sections import CARD, HOSTILE, everything, share


def test_each_arm_has_its_line_in_each_voice_and_the_baseline_is_on_top() -> None:
    from plotly.graph_objects import Figure

    figure = voices.shares(everything().summary, CARD)
    assert figure is not None
    assert Figure(figure).data
    base, tuned = figure["data"]
    assert (base["name"], tuned["name"]) == ("base", "tuned")
    assert base["x"] == [0.5, 0.5]
    assert tuned["x"] == [0.6]  # what the classifier cannot tell is not drawn
    assert base["y"][0] < 0 < tuned["y"][0] < 0.5 < base["y"][1] < 1  # downwards
    assert tuned["error_x"]["array"] == [0.7 - 0.6]


def test_names_of_voices_are_text() -> None:
    figure = voices.shares(everything().summary, CARD)
    assert figure is not None
    assert HOSTILE not in str(figure)


def test_where_no_share_is_known_there_is_the_table_alone() -> None:
    unknown = CARD | {"shares": {"base": [share("rude", None)], "tuned": [share("rude", None)]}}
    assert voices.shares(everything().summary, unknown) is None


def test_the_page_draws_it_and_keeps_the_table() -> None:
    page = build_report(everything())
    assert 'id="voices-plot"' in page
    assert "<td>0.40</td><td>0.60</td><td>0.30 to 0.70</td>" in page
