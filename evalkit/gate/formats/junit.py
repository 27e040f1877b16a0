"""A verdict as JUnit XML, one test case a judgement: what most CI systems show as test results.

There is no one schema. This keeps to what Ant's (each suite with properties, system-out, system-err) and Jenkins' have
in common. A regression is a failure; what cannot be told is a failure, an error or skipped, as the exit code has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as Xml

from evalkit.gate.decide import GateDecision, Judgement
from evalkit.gate.formats import failure as failures
from evalkit.gate.formats import words
from evalkit.gate.formats.failure import Failure
from evalkit.suite.gate_policy import Inconclusive

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS: dict[Inconclusive, str] = {"fail": "failure", "report": "error", "pass": "skipped"}


def to_junit(verdict: GateDecision, inconclusive: Inconclusive, at: datetime) -> bytes:
    """The XML, in UTF-8; `at` is when the gate was asked."""
    tags = [_tag(judgement, inconclusive) for judgement in verdict.judgements]
    suite = _suite(tags, at)
    for judgement, tag in zip(verdict.judgements, tags, strict=True):
        _case(suite, judgement, tag)
    return _written(suite, [words.headline(verdict), *_common(verdict), *words.notes(verdict)])


def _common(verdict: GateDecision) -> list[str]:
    """How many prompts were shared, then every one that was left out."""
    shared = words.shared(verdict)
    names = [f"{title}: {', '.join(map(words.one_line, prompts))}" for title, prompts in words.left_out(verdict)]
    return [shared, *names] if shared else []


def failure_to_junit(failure: Failure, at: datetime) -> bytes:
    """One test case, which is an error and holds every reason."""
    suite = _suite(["error"], at)
    case = Xml.SubElement(suite, "testcase", classname="evalkit.gate.decide", name="comparison", time="0")
    reasons = _clean("\n".join(failures.reasons(failure)))
    Xml.SubElement(case, "error", message=reasons.replace("\n", "; "), type=failures.VERDICT).text = reasons
    return _written(suite, [failures.headline(failure)])


def _suite(tags: Sequence[str], at: datetime) -> Xml.Element:
    suite = Xml.Element(
        "testsuite",
        name="evalkit gate",
        package="evalkit",
        id="0",
        timestamp=at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        hostname="localhost",
        tests=str(len(tags)),
        failures=str(tags.count("failure")),
        errors=str(tags.count("error")),
        skipped=str(tags.count("skipped")),
        time="0",
    )
    Xml.SubElement(suite, "properties")
    return suite


def _written(suite: Xml.Element, lines: Sequence[str]) -> bytes:
    Xml.SubElement(suite, "system-out").text = _clean("\n".join(lines))
    Xml.SubElement(suite, "system-err")
    suites = Xml.Element("testsuites")
    suites.append(suite)
    Xml.indent(suites)
    return bytes(Xml.tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(suite: Xml.Element, judgement: Judgement, tag: str) -> None:
    case = Xml.SubElement(
        suite,
        "testcase",
        classname=_clean(f"evalkit.gate.decide.{words.arms(judgement)}"),
        name=_clean(words.metric_name(judgement)),
        time="0",
    )
    if tag == "skipped":
        Xml.SubElement(case, tag)
    elif tag:
        sentence = _clean(words.sentence(judgement))
        Xml.SubElement(case, tag, message=sentence, type=judgement.outcome).text = sentence


def _tag(judgement: Judgement, inconclusive: Inconclusive) -> str:
    if judgement.outcome == "regression":
        return "failure"
    return _TAGS[inconclusive] if judgement.outcome == "inconclusive" else ""


def _clean(text: str) -> str:
    """XML has no way to write some characters at all."""
    return _NOT_XML.sub("\ufffd", text)
