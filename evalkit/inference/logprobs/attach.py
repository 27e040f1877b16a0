"""What measures need to know from checkpoints beyond what was sampled: prepared, read, and put into the groups.

Whatever must be read of a checkpoint is asked in one go, so that it is loaded once; nothing is done that no measure
of the suite needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from evalkit.inference.logprobs.cross import Attached, asked_about, baseline_groups, under_arm, under_baseline
from evalkit.inference.logprobs.other_prompts import under_other_prompts
from evalkit.inference.logprobs.score import Prepared, Scoring, read
from evalkit.inference.logprobs.target_choices import choices_read, opinions_read, references_read, valid_read
from evalkit.inference.plan import Plan
from evalkit.metrics.declaration import Need
from evalkit.metrics.summary import Alarm
from evalkit.plumbing.progress import Listener
from evalkit.records import Group

Groups = Mapping[str, Sequence[Group]]


def fill_needs(plan: Plan, groups: Groups, tell: Listener) -> tuple[dict[str, Sequence[Group]], list[Alarm]]:
    """All arms' groups with what the suite's measures need of checkpoints; and why which arm must do without.

    Only arms that are draws from their checkpoint's untempered distribution (`Arm.is_raw`) get log-probs and next-token
    distributions.
    Raises `CheckpointError`, `EngineError`.
    """
    filled = dict(groups)
    scorings: list[Scoring] = []
    lacking: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for need, prepare in PREPARED.items():
        asking = [str(measure) for measure in plan.suite.measures if need in measure.definition.needs]
        if asking:
            prepared = prepare(plan, filled)
            filled |= prepared.groups
            scorings += prepared.scorings
            for obstacle in prepared.obstacles.items():
                lacking[obstacle].update(dict.fromkeys(asking))
    for scoring, answer in zip(scorings, read(plan, [scoring.question for scoring in scorings], tell), strict=True):
        filled[scoring.arm] = scoring.attach(filled[scoring.arm], answer)
    alarms = [
        Alarm(arm, "undefined", f"{', '.join(measures)} cannot be measured: {why}")
        for (arm, why), measures in lacking.items()
    ]
    return filled, alarms


def own_distributions(plan: Plan, groups: Groups) -> Prepared:
    """`Group.next_token_distributions`: every raw arm's completions, read again by the checkpoint that wrote them."""
    scorings, obstacles = [], {}
    for arm in plan.arms:
        reader = plan.checkpoints[arm.checkpoint]
        if arm.is_raw and reader.checkpoint.is_remote:
            obstacles[arm.name] = f"{arm.checkpoint} is a server, and its weights are needed here"
        elif arm.is_raw:
            question = asked_about(reader, "next_token_distributions", groups[arm.name])
            scorings.append(Scoring(arm.name, question, Attached("next_token_distributions")))
    return Prepared({}, scorings, obstacles)


PREPARED: Mapping[Need, Callable[[Plan, Groups], Prepared]] = {
    "baseline_logprobs": under_baseline,
    "baseline_group": baseline_groups,
    "forward_logprobs": under_arm,
    "other_prompt_logprobs": under_other_prompts,
    "next_token_distributions": own_distributions,
    "choices": choices_read,
    "valid_logprobs": valid_read,
    "opinions": opinions_read,
    "references": references_read,
}
"""How each need is met."""
