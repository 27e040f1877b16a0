"""A run in which every string that a stranger controls tries to break out of the page."""

from __future__ import annotations

import dataclasses

from evalkit.analysis.figure_data import ChoiceShares, FigureData, Shape
from evalkit.checkpoints.training_log import Training
from evalkit.metrics.summary import Alarm, Summary
from evalkit.records import Completion, Group, Prompt
from evalkit.report.content.content import MetricText, ReportContent
from tests.report.example import arm as example_arm
from tests.report.example import difference, estimate, sampling
from tests.report.whole import people_said

ATTACK = "document.title='pwned';document.body.insertAdjacentHTML('beforeend','<b id=pwned>x</b>')"
HOSTILE = (
    f"<script>{ATTACK}</script>",
    f"</script><script>{ATTACK}</script>",
    f'"><img src=x onerror="{ATTACK}">',
    f"javascript:{ATTACK}",
    "<!--<script>",
    "]]></style></title></textarea></noscript>",
    "{{ 7 * 7 }}{% raw %}${7*7}",
    "nul \x00 in the middle",
    "lone surrogate \ud800 and \udfff",
    "bidi \u202e reversed \u2066 isolate",
    "zero\u200bwidth\ufeff",
    "emoji 👩‍👩‍👧‍👦🏳️‍🌈",
    "line\u2028separator\r\nand carriage",
    "x" * 50_000,
    "",
    f'<a href="javascript:{ATTACK}" onclick="{ATTACK}">a link</a>',
    f'<svg onload="{ATTACK}"><math><mtext></mtext></math></svg>',
    f'<iframe srcdoc="<script>parent.{ATTACK}</script>"></iframe>',
)
NAME = HOSTILE[1] + HOSTILE[2] + HOSTILE[7] + HOSTILE[8] + HOSTILE[9]
"""What everything is called: title, suite, arm, prompt, measure."""


def hostile_content() -> ReportContent:
    """Two prompts and two arms; the arms' texts are `HOSTILE`, and so are all names and the manifest."""
    evil = NAME
    prompts = [
        Prompt(name, evil, (evil, "tag"), answer=evil, references=(evil,), choices={evil: 1.0}) for name in ("p1", evil)
    ]
    names = {"base": "base", evil: evil}
    arms = tuple(
        dataclasses.replace(example_arm(name, checkpoint), sampling=dataclasses.replace(sampling(), stop=(evil,)))
        for name, checkpoint in names.items()
    )
    estimates = [
        estimate(m, name, values, "higher")
        for m in ("reward", evil)
        for name, values in zip(names, SPREAD, strict=True)
    ]
    found = [difference(estimates[i + 1], estimates[i], 2) for i in (0, 2)]
    return ReportContent(
        title=evil,
        summary=Summary(evil, ("p1", evil), arms, tuple(estimates), tuple(found), (Alarm(evil, evil, evil),)),
        groups={name: [_group(prompt) for prompt in prompts] for name in names},
        rendered={name: {"p1": evil, evil: evil} for name in names},
        scores={evil: {name: [[1.0] * len(HOSTILE)] * 2 for name in names}},
        provenance={evil: {evil: [evil, {evil: evil}]}, "list": [evil], "none": None, "empty": {}},
        metrics={evil: MetricText(evil, "higher", evil, evil)},
        people=people_said([evil], evil, evil),
        figure_data=FigureData(
            shapes=tuple(Shape(name, (1,), (0.5,), (0.4,), (0.6,)) for name in names),
            choices=tuple(ChoiceShares(p.id, name, {evil: 0.5}, {evil: 1}, 2) for p in prompts for name in names),
            trainings=(Training(evil, "update", 1, (0,), (1.0,), (1.0,), (1.0,)),),
        ),
    )


SPREAD: list[list[float | None]] = [[0.1, 0.4], [1.0, 1.2]]


def _group(prompt: Prompt) -> Group:
    return Group(prompt, tuple(Completion(prompt.id, i, text, (), (), "stop") for i, text in enumerate(HOSTILE)))
