"""What a suite asks of providers that they would ignore, cut or refuse: said before anything is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.providers import Provider, model_in, provider_of
from evalkit.errors import InputError
from evalkit.inference.engines import anthropic, gemini
from evalkit.records import Sampling
from evalkit.suite.schema import Suite

Refusals = Callable[[str, Sampling, Mapping[str, str]], list[str]]
REFUSALS: Mapping[str, Refusals] = {"anthropic": anthropic.refusals, "gemini": gemini.refusals}
SEEDLESS = ("anthropic",)
OF_LOGPROBS = frozenset(
    {"logprobs", "baseline_logprobs", "forward_logprobs", "other_prompt_logprobs", "next_token_distributions"}
)
"""Needs of measures that only log-probs can meet."""


def check_parameters(suite: Suite, checkpoints: Mapping[str, Checkpoint] | None = None) -> None:
    """Refuse what no provider would do as it is written. Raises `InputError`, a reason a line.

    `checkpoints`: those that are found, whose providers have told of their models.
    """
    asked = {name: provider for name, spec in suite.checkpoints.items() if (provider := provider_of(spec.source))}
    reasons = []
    for name, provider in asked.items():
        facts = dict(checkpoints[name].served) if checkpoints else {}
        reasons += [f"checkpoint {name!r}: {reason}" for reason in _of_checkpoint(suite, name, provider, facts)]
    if asked and len(asked) == len(suite.checkpoints):
        reasons += _of_all(suite, list(asked.values()))
    if reasons:
        raise InputError("\n".join(dict.fromkeys(reasons)))


def _of_checkpoint(suite: Suite, name: str, provider: Provider, facts: Mapping[str, str]) -> list[str]:
    spec = suite.checkpoints[name]
    reasons = []
    if spec.kind == "base":
        reasons.append(f"kind is base; {provider.title} takes conversations alone: say kind: tuned")
    if spec.model:
        reasons.append(f"model is {spec.model!r}, and the path names one too; leave out `model`")
    if spec.batch:
        reasons.append(f"batch is true; evalkit has no batch interface for {provider.title}: leave it out")
    if spec.chat_template_kwargs:
        reasons.append(f"chat_template_kwargs are given; {provider.title} takes none: leave them out")
    for sampling in suite.settings(name):
        reasons += REFUSALS[provider.scheme](model_in(spec.source), sampling, facts)
    return reasons


def _of_all(suite: Suite, providers: Sequence[Provider]) -> list[str]:
    """What has no meaning where no checkpoint of the suite is any other."""
    titles = " and ".join(dict.fromkeys(provider.title for provider in providers))
    reasons = [
        f"metric {measure} needs log-probs, which evalkit has from neither Anthropic nor Gemini: leave it out"
        for measure in suite.measures
        if measure.definition.needs & OF_LOGPROBS
    ]
    if suite.sampling.seed and all(provider.scheme in SEEDLESS for provider in providers):
        reasons.append(f"sampling.seed is {suite.sampling.seed}; {titles} takes no seed, and every run draws anew")
    return reasons
