"""A verdict as annotations of a GitHub Actions run (workflow commands on standard output), and as a step's outputs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from evalkit.gate.decide import GateDecision, GateOutcome, Judgement
from evalkit.gate.formats import failure as failures
from evalkit.gate.formats import words
from evalkit.gate.formats.failure import Failure

MOST = 10
"""GitHub shows no more annotations of a kind and step."""
_KINDS: tuple[tuple[GateOutcome, str], ...] = (("regression", "error"), ("inconclusive", "warning"))


def to_annotations(verdict: GateDecision) -> Iterator[str]:
    """One line each: errors for regressions, warnings for what cannot be told, and a notice where all passes."""
    for outcome, kind in _KINDS:
        alike = [judgement for judgement in verdict.judgements if judgement.outcome == outcome]
        shown = alike if len(alike) <= MOST else alike[: MOST - 1]
        yield from (_of(judgement, kind) for judgement in shown)
        if len(alike) > len(shown):
            yield command(kind, "evalkit gate", f"{len(alike) - len(shown)} more like these; see the log")
    if shared := words.shared(verdict):
        yield command("notice", "evalkit gate", shared)
    for note in words.notes(verdict):
        yield command("warning", "evalkit gate", note)
    if verdict.outcome == "pass":
        yield command("notice", "evalkit gate", words.headline(verdict))


def failure_annotation(failure: Failure) -> str:
    """One error that holds every reason."""
    return command("error", f"evalkit gate: {failures.TITLE}", "\n".join(failures.reasons(failure)))


def to_outputs(verdict: str, exit_code: int, report: str) -> str:
    """What a step writes to the file of its outputs; `report` may be empty. A value cannot end itself: a word of chance
    does.
    """
    values = {"verdict": verdict, "exit-code": str(exit_code), "report": report}
    end = f"end-{secrets.token_hex(8)}"
    return "".join(f"{key}<<{end}\n{value}\n{end}\n" for key, value in values.items())


def command(kind: str, title: str, message: str) -> str:
    """`::error title=TITLE::MESSAGE`, escaped as the runner unescapes it."""
    return f"::{kind} title={_property(title)}::{_data(message)}"


def _of(judgement: Judgement, kind: str) -> str:
    return command(kind, f"{words.OUTCOMES[judgement.outcome]}: {words.subject(judgement)}", words.sentence(judgement))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
