"""How alike arms' answers are: a heat map, the same as a table, and the prompts on which they are most alike."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.analysis.figure_data import Accord
from evalkit.metrics.summary import Homogeneity, Likeness, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import short
from evalkit.report.content.content import ReportContent
from evalkit.report.plots import figures
from evalkit.report.verdicts.homogeneity import alike_sentence
from evalkit.report.wording import interval_text, value_text, with_level

ROW, FEET = 42, 70
"""Pixels of a row, and of the axis with its title."""
LETTERS = {5: 13, 8: 9}
"""Up to how many arms numbers stand in the cells, and how large: more would not fit on a telephone."""
LONGEST = 24
"""Letters of a name beside the map."""


@dataclass(frozen=True, slots=True)
class HomogeneityView:
    """What the template prints."""

    says: str
    signature: str
    arms: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """(arm, (value, interval) beside each arm)."""
    is_drawn: bool
    accords: tuple[tuple[Accord, str], ...]
    """Prompts on which arms agree most, each with how much."""


def homogeneity_view(content: ReportContent) -> HomogeneityView | None:
    """None where no two arms were embedded."""
    found = content.summary.homogeneity
    if found is None:
        return None
    names, table = _names(found), _table(found)
    rows = tuple((arm, tuple(_cell(table[arm, other]) for other in names)) for arm in names)
    known = [accord for accord in content.figure_data.accords if accord.prompt in content.summary.prompts]
    return HomogeneityView(
        says=alike_sentence(content.summary),
        signature=found.signature,
        arms=tuple(names),
        rows=rows,
        is_drawn=heat_map(content.summary) is not None,
        accords=tuple((accord, f"{accord.value:.2f}") for accord in known),
    )


def heat_map(summary: Summary) -> figures.Figure | None:
    """An arm a row and a column, the first above; numbered, so that names need room on one side alone."""
    found = summary.homogeneity
    known = [cell.value for cell in found.cells if is_number(cell.value)] if found else []
    if found is None or not known:
        return None
    names, table = _names(found), _table(found)
    places = list(range(len(names)))
    size = next((size for most, size in LETTERS.items() if len(names) <= most), 0)
    values = [[table[arm, other].value for other in names] for arm in names]
    trace = {
        "type": "heatmap",
        "x": places,
        "y": places,
        "z": values,
        "hovertext": [[_hover(arm, other, table[arm, other]) for other in names] for arm in names],
        "hoverinfo": "text",
        "colorscale": [[0, "var(--panel)"], [1, "var(--heat)"]],
        # From 0, so that no small difference looks large.
        "zmin": min(0.0, *known),
        "zmax": max(known),
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }
    if size:
        text = [["" if value is None else f"{value:.2f}".replace("-", "−") for value in row] for row in values]
        trace |= {"text": text, "texttemplate": "%{text}", "textfont": {"size": size, "color": "var(--ink)"}}
    bare = {"showgrid": False, "zeroline": False, "ticks": "", "automargin": True}
    axis = bare | {"tickmode": "array", "tickvals": places}
    numbered = [f"{place + 1}\u2002{figures.shown(short(arm, LONGEST))}" for place, arm in enumerate(names)]
    layout = figures.page_layout(
        height=FEET + max(ROW * min(len(names), 8), 24 * len(names)),
        xaxis=axis | {"ticktext": [str(place + 1) for place in places], "range": [-0.5, len(names) - 0.5]},
        yaxis=axis | {"ticktext": numbered, "range": [len(names) - 0.5, -0.5]},
        shapes=[_frame(place) for place in places],
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    return {"data": [trace], "layout": layout}


def _frame(place: int) -> figures.Figure:
    """Around an arm's own answers."""
    line = {"color": "var(--ink)", "width": 1.5}
    ends = {"x0": place - 0.495, "x1": place + 0.495, "y0": place - 0.46, "y1": place + 0.46}
    return {"type": "rect", "line": line} | ends


def _names(found: Homogeneity) -> list[str]:
    return list(dict.fromkeys(cell.arm for cell in found.cells))


def _table(found: Homogeneity) -> dict[tuple[str, str], Likeness]:
    """Both ways round."""
    cells = {(cell.arm, cell.other): cell for cell in found.cells}
    return cells | {(other, arm): cell for (arm, other), cell in cells.items()}


def _hover(arm: str, other: str, cell: Likeness) -> str:
    value, interval = _cell(cell)
    pair = (
        f"{figures.shown(arm)}, its own answers" if arm == other else f"{figures.shown(arm)} and {figures.shown(other)}"
    )
    return f"<b>{pair}</b><br>{value}" + (f", {with_level(interval)}" if interval else "")


def _cell(cell: Likeness) -> tuple[str, str]:
    return value_text(cell), interval_text(cell)
