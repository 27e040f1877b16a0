"""A made-up run of questions of opinion: a base without a view, a tuned arm near one of two groups, a drawn one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.collect_figure_data import collect_figure_data
from evalkit.analysis.estimates import AskedSuite, Measured, summarise
from evalkit.metrics.registry import parse
from evalkit.records import Arm, Completion, Group, Prompt
from evalkit.report.content.content import ReportContent, metric_text
from evalkit.suite.questions import Question, prompts_of
from tests.report.example import synthetic

HOSTILE = "<script>alert(2)</script>"
NORTH, SOUTH = "North", f"South {HOSTILE}"
SCALE = ("Never", "Rarely", "Often", "Always")
QUESTIONS = [
    Question(id=f"q{n}", text=f"How often is {n} right? {HOSTILE}", choices=SCALE, ordered=True) if n % 3
    else Question(id=f"q{n}", text=f"Which of these, {n}?", choices=("Tea", HOSTILE, "Water"))
    for n in range(12)
]  # fmt: skip
LETTER_BIAS = np.array([1.5, 0.2, -0.4, 0.0])
MEASURES = [
    *(f"{name}|group:{group}" if group else name
      for name in ("opinion_distance", "opinion_wasserstein", "opinion_jensen_shannon", "opinion_total_variation")
      for group in ("", NORTH, SOUTH)),
    "opinion_order_effect",
]  # fmt: skip


def leaning(question: Question, towards: float) -> np.ndarray:
    """(m,) shares that grow along the choices, or fall where `towards` is negative; 0 is even."""
    weights = np.exp(towards * np.linspace(-1, 1, len(question.choices)))
    return np.asarray(weights / weights.sum())


def asked(questions: Sequence[Question] = QUESTIONS) -> list[Prompt]:
    groups = {each.id: {NORTH: tuple(leaning(each, 1.5)), SOUTH: tuple(leaning(each, -1.5))} for each in questions}
    return list(prompts_of(questions, groups))


def answering(
    prompts: Sequence[Prompt], towards: Sequence[float], drawn: bool = False, bias: float = 1.0
) -> list[Group]:
    """Groups of a checkpoint that leans so on each question, and likes some letters besides."""
    by_id = {each.id: (each, lean) for each, lean in zip(QUESTIONS, towards, strict=True)}
    return [_group(prompt, *by_id[prompt.cluster or ""], drawn, bias) for prompt in prompts]


def _group(prompt: Prompt, question: Question, towards: float, drawn: bool, bias: float) -> Group:
    assert prompt.opinion is not None
    of_choices = np.log(leaning(question, towards))
    logits = {
        letter: of_choices[c] + bias * LETTER_BIAS[ord(letter) - ord("A")]
        for c, letter in enumerate(prompt.opinion.answers)
    }
    most = max(logits.values())
    total = sum(np.exp(value - most) for value in logits.values())
    logprobs = {letter: float(value - most - np.log(total / 0.9)) for letter, value in logits.items()}
    texts = [letter for letter, value in logprobs.items() for _ in range(round(20 * np.exp(value)))]
    completions = tuple(Completion(prompt.id, i, text, (), (), "stop") for i, text in enumerate(texts))
    return Group(prompt, completions, choice_logprobs=None if drawn else logprobs)


def opinions_content() -> ReportContent:
    """Base, a tuned arm that moved to the North, and a served one that was counted."""
    content = synthetic([("base", "base", 1.0), ("tuned", "tuned", 1.0), ("served", "tuned", 1.0)], 2, 2)
    prompts, arms = asked(), content.summary.arms
    chance = np.random.default_rng(0)
    wobble = chance.normal(0, 0.3, (3, len(QUESTIONS)))
    groups = {
        arms[0].name: answering(prompts, wobble[0]),
        arms[1].name: answering(prompts, 1.2 + wobble[1]),
        arms[2].name: answering(prompts, -1.0 + wobble[2], drawn=True, bias=0.2),
    }
    return report_of(content, arms, prompts, groups)


def report_of(
    content: ReportContent, arms: Sequence[Arm], prompts: Sequence[Prompt], groups: dict[str, list[Group]]
) -> ReportContent:
    measures = [parse(name) for name in MEASURES]
    measured = [
        Measured(
            str(measure),
            str(measure),
            measure.definition.better,
            {arm: measure(members) for arm, members in groups.items()},
            8,
            measure.definition.traits,
            (0.0, 1.0),
        )
        for measure in measures
    ]
    suite = AskedSuite("values", [prompt.id for prompt in prompts], clusters_of(prompts))
    return dataclasses.replace(
        content,
        summary=summarise(suite, arms, measured, []),
        groups=groups,
        scores={},
        figure_data=collect_figure_data(groups, []),
        metrics={str(measure): metric_text(measure) for measure in measures},
    )
