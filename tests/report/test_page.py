"""One file, offline, whole, and safe to open whatever a model wrote."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from evalkit.metrics.summary import Alarm, Summary
from evalkit.records import Completion, Group
from evalkit.report.content.content import MetricText, ReportContent
from evalkit.report.page import build_report
from evalkit.report.sections import samples
from tests.report.blocks import opened
from tests.report.example import arm
from tests.report.hostile import HOSTILE, hostile_content

SCRIPTS_THAT_RUN = 2
LIMIT = 8_000_000


class Page(HTMLParser):
    """What a browser would find: elements, attributes and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        elif self.cdata_elem is None:
            self.text += data

    @property
    def running(self) -> list[str]:
        return [text for attributes, text in self.scripts if "type" not in attributes]

    @property
    def data(self) -> Any:
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == "data"))

    @property
    def blocks(self) -> list[Any]:
        packed = [text for attributes, text in self.scripts if attributes.get("class") == "block"]
        return [opened(text, self.data["words"]) if text else None for text in packed]


@pytest.fixture(scope="module")
def page(sweep: ReportContent) -> Page:
    return Page(build_report(sweep))


@pytest.fixture(scope="module")
def hostile() -> Page:
    return Page(build_report(hostile_content()))


def test_five_arms_stay_under_eight_megabytes(sweep: ReportContent) -> None:
    assert len(build_report(sweep).encode()) < LIMIT


def test_the_same_run_gives_the_same_page(two_arms: ReportContent) -> None:
    assert build_report(two_arms) == build_report(two_arms)


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    loading = {"src", "srcset", "action", "data", "poster", "background", "style"}
    assert not [found for found in page.attributes if found[1] in loading]
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(page.tags)
    links = [value for _, name, value in page.attributes if name in ("href", "xlink:href")]
    assert links
    assert all(link.startswith("#") for link in links)


def test_our_own_style_and_script_ask_for_nothing(sweep: ReportContent) -> None:
    html = build_report(sweep)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style
    assert not re.search(r"fetch\(|XMLHttpRequest|innerHTML|eval\(", Page(html).running[1])


def test_the_policy_lets_only_our_scripts_run(page: Page) -> None:
    from hashlib import sha256

    policy = next(value for tag, name, value in page.attributes if tag == "meta" and "default-src" in value)
    hashes = [base64.b64encode(sha256(script.encode()).digest()).decode() for script in page.running]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_the_tables_hold_every_estimate(page: Page, sweep: ReportContent) -> None:
    assert page.tags.count("h4") == len({estimate.metric for estimate in sweep.summary.estimates})
    for words in ("95 %", "60 prompts × 32 completions", "↓ lower is more diverse", "effective texts", "9f2c9f2c"):
        assert words in page.text


def test_identical_completions_are_one_entry(page: Page, sweep: ReportContent) -> None:
    assert len(page.blocks) == len(sweep.summary.prompts)
    collapsed = page.blocks[0]["tuned T=0.5"]["classes"]
    assert sum(count for _, count, *_ in collapsed) == 32
    text, count, _, scores = collapsed[0]
    assert count > 20
    assert text == text.strip()
    assert page.blocks[0]["tuned T=0.5"]["scores"] == ["reward"]
    assert len(scores) == 1


def test_the_data_can_be_taken_away(page: Page, sweep: ReportContent) -> None:
    assert page.data["summary"]["differences"][0]["baseline"] == "base"
    assert len(page.data["csv"].splitlines()) == 1 + len(sweep.summary.estimates)


def test_a_loss_is_positive_whichever_way_the_measure_points(page: Page) -> None:
    losses = {loss["name"]: loss["values"] for loss in page.data["losses"]}
    for measure in ("self_bleu", "vendi"):
        assert sum(losses[f"{measure}: tuned T=1 against base"]) > 0


def test_hostile_text_adds_no_element(hostile: Page) -> None:
    assert len(hostile.running) == SCRIPTS_THAT_RUN
    assert not {"img", "iframe", "b", "a:b"} & set(hostile.tags)
    assert not [found for found in hostile.attributes if found[1].startswith("on")]
    assert not [found for found in hostile.attributes if "javascript:" in found[2] and found[1] == "href"]


def test_hostile_text_arrives_whole(hostile: Page) -> None:
    entries = hostile.blocks[0]["base"]["classes"]
    expected = {re.sub("[\0\ud800-\udfff]", "\ufffd", text.strip()) for text in HOSTILE}
    assert {text for text, *_ in entries} == expected


