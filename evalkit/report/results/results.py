"""What `evalkit.score`, `evalkit.run` and `evalkit.load` give: a finished measurement, to be looked at in Python."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.metrics.summary import Summary
from evalkit.plumbing.prose import counted
from evalkit.report.content.content import ReportContent
from evalkit.report.html.page_file import write_page
from evalkit.report.results import frames

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from evalkit.report.verdicts.verdict import Verdict


@dataclass(frozen=True, eq=False)
class Results:
    """Numbers with intervals, texts, charts and the verdict. Frames are made when they are first asked for."""

    content: ReportContent
    folder: Path | None = None
    """The run's folder; None for texts, and for several runs."""

    @property
    def name(self) -> str:
        """Of the suite, or the name given to the texts."""
        return self.content.title

    @property
    def summary(self) -> Summary:
        """All numbers, as in summary.json."""
        return self.content.summary

    @property
    def arms(self) -> list[str]:
        """What was compared."""
        return [arm.name for arm in self.summary.arms]

    @cached_property
    def verdict(self) -> Verdict:
        """What was gained and lost, in words and in parts."""
        from evalkit.report.verdicts.verdict import verdict

        return verdict(self.summary)

    @property
    def headline(self) -> str:
        """The verdict in a sentence or two, with its numbers."""
        return self.verdict.headline

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """A row a measure and arm: mean over prompts with its 95 % interval."""
        return frames.estimates(self.content)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """A row a measure and arm with a baseline: arm minus baseline, paired by prompt."""
        return frames.differences(self.summary)

    @cached_property
    def values(self) -> pd.DataFrame:
        """A row a measure, arm and prompt: what the estimates are means of."""
        return frames.values(self.summary)

    @cached_property
    def completions(self) -> pd.DataFrame:
        """A row a completion."""
        return frames.completions(self.content)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """A row a score and completion."""
        return frames.scores(self.content)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """A row an arm, curve and k."""
        return frames.curves(self.summary)

    @cached_property
    def alarms(self) -> pd.DataFrame:
        """A row a finding that makes numbers untrustworthy; look here first."""
        return frames.alarms(self.summary)

    def figures(self) -> list[str]:
        """Names of the figures there are, the report's first chart first."""
        from evalkit.report.results.figures import figure_names

        return figure_names(self.content)

    def figure(self, name: str | None = None, *, quality: str | None = None, diversity: str | None = None) -> go.Figure:
        """A chart as a Plotly figure: one of `figures()`, by default the report's first.

        `quality` and `diversity` name the measures on the axes of the figure "frontier". Raises `InputError`.
        """
        from evalkit.report.results.figures import figure_of

        return figure_of(self.content, name, quality, diversity)

    def save_page(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as one HTML file that opens offline; its path. Raises `StoreError`."""
        from evalkit.report.page import build_report

        write_page(Path(path), build_report(self.content))
        return Path(path)

    def __repr__(self) -> str:
        return f"<evalkit results of {self.name!r}: {self.headline}>"

    def _repr_html_(self) -> str:
        from evalkit.report.results.notebook import results_html

        return results_html(self.summary, self.verdict, self._facts())

    def _facts(self) -> str:
        prompts = counted(len(self.summary.prompts), "prompt")
        return ", ".join(
            [self.name, prompts, counted(len(self.arms), "arm"), *([str(self.folder)] if self.folder else [])]
        )
