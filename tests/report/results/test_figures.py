"""The page's charts as Plotly figures: by name, in colours of their own, and of the numbers that the frames hold."""

from __future__ import annotations

import json

import plotly.graph_objects as go
import pytest

import evalkit as ek
from evalkit.errors import InputError
from evalkit.report.results.figures import in_colour, light_colours
from evalkit.report.results.results import Results
from tests.finished import finished_run
from tests.report.hostile import hostile_content


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return ek.load(finished_run(tmp_path_factory.mktemp("run") / "r", {"base": 8, "tuned": 2}))


def test_every_figure_that_is_named_can_be_had_and_needs_no_style_sheet(run: Results) -> None:
    names = run.figures()
    assert names[0] == "frontier"
    assert {"distinct_n|n:1", "length", "accuracy", "differences"} <= set(names)
    for name in names:
        figure = run.figure(name)
        assert isinstance(figure, go.Figure)
        assert "var(--" not in figure.to_json()


def test_the_first_figure_is_the_default(run: Results) -> None:
    assert run.figure() == run.figure(run.figures()[0])


def test_a_metric_may_be_called_as_people_call_it(run: Results) -> None:
    assert run.figure("distinct-1") == run.figure("distinct_n|n:1")


def test_a_figure_holds_the_numbers_of_the_frame(run: Results) -> None:
    drawn = json.dumps(json.loads(run.figure("length").to_json())["data"])
    for row in run.estimates[run.estimates.metric == "length"].to_dict("records"):
        assert f"{row['value']:.6g}"[:4] in drawn


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": "no such"}, "there is no figure 'no such'; there are: frontier, "),
        ({"name": "length", "quality": "accuracy"}, "choose the axes of the figure 'frontier', not of 'length'"),
        (
            {"diversity": "accuracy"},
            "'accuracy' is not on this axis of the figure 'frontier'; there are: distinct_n|n:1",
        ),
    ],
)
def test_a_figure_that_is_not_there_is_one_line_with_those_that_are(
    run: Results, asked: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        run.figure(**asked)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_quality_there_is_no_frontier_and_the_error_says_why() -> None:
    found = ek.score({"a": {"p": ["a b", "c d"]}}, ["distinct_n"], progress=False)
    assert "frontier" not in found.figures()
    with pytest.raises(InputError, match="it needs a measure of quality or agreement and one of diversity"):
        found.figure("frontier")


def test_colours_are_looked_up_and_names_that_look_like_one_are_kept() -> None:
    figure = {"data": [{"name": "var(--ink)", "marker": {"color": "var(--ink)"}}], "layout": {}}
    found = in_colour(figure)
    assert found["data"][0] == {"name": "var(--ink)", "marker": {"color": light_colours()["--ink"]}}


def test_hostile_names_draw() -> None:
    results = Results(hostile_content())
    for name in results.figures():
        results.figure(name)
