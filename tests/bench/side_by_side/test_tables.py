"""The tables: figures side by side, on the prompts where evalkit's is defined."""

from __future__ import annotations

from bench.side_by_side.ours import FIGURES
from bench.side_by_side.tables import OURS, written

NAN = float("nan")


def test_a_row_has_both_figures_and_how_far_apart_they_are() -> None:
    theirs = {"vendi_score": {"real": {"a": {"values": [1.0, 3.0, 0.0], "seconds": 2.0}}}}
    own = {"vendi_score": {"real": {"a": {"values": [1.0, 2.5, NAN], "seconds": 1.0}}}}
    page = written({"emb-diversity": theirs}, {"emb-diversity": own})
    assert "| vendi_score | `vendi` | real, without 1 prompt | 2.0000 | 1.7500 | 0.500 | 2.00 | 1.00 |" in page


def test_an_interval_is_shown_by_its_ends() -> None:
    found = {"ci": {"answers": {"a": {"values": [0.25, 0.75], "seconds": 0.0}}}}
    assert "| 0.2500 to 0.7500 | 0.2500 to 0.7500 | 0 |" in written({"inspect": found}, {"inspect": found})


def test_every_figure_has_a_name_in_the_tables() -> None:
    for peer, figures in FIGURES.items():
        assert figures.keys() <= OURS[peer].keys()
