"""What of a suite fits the checkpoints that it is run on: how they are asked, and what can be measured of them.

A tokenizer that is a closed list of words (those of the built-in checkpoints) reads no worked examples and writes
nothing that is not in its list; a reward model that has such a list reads no other text. All is seen from the files of
the checkpoints, so that it does not matter how somebody spells where they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.folder import locate
from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.errors import CheckpointError
from evalkit.metrics.registry import Measure, parse
from evalkit.suite.schema import Longer, OpenVocabulary, Suite

KNOWN_SHARE = 0.5
"""Of a checkpoint's list of words, what a reward model must know to read what it writes."""
REWARD_MODELS = (
    "Skywork/Skywork-Reward-V2-Qwen3-0.6B (0.6 billion parameters, runs on a CPU) or "
    "Skywork/Skywork-Reward-V2-Qwen3-8B (8 billion; Apache-2.0)"
)
"""Public ones of good repute: github.com/SkyworkAI/Skywork-Reward-V2, arXiv 2507.01352."""
_WORD_LEVEL = re.compile(rb'"type"\s*:\s*"WordLevel"')


@dataclass(frozen=True)
class Fitted:
    """A suite as it is run on its checkpoints."""

    suite: Suite
    longer: Mapping[str, Longer]
    """Checkpoint -> the prompts that it is given more room for."""
    note: str
    """What was left out, and what to do; empty where nothing was."""


def fit(suite: Suite, checkpoints: Mapping[str, Checkpoint]) -> Fitted:
    """The suite with each checkpoint asked as it can be, without rewards that can read none of them.

    Raises `CheckpointError` where a reward model is not there or a tokenizer cannot be read.
    """
    words = {name: closed_vocabulary(checkpoint) for name, checkpoint in checkpoints.items()}
    opened = [name for name in checkpoints if words[name] is None]
    way = suite.open_vocabulary
    specs = {name: _asked(spec, way) if name in opened else spec for name, spec in suite.checkpoints.items()}
    fitted = suite.model_copy(update={"checkpoints": specs})
    useless = [measure for measure in suite.measures if _reads_none(measure, words.values())]
    return Fitted(
        _without(fitted, useless) if useless else fitted,
        {name: way.longer for name in opened if way.longer is not None and not _has_room(suite.checkpoints[name])},
        _note(suite, useless) if useless else "",
    )


def closed_vocabulary(checkpoint: Checkpoint) -> frozenset[str] | None:
    """All words that a checkpoint knows; None for one that can spell any text, and for a server."""
    return None if checkpoint.is_remote else _words(Path(checkpoint.location))


def _words(folder: Path) -> frozenset[str] | None:
    path = folder / "tokenizer.json"
    try:
        content = path.read_bytes()
        # Only word lists are parsed: they are short, other tokenizers take seconds.
        return frozenset(json.loads(content)["model"]["vocab"]) if _WORD_LEVEL.search(content) else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error!r}") from None


def _asked(spec: CheckpointSpec, way: OpenVocabulary) -> CheckpointSpec:
    """What the checkpoint states itself goes before what the suite says of all."""
    stated = spec.sampling.model_dump(exclude_none=True)
    given = {name: value for name, value in _room(spec, way).items() if value is not None}
    sampling = spec.sampling.model_copy(update=given | stated)
    return spec.model_copy(update={"sampling": sampling, "frame": way.frame if spec.frame == Frame() else spec.frame})


def _room(spec: CheckpointSpec, way: OpenVocabulary) -> dict[str, Any]:
    """What a completion gets: of one that holds several answers more."""
    if spec.ask is None:
        return {"max_tokens": way.max_tokens, "stop": way.stop}
    max_tokens, stop = spec.ask.room(way.max_tokens or 0, way.stop or ())
    return {"max_tokens": max_tokens or None, "stop": None if way.stop is None else stop}


def _has_room(spec: CheckpointSpec) -> bool:
    """Whether the suite says of this very checkpoint how much room it has."""
    return spec.sampling.max_tokens is not None or spec.sampling.stop is not None


def _reads_none(measure: Measure, vocabularies: Collection[frozenset[str] | None]) -> bool:
    """Whether it is by a reward model whose list of words is none of the checkpoints'."""
    if measure.name != "reward":
        return False
    known = _words(locate(str(dict(measure.params)["model"])))
    if known is None:
        return False
    return not any(words is not None and len(words & known) >= KNOWN_SHARE * len(words) for words in vocabularies)


def _without(suite: Suite, useless: Sequence[Measure]) -> Suite:
    """Without these measures, and without what cannot be had where no other quality is left."""
    metrics = tuple(measure for measure in suite.metrics if measure not in useless)
    changed = {"metrics": metrics, "gate": suite.gate and suite.gate.without(_names(suite, useless))}
    if suite.quality in useless:
        changed |= {"quality": None, "quality_bar": None}  # a bar is in the unit of one reward model
    left = suite.model_copy(update=changed)
    if left.quality_measure is None:
        left = left.model_copy(update={"metrics": tuple(measure for measure in metrics if not _needs_quality(measure))})
    return left if left.metrics else left.model_copy(update={"metrics": (parse("length"),)})


def _needs_quality(measure: Measure) -> bool:
    return measure.variant == "useful" or "quality" in measure.definition.needs


def _names(suite: Suite, useless: Sequence[Measure]) -> set[str]:
    """What a rule may call them: in full, and by the bare name where no other measure has it."""
    kept = {measure.name for measure in suite.measures if measure not in useless}
    return {str(measure) for measure in useless} | ({measure.name for measure in useless} - kept)


def _note(suite: Suite, useless: Sequence[Measure]) -> str:
    models = ", ".join(str(dict(measure.params)["model"]) for measure in useless)
    left = _without(suite, useless)
    gone = [str(measure) for measure in suite.metrics if measure not in left.metrics and measure not in useless]
    quality = left.quality_measure
    parts = [
        f"{models} cannot read what these checkpoints write and is left out; name a reward model that can with "
        f"--reward MODEL, as in {REWARD_MODELS}",
        f"left out with it: {', '.join(gone)}" if gone else "",
        f"quality is now {quality}" if quality is not None and suite.quality_measure in useless else "",
        "what the suite's gate asks of it is not asked" if left.gate != suite.gate else "",
    ]
    return "; ".join(part for part in parts if part)
