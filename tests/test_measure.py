"""A measure is a value: its text parses back, and its signature says all that its number depends on."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from evalkit import measure as module
from evalkit.errors import MetricError
from evalkit.measure import Measure, define, definitions, metric, parse, split_variant
from evalkit.records import Group


@pytest.fixture
def made_up() -> Iterator[None]:
    """A metric with one parameter of each type, there for one test."""

    @metric(
        name="made_up", unit="things", better="higher", side="diversity", needs={"words"}, version="1.0", cites="nobody"
    )
    def made_up(group: Group, *, n: int = 2, weight: float = 0.5, law: str = "plain") -> float:
        """Things counted."""
        return n + weight + len(law)

    definitions()
    yield
    del module._declared["made_up"]


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("made_up", "made_up"),
        ("made_up|n:3", "made_up|n:3"),
        ("made_up|n:2", "made_up"),
        ("made_up|law:lab:x|n:3", "made_up|n:3|law:lab:x"),
        ({"made_up": {"weight": 1}}, "made_up|weight:1"),
        ({"made_up": None}, "made_up"),
    ],
)
def test_the_text_of_a_measure_parses_back(asked: str | dict[str, dict[str, int] | None], shown: str) -> None:
    found = parse(asked)
    assert str(found) == shown
    assert parse(str(found)) == found


@pytest.mark.usefixtures("made_up")
def test_a_signature_names_parameters_tokenizer_size_and_version() -> None:
    assert parse("made_up|n:3").signature(64, "enc") == "made_up|n:3|weight:0.5|law:plain|tok:13a|k:64|v:1.0"


@pytest.mark.usefixtures("made_up")
def test_signatures_are_equal_exactly_when_measures_are() -> None:
    texts = ["made_up", "made_up|n:3", "made_up|weight:0.25", "made_up|law:x"]
    signatures = {parse(text).signature(k, "enc") for text in texts for k in (8, 64)}
    assert len(signatures) == 2 * len(texts)


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("made_upp", "there is no metric 'made_upp' (did you mean 'made_up'?); known: "),
        ("made_up|m:3", "metric made_up has no parameter 'm'"),
        ("made_up|wieght:3", "(did you mean 'weight'?); it has: n, weight, law"),
        ("made_up|n", "'n' is not of the form parameter:value"),
        ("made_up|n:x", "metric made_up: n is 'x'; it must be of type int"),
        ("made_up|n:2.5", "n is '2.5'"),
        ({"made_up": {"n": True}}, "n is True"),
        ({"made_up": {"law": 3}}, "law is 3; it must be of type str"),
        ({"made_up": {}, "distinct_n": {}}, "a metric with parameters is one key"),
        ({}, "a metric with parameters is one key"),
        ("reward", "metric reward needs a value for 'model'"),
    ],
)
def test_a_mistake_says_what_is_allowed(asked: str | dict[str, dict[str, int]], message: str) -> None:
    with pytest.raises(MetricError) as caught:
        parse(asked)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", definitions())
def test_every_definition_explains_itself(name: str) -> None:
    """What `evalkit metrics NAME` prints: a summary and four paragraphs that CONTRIBUTING.md names, none left empty."""
    definition = define(name)
    assert definition.summary
    assert definition.unit
    assert definition.version
    assert definition.better in ("higher", "lower", "neither")
    paragraphs = (inspect.getdoc(definition.function) or "").split("\n\n")
    for label in ("Range:", "Bias:", "Cost:", "Undefined:"):
        [said] = [paragraph.removeprefix(label) for paragraph in paragraphs if paragraph.startswith(label)]
        assert said.strip(), label


def test_a_plug_in_is_found_through_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_outside(group: str) -> list[EntryPoint]:
        return [EntryPoint("x", "tests.plugin_metric", group)] if group == "evalkit.metrics" else []

    monkeypatch.setattr(module, "entry_points", from_outside)
    module._load_all.cache_clear()
    try:
        assert define("letters").function(Group.__new__(Group)) == 26.0
    finally:
        module._declared.pop("letters", None)
        module._load_all.cache_clear()


def test_two_metrics_cannot_have_one_name() -> None:
    definitions()

    def other(group: Group) -> float:
        return 0.0

    with pytest.raises(MetricError, match=r"metric 'distinct_n' is declared by both evalkit\.diversity\.lexical and "):
        metric(name="distinct_n", unit="", better="higher", needs=(), version="1", cites="")(other)


def test_a_measure_is_hashable_and_equal_by_value() -> None:
    assert {parse("distinct_n"), parse("distinct_n|n:2")} == {parse("distinct_n")}
    assert isinstance(parse("distinct_n"), Measure)


@pytest.mark.parametrize(
    ("text", "variant", "plain"),
    [
        ("pooled/distinct_n|n:3", "pooled", "distinct_n|n:3"),
        ("useful/vendi", "useful", "vendi"),
        ("reward|model:org/reward", "whole", "reward|model:org/reward"),
        ("distinct_n", "whole", "distinct_n"),
    ],
)
def test_a_variant_stands_before_the_metric_and_parses_back(text: str, variant: str, plain: str) -> None:
    assert split_variant(text) == (variant, plain)
    measure = parse(text)
    assert (measure.variant, str(measure)) == (variant, text)


def test_a_variant_can_be_asked_for_with_parameters() -> None:
    assert parse({"matched/distinct_n": {"n": 3}}) == parse("matched/distinct_n|n:3")


def test_variants_have_signatures_of_their_own() -> None:
    assert (
        parse("pooled/distinct_n").signature(8, "e", "", ["slots:2"])
        == "pooled/distinct_n|n:2|tok:13a|slots:2|k:8|v:1.0"
    )


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("matched/vendi", "whole, useful, pooled"), ("pooled/kl_reverse", "whole"), ("useful/accuracy", "whole")],
)
def test_a_variant_without_meaning_is_refused(text: str, allowed: str) -> None:
    with pytest.raises(MetricError, match=f"it has: {allowed}$"):
        parse(text)


def test_a_k_above_the_completions_does_not_fit() -> None:
    # `k` is a parameter of metrics of k tries.
    measure = Measure(parse("distinct_n").definition, (("k", 4),))
    assert measure.fits(4)
    assert not measure.fits(3)
    assert parse("distinct_n").fits(0)
