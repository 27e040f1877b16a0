"""What `evalkit power` found, in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from evalkit.gate.formats.words import name
from evalkit.gate.power_analysis import Planned, Plans
from evalkit.plumbing.prose import counted
from evalkit.plumbing.terminal import visible_text
from evalkit.report.wording import label


def show(plans: Plans, loss: float, chance: float) -> None:
    """A row a metric: the cheapest split, and the others; then what finds the loss in whichever metric has it."""
    console = Console(highlight=False)
    console.print(
        f"To find a loss of {100 * loss:g} % with a chance of {100 * chance:g} %; the level is shared by "
        f"{counted(plans.family, 'test')}. Tokens are those of one arm."
    )
    for pair in dict.fromkeys(planned.pair for planned in plans.planned):
        console.print(visible_text("\n" + " against ".join(dict.fromkeys(map(name, pair))), style="bold"))
        console.print(_table([planned for planned in plans.planned if planned.pair == pair], plans.prompts))
    console.print()
    for line in (*_whole(plans), *(f"left out: {name(why)}" for why in plans.left_out)):
        console.print(visible_text(line))


def _table(planned: Sequence[Planned], prompts: int) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("measure", overflow="fold")
    table.add_column("prompts x completions")
    table.add_column("tokens", justify="right")
    table.add_column("or")
    for arm in planned:
        table.add_row(*map(visible_text, _cells(arm, prompts)))
    return table


def _cells(planned: Planned, prompts: int) -> tuple[str, str, str, str]:
    chosen = planned.chosen
    if chosen is None:
        return name(label(planned.metric)), "no affordable number", "", ""
    more = f" ({chosen.prompts - prompts} more than the suite has)" if chosen.prompts > prompts else ""
    others = ", ".join(f"{s.prompts:,} x {s.samples}" for s in planned.splits if s != chosen)
    return name(label(planned.metric)), f"{chosen.prompts:,} x {chosen.samples}{more}", f"{chosen.tokens:,}", others


def _whole(plans: Plans) -> list[str]:
    """The cheapest split that is enough for every metric."""
    if plans.common is None:
        return ["No split is enough for every measure."]
    split = plans.common
    more = f", {split.prompts - plans.prompts} more than the suite has" if split.prompts > plans.prompts else ""
    share = plans.clusters / plans.prompts
    within = "" if share == 1 else f" (in {math.ceil(split.prompts * share):,} clusters as large as the pilot's)"
    size = f"{split.prompts:,} prompts{within} x {split.samples} completions"
    blocks = math.ceil(split.prompts * plans.in_blocks.inflation)
    return [
        f"Enough for every measure: {size}{more}, {split.tokens:,} tokens.",
        f"In blocks (evalkit run --until-decided): {blocks:,} prompts keep that chance; where so much is lost, "
        f"{100 * plans.in_blocks.used:.0f} % of them are asked on average.",
    ]
