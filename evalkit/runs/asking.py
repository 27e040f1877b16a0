"""Answers to prompts, whichever way these were put: lists are taken apart when completions are read, not when drawn.

Of a list of k asked-for answers the i-th of draw d is answer number d k + i of its prompt; of several wordings draw d
in wording w is number d m + w. The first n that are there are measured. All others stay, with the reason: nothing that
was drawn is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import attrgetter

from evalkit.checkpoints.asking import wording_id
from evalkit.metrics.registry import Measure
from evalkit.metrics.summary import Alarm
from evalkit.records import Arm, Asking, Completion, Fault, FinishReason, Group, Item, Prompt
from evalkit.runs.answer_lists import answers_in
from evalkit.runs.thinking import apart


def answers_to(prompts: Sequence[Prompt], drawn: Iterable[Completion], arm: Arm | None) -> list[Group]:
    """One group a prompt with the answers in what was drawn for it, in order; thinking is apart.

    `arm` None: completions are taken as they are.
    """
    by_id: dict[str, list[Completion]] = {}
    for completion in drawn:
        one = completion if arm is None else apart(completion, arm)
        by_id.setdefault(one.prompt_id, []).append(one)
    return [Group(prompt, tuple(_answers(prompt, by_id, arm))) for prompt in prompts]


def _answers(prompt: Prompt, by_id: Mapping[str, list[Completion]], arm: Arm | None) -> Sequence[Completion]:
    asking = None if arm is None else arm.asking
    if arm is None or asking is None or asking.way == "plain":
        return sorted(by_id.get(prompt.id, ()), key=attrgetter("sample_index"))
    if asking.wordings > 1:
        answers = _of_wordings(prompt, by_id, asking)
    else:
        draws = sorted(by_id.get(prompt.id, ()), key=attrgetter("sample_index"))
        answers = [answer for draw in draws for answer in _of_list(draw, asking)]
    n = len(answers) if arm.sampling is None else arm.sampling.n
    return _with_surplus(answers, n)


def _of_wordings(prompt: Prompt, by_id: Mapping[str, list[Completion]], asking: Asking) -> list[Completion]:
    answers = [
        replace(
            draw,
            prompt_id=prompt.id,
            sample_index=draw.sample_index * asking.wordings + wording,
            item=Item(draw.sample_index, wording, len(draw.token_ids)),
        )
        for wording in range(asking.wordings)
        for draw in by_id.get(wording_id(prompt.id, wording), ())
    ]
    return sorted(answers, key=attrgetter("sample_index"))


def _of_list(draw: Completion, asking: Asking) -> Iterator[Completion]:
    """As many answers as were asked for, each that is not there with its fault.

    Tokens and log-probs are of the whole completion, and no answer's own. Thinking stands before the first.
    """
    is_cut = draw.finish_reason == "length"
    found = answers_in(draw.text, asking.answers, is_cut, asking.way == "verbalized") if draw.is_answer else []
    common = Item(draw.sample_index, tokens=len(draw.token_ids), written=len(found))
    plain = replace(draw, token_ids=(), logprobs=(), thinking=None, finish_reason="stop")
    for place in range(asking.answers):
        one = found[place] if place < len(found) else None
        fault: Fault | None = None
        text = "" if one is None else one.text
        if one is None:
            fault = "cut" if is_cut and (found or not draw.is_answer) else "missing" if found else "unread"
            text = draw.text if fault == "unread" and place == 0 else ""
        elif not one.is_whole:
            fault = "cut"
        item = replace(common, probability=None if one is None else one.probability, fault=fault)
        finish: FinishReason = "length" if fault == "cut" else "stop"
        answer = replace(plain, sample_index=draw.sample_index * asking.answers + place, text=text, item=item)
        yield replace(answer, finish_reason=finish, thinking=draw.thinking if place == 0 else None)


def _with_surplus(answers: Sequence[Completion], n: int) -> list[Completion]:
    """Answers beyond the first n that are there are marked as such."""
    there = [answer.sample_index for answer in answers if answer.is_answer]
    beyond = set(islice(there, n, None))
    return [_marked(answer) if answer.sample_index in beyond else answer for answer in answers]


def _marked(answer: Completion) -> Completion:
    assert answer.item is not None
    return replace(answer, item=replace(answer.item, fault="surplus"))


def dependence_alarms(arms: Sequence[Arm], measures: Sequence[Measure]) -> list[Alarm]:
    """Which measures are refused, or say less than they seem to, of answers that are no independent draws."""
    found = []
    for arm in arms:
        if arm.asking is None or arm.is_independent:
            continue
        undefined = [str(measure) for measure in measures if measure.assumes_independence]
        if undefined:
            why = f"{', '.join(undefined)} cannot be measured: {DEPENDENT[arm.asking.way]}"
            found.append(Alarm(arm.name, "undefined", why))
        of_pairs = [str(measure) for measure in measures if measure.definition.any_k and _is_metric(measure)]
        if of_pairs:
            found.append(Alarm(arm.name, "dependent", f"{', '.join(of_pairs)}: each {_PAIRS}"))
    return found


DEPENDENT = {
    "list": "it estimates from independent draws, and an answer of a list has seen those before it",
    "verbalized": "it estimates from independent draws, and an answer of a list has seen those before it",
    "paraphrases": "it estimates from draws of one distribution, and these are spread over several wordings",
}
"""Why estimators are refused, by way of asking."""
_PAIRS = (
    "tells of pairs of answers as they were asked for together, not of two independent draws: at another n it would be "
    "another number"
)


def _is_metric(measure: Measure) -> bool:
    return measure.definition.kind == "metric"
