"""What a suite asks for that nothing in it could give, refused before anything is sampled."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.errors import InputError, MetricError
from evalkit.metrics.registry import Measure, parse
from evalkit.records import Prompt
from evalkit.suite.schema import Suite


def check_measures(measures: Sequence[Measure], prompts: Sequence[Prompt]) -> None:
    """Refuse measures that these prompts can give no number to, or whose own model or server is not there.

    Raises `MetricError`, `CheckpointError`.
    """
    fields = {
        "answer": "answer",
        "checks": "checks",
        "choices": "choices",
        "valid": "valid",
        "valid_logprobs": "valid",
        "opinions": "opinion",
        "references": "references",
        "reference_embeddings": "references",
    }
    for measure in measures:
        measure.identify()
        if measure.definition.needs & {"scores", "classes"}:
            raise MetricError(
                f"metric {measure} reads what another tool says of its completions; evalkit score measures those"
            )
        for need, field in fields.items():
            if need in measure.definition.needs and not any(getattr(prompt, field) for prompt in prompts):
                raise MetricError(f"metric {measure} needs prompts with `{field}`; none has any")


def check_choosers(suite: Suite) -> None:
    """See that what chooses the best of n is a reward model. Raises `InputError` that names the checkpoint."""
    for name, spec in suite.checkpoints.items():
        if spec.best_of is not None:
            try:
                parse({"reward": {"model": spec.best_of.reward}}).identify()
            except InputError as error:
                raise type(error)(f"checkpoint {name!r}: best_of.reward: {error}") from None


def check_thinking(suite: Suite) -> None:
    """Refuse measures of thinking where no checkpoint can think apart. Raises `MetricError`."""
    measures = [measure for measure in suite.measures if measure.definition.needs & {"thinking", "thinking_tokens"}]
    specs = suite.checkpoints.values()
    if measures and not any(spec.thinking or "://" in spec.source for spec in specs):
        raise MetricError(
            f"metric {measures[0]} is of thinking, and no checkpoint says how its thinking ends; write it in its "
            'entry, as in thinking: {end: "</think>"}'
        )


def check_stated(suite: Suite) -> None:
    """Refuse measures of stated probabilities where none is asked for. Raises `MetricError`."""
    asked = [measure for measure in suite.measures if "stated" in measure.definition.needs]
    if asked and not any(spec.ask is not None and spec.ask.verbalized for spec in suite.checkpoints.values()):
        raise MetricError(
            f"metric {asked[0]} is of probabilities that a model states of its answers, and no checkpoint is asked for "
            "any; write it in its entry, as in ask: {verbalized: 5}"
        )
