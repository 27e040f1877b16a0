"""Two sides of a suite that has grown: which prompts they share, and both as if these alone had been asked.

What a prompt asks must be the same, not its id alone. Summaries say it by a hash a prompt; those of an older evalkit do
not, and then a run's own prompts tell it, or vouch for the other side's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from evalkit.errors import Incomparable
from evalkit.gate.sides import Side
from evalkit.records import Prompt
from evalkit.runs.asked import (
    LEAST,
    PROMPTS_FILE,
    Common,
    asked_by,
    common_to,
    hashes_of,
    read_prompts,
    unlike,
    version_of,
)


def on_common_prompts(new: Side, old: Side, least: float = LEAST) -> tuple[Side, Side, Common]:
    """Both sides on the prompts that they asked alike, and which these are; a pass needs the share `least` of them.

    A side that was stopped early asked what its levels are made for, so nothing may be left out of it. Raises
    `Incomparable` on such a one, where no prompt is common, and where it is not known what was asked.
    """
    if new.look is not None:
        old = old.only(new.summary.prompts)
    common = common_of(new, old, least)
    if not common.is_all:
        _refuse_stopped(new, old, common)
    if not common.prompts:
        raise Incomparable(f"prompts: none is common; {unlike(common, new.name, old.name)}")
    here, there = (replace(side.only(common.prompts), suite_version="") for side in (new, old))
    return here, there, common


def common_of(here: Side, there: Side, least: float = LEAST) -> Common:
    """Which prompts both asked alike. Raises `Incomparable` where a side does not tell what it asked."""
    if here.suite_version and here.suite_version == there.suite_version:
        return common_to(dict.fromkeys(here.summary.prompts, ""), dict.fromkeys(there.summary.prompts, ""), least)
    return common_to(_asked(here, there), _asked(there, here), least)


def _refuse_stopped(new: Side, old: Side, common: Common) -> None:
    for side in (new, old):
        if side.look is not None and side.look.fraction < 1:
            raise Incomparable(
                f"prompts: {side.name} was stopped after {side.look.fraction:.0%} of its prompts, and when a run is "
                "stopped depends on what it found, so none of them may be left out "
                f"({unlike(common, new.name, old.name)}); run it without --until-decided"
            )


def _asked(side: Side, other: Side) -> Mapping[str, str]:
    """Prompt -> hash of what this side asked, by its own word or by the other's prompts."""
    hashes = asked_by(side.summary) or _hashed(side, _prompts(side))
    if not hashes:
        hashes = _vouched(side, _prompts(other))
    if not hashes:
        raise Incomparable(
            f"prompts: {side.name} does not say what its prompts ask (an older evalkit wrote it), so none is known to "
            "be the same in both; give the run's folder in its place, save the baseline again from that folder "
            "(evalkit baseline save RUN NAME), or measure it again"
        )
    return hashes


def _prompts(side: Side) -> Mapping[str, Prompt]:
    """What a run's folder says of its prompts; nothing of a side that is no folder, or one of an older evalkit."""
    if side.folder is None or not (side.folder / PROMPTS_FILE).is_file():
        return {}
    return {prompt.id: prompt for prompt in read_prompts(side.folder)}


def _hashed(side: Side, known: Mapping[str, Prompt]) -> dict[str, str]:
    """Hashes of the side's prompts, where all of them are known."""
    if any(prompt not in known for prompt in side.summary.prompts):
        return {}
    return dict(zip(side.summary.prompts, hashes_of([known[prompt] for prompt in side.summary.prompts]), strict=True))


def _vouched(side: Side, known: Mapping[str, Prompt]) -> dict[str, str]:
    """The same from another's prompts, if they are exactly what this side asked: its version is a hash of them all."""
    same = [known[prompt] for prompt in side.summary.prompts if prompt in known]
    return _hashed(side, known) if side.suite_version and version_of(same) == side.suite_version else {}
