"""What prompts ask, as hashes: by these two runs know which prompts are the same, and which only have one id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evalkit.errors import RecordsError
from evalkit.metrics.summary import Summary
from evalkit.plumbing.array_cache import key_of
from evalkit.records import Prompt
from evalkit.runs.manifest import first_fault, read_json

LEAST = 0.8
"""The share of either side's prompts that must be common for a pass, unless another is asked for."""
FEW = 3
"""Prompts that are named in a line; the rest is counted."""


def version_of(prompts: Sequence[Prompt]) -> str:
    """Hash of all that a suite asks, in whichever order; which prompts belong together is no part of it."""
    return key_of({"prompts": [prompt.content() for prompt in sorted(prompts, key=lambda prompt: prompt.id)]})


def hashes_of(prompts: Sequence[Prompt]) -> tuple[str, ...]:
    """Of each prompt a hash of what it asks and how answers are judged: all but its id, its tags and its cluster."""
    return tuple(_hash(prompt) for prompt in prompts)


def _hash(prompt: Prompt) -> str:
    fields = prompt.content()
    return key_of({"asked": {name: fields[name] for name in fields if name not in ("id", "tags")}})[:16]


def asked_by(summary: Summary) -> dict[str, str]:
    """Prompt -> hash of what it asks; empty where the summary does not tell."""
    return dict(zip(summary.prompts, summary.asked, strict=True)) if summary.asked else {}


@dataclass(frozen=True, slots=True)
class Common:
    """Which prompts two sides both asked alike, and which take no part."""

    prompts: tuple[str, ...]
    """The same id and the same contents, in the order of the first side."""
    changed: tuple[str, ...]
    """Of one id and other contents: text, answer, references, choices, checks or valid answers."""
    only_here: tuple[str, ...]
    """The first side's alone."""
    only_there: tuple[str, ...]
    """The second side's alone."""
    least: float = LEAST
    """The share that a pass needs."""

    @property
    def is_all(self) -> bool:
        """Whether no prompt is left out."""
        return not (self.changed or self.only_here or self.only_there)

    @property
    def share(self) -> float:
        """The common prompts as a share of those of the side that has more."""
        most = len(self.prompts) + len(self.changed) + max(len(self.only_here), len(self.only_there))
        return len(self.prompts) / most if most else 0.0

    @property
    def is_enough(self) -> bool:
        """Whether a pass on the common prompts may be one of the whole."""
        return self.share >= self.least


def common_to(here: Mapping[str, str], there: Mapping[str, str], least: float = LEAST) -> Common:
    """Of two sides' prompts, each as id -> hash of what it asks."""
    both = [prompt for prompt in here if prompt in there]
    return Common(
        prompts=tuple(prompt for prompt in both if here[prompt] == there[prompt]),
        changed=tuple(prompt for prompt in both if here[prompt] != there[prompt]),
        only_here=tuple(prompt for prompt in here if prompt not in there),
        only_there=tuple(prompt for prompt in there if prompt not in here),
        least=least,
    )


def few(prompts: Sequence[str]) -> str:
    """`a, b, c, ...`: the first of them."""
    return f"{', '.join(prompts[:FEW])}{', ...' if len(prompts) > FEW else ''}"


def unlike(common: Common, here: str, there: str) -> str:
    """Which prompts are not common, in a line; empty where all are. `here` and `there` are the sides' names."""
    parts = [
        (common.only_here, f"only in {here}"),
        (common.only_there, f"only in {there}"),
        (common.changed, "with the same id but another text, answer, references, choices, checks or valid answers"),
    ]
    return "; ".join(f"{len(prompts)} {where} ({few(prompts)})" for prompts, where in parts if prompts)


PROMPTS_FILE = "prompts.json"
"""Written by `evalkit.run`: the prompts, and each arm's rendering of them."""


def read_prompts(folder: Path) -> tuple[Prompt, ...]:
    """The prompts that a finished run asked. Raises `RecordsError`."""
    try:
        return TypeAdapter(tuple[Prompt, ...]).validate_python(read_json(folder / PROMPTS_FILE)["prompts"])
    except (KeyError, ValidationError) as error:
        raise RecordsError(f"{folder} is not a run's folder that this evalkit wrote: {first_fault(error)}") from None