def test_the_page_is_utf8_without_nul(hostile: Page) -> None:
    html = build_report(hostile_content())
    assert "\x00" not in html
    assert html.encode("utf-8").decode("utf-8") == html


@pytest.mark.parametrize("missing", [None, math.nan])
def test_missing_values_are_said_not_crashed_on(two_arms: ReportContent, missing: float | None) -> None:
    summary = two_arms.summary
    estimates = [
        dataclasses.replace(e, value=missing, low=missing, high=missing, values=(missing,)) for e in summary.estimates
    ]
    differences = [
        dataclasses.replace(d, value=missing, low=missing, high=missing, p=missing, p_adjusted=missing)
        for d in summary.differences
    ]
    empty = dataclasses.replace(summary, estimates=tuple(estimates), differences=tuple(differences))
    page = Page(build_report(dataclasses.replace(two_arms, summary=empty)))
    assert "not defined" in page.text
    assert "nan" not in page.text.split()


def test_one_arm_without_comparison(two_arms: ReportContent) -> None:
    summary = two_arms.summary
    estimates = tuple(e for e in summary.estimates if e.arm == "base")
    alone = dataclasses.replace(summary, arms=summary.arms[:1], estimates=estimates, differences=(), alarms=())
    page = Page(build_report(dataclasses.replace(two_arms, summary=alone)))
    assert "There is no baseline" in page.text
    assert "Read with care" not in page.text
    assert "What changed" not in page.text


def test_a_run_of_nothing_is_still_a_page() -> None:
    page = Page(build_report(ReportContent("Nothing", Summary("empty", (), (arm("base", "base"),), (), ()))))
    assert "nothing could be measured" in page.text


def test_diversity_alone_has_a_plot_of_its_own(two_arms: ReportContent) -> None:
    estimates = tuple(e for e in two_arms.summary.estimates if e.metric in ("vendi", "self_bleu"))
    content = dataclasses.replace(two_arms, summary=dataclasses.replace(two_arms.summary, estimates=estimates))
    page = Page(build_report(content))
    assert "Diversity of every arm" in page.text
    assert [len(row) for row in page.data["overview"]] == [2]


def test_alarms_stand_before_the_numbers(page: Page) -> None:
    assert page.text.index("41 % of completions are identical") < page.text.index("Every metric", 500)


def test_arms_measured_differently_are_called_incomparable(two_arms: ReportContent) -> None:
    first, *rest = two_arms.summary.estimates
    summary = dataclasses.replace(two_arms.summary, estimates=(dataclasses.replace(first, signature="x|k:8"), *rest))
    assert "must not be compared" in Page(build_report(dataclasses.replace(two_arms, summary=summary))).text


def test_a_page_that_would_grow_too_large_says_what_it_left_out(
    two_arms: ReportContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "MAX_BYTES", 10_000)
    packed = samples.pack(two_arms)
    assert 0 < packed.left_out < len(packed.blocks)
    assert packed.blocks.count("") == packed.left_out
    assert f"The completions of {packed.left_out} prompts did not fit" in Page(build_report(two_arms)).text


def test_scores_that_are_missing_or_short_leave_the_others(two_arms: ReportContent) -> None:
    prompt = two_arms.groups["base"][0].prompt
    texts = ("same", " same ", "other")
    group = Group(prompt, tuple(Completion(prompt.id, i, text, (), (), "stop") for i, text in enumerate(texts)))
    content = ReportContent(
        "t",
        dataclasses.replace(two_arms.summary, prompts=(prompt.id,)),
        {"base": [group]},
        scores={"reward": {"base": [[1.0, None]]}, "accuracy": {"tuned": []}},
        metrics={"reward": MetricText("", "higher", "")},
    )
    [block] = Page(build_report(content)).blocks
    assert block["base"] == {
        "rendered": None,
        "scores": ["reward"],
        "classes": [["same", 2, 0, [1.0]], ["other", 1, 0, [None]]],
    }


def test_an_alarm_is_text(two_arms: ReportContent) -> None:
    summary = dataclasses.replace(two_arms.summary, alarms=(Alarm("<b>arm</b>", "<i>", "<script>x</script>"),))
    page = Page(build_report(dataclasses.replace(two_arms, summary=summary)))
    assert "<script>x</script>" in page.text
    assert len(page.running) == SCRIPTS_THAT_RUN
