"""Where labels stand beside their points, so that they cover neither each other nor the points: greedy, then mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CHARACTER, LINE = 7.2, 17.0
"""Pixels of a character's width and a line's height, at the charts' size of text."""
MARKER = 8.0
"""Pixels from a point's middle to its label."""
MARGIN = 8.0
"""Pixels that a label may stand out at the left and the right."""
SIDES = (
    "top right", "top left", "bottom right", "bottom left", "middle right", "middle left",
    "top center", "bottom center",
)  # fmt: skip
"""Plotly's words, best first: beside the bars of an interval rather than on them."""
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, up is more."""

    left: float
    bottom: float
    right: float
    top: float

    def shared(self, other: Box) -> float:
        """Area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.top - self.bottom)


@dataclass(frozen=True, slots=True)
class Point:
    """A labelled point, in pixels, with its interval's bars."""

    x: float
    y: float
    label: str
    bars: tuple[Box, ...] = ()


def sides(points: Sequence[Point], width: float, height: float, drawn: Sequence[Box] = ()) -> list[str]:
    """A side for every point's label, one of `SIDES`, in a plot of so many pixels, in which `drawn` is drawn too."""
    found = [SIDES[0]] * len(points)
    plot = Box(-MARGIN, 0, width + MARGIN, height)
    marks = [Box(p.x - MARKER, p.y - MARKER, p.x + MARKER, p.y + MARKER) for p in points]
    bars = [*drawn, *(bar for point in points for bar in point.bars)]
    placed: dict[int, Box] = {}
    for _ in range(_ROUNDS):
        for place, point in enumerate(points):
            others = [box for other, box in placed.items() if other != place]
            costs = [
                _cost(box_of(point, side), marks[:place] + marks[place + 1 :], others, bars, plot) + 2.0 * rank
                for rank, side in enumerate(SIDES)
            ]
            found[place] = SIDES[costs.index(min(costs))]
            placed[place] = box_of(point, found[place])
    return found


def box_of(point: Point, side: str) -> Box:
    """What a label covers on that side of its point."""
    wide = CHARACTER * len(point.label)
    vertical, horizontal = side.split()
    left = {"left": point.x - MARKER - wide, "center": point.x - wide / 2, "right": point.x + MARKER}[horizontal]
    if vertical != "middle" and horizontal != "center":
        # Plotly puts the corners nearer than the middles.
        left += MARKER / 2 if horizontal == "left" else -MARKER / 2
    bottom = {"top": point.y + MARKER / 2, "middle": point.y - LINE / 2, "bottom": point.y - MARKER / 2 - LINE}[
        vertical
    ]
    return Box(left, bottom, left + wide, bottom + LINE)


def _cost(box: Box, marks: Sequence[Box], labels: Sequence[Box], bars: Sequence[Box], plot: Box) -> float:
    """Outside the plot is worst, then other labels and points, then bars."""
    outside = box.area - box.shared(plot)
    covered = sum(box.shared(other) for other in (*marks, *labels))
    return 5 * outside + 5 * covered + 3 * sum(box.shared(bar) for bar in bars)
