"""A measure is a value: its text parses back, and its signature says all that its number depends on."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import yaml

from evalkit.errors import MetricError
from evalkit.metrics import registry as module
from evalkit.metrics.declaration import metric
from evalkit.metrics.registry import Measure, define, definitions, parse, respell, split_variant
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
    del module.declared_here["made_up"]


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


@pytest.fixture
def optional() -> Iterator[None]:
    """A metric with parameters that may be left open or are a yes or no, there for one test."""

    @metric(name="optional", unit="things", better="higher", side="diversity", needs=(), version="1.0", cites="nobody")
    def optional(group: Group, *, cased: bool = False, most: int | None = 3, law: str | None = None) -> float:
        """Things counted."""
        return 0.0

    definitions()
    yield
    del module.declared_here["optional"]


@pytest.mark.usefixtures("optional")
@pytest.mark.parametrize(
    ("text", "written", "shown", "params"),
    [
        ("optional", "{optional: {}}", "optional", (False, 3, None)),
        ("optional|cased:true", "{optional: {cased: true}}", "optional|cased:true", (True, 3, None)),
        ("optional|cased:True", "{optional: {cased: 'True'}}", "optional|cased:true", (True, 3, None)),
        ("optional|cased:yes", "{optional: {cased: yes}}", "optional|cased:true", (True, 3, None)),
        ("optional|cased:off", "{optional: {cased: off}}", "optional", (False, 3, None)),
        ("optional|most:none", "{optional: {most: null}}", "optional|most:none", (False, None, None)),
        ("optional|most:5", "{optional: {most: 5}}", "optional|most:5", (False, 5, None)),
        ("optional|law:x", "{optional: {law: x}}", "optional|law:x", (False, 3, "x")),
    ],
)
def test_bools_and_open_parameters_read_alike_from_text_and_yaml(
    text: str, written: str, shown: str, params: tuple[object, ...]
) -> None:
    found = parse(text)
    assert found == parse(yaml.safe_load(written)) == parse(shown)
    assert str(found) == shown
    assert tuple(value for _, value in found.params) == params
    # A bool is 1 to Python: that it is of its own type must be looked at by itself.
    assert [type(value) for _, value in found.params] == [type(value) for value in params]
    assert shown.partition("|")[2].replace("|", "") in found.signature(4, "e")


@pytest.mark.usefixtures("optional")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("optional|cased:maybe", "metric optional: cased is 'maybe'; it must be of type bool"),
        ({"optional": {"cased": 1}}, "cased is 1; it must be of type bool"),
        ("optional|most:x", "most is 'x'; it must be of type none or int"),
        ({"optional": {"most": True}}, "most is True; it must be of type none or int"),
        ({"distinct_n": {"n": None}}, "n is none; it must be of type int"),
    ],
)
def test_a_value_of_no_allowed_type_is_named_with_those_that_are(
    asked: str | dict[str, dict[str, int]], message: str
) -> None:
    with pytest.raises(MetricError) as caught:
        parse(asked)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("distinct_2", "distinct_n|n:2"),
        ("distinct-3", "distinct_n|n:3"),
        ("Distinct3", "distinct_n|n:3"),
        ("self-bleu", "self_bleu"),
        ("Self-BLEU|n:3", "self_bleu|n:3"),
        ("self_bleu_4", "self_bleu|n:4"),
        ("ngram_entropy_3", "ngram_entropy|n:3"),
        ("pass@8", "pass_at_k|k:8"),
        ("pass_at_8", "pass_at_k|k:8"),
        ("best_of@4", "best_of_k|k:4"),
        ("Best-of-4", "best_of_k|k:4"),
        ("distinct@8", "distinct_k|k:8"),
        ("distinct_k_8", "distinct_k|k:8"),
        ("niches@3", "niches|k:3"),
        ("vendi@2", "vendi|q:2"),
        ("vendi@inf", "vendi|q:inf"),
        ("pooled/distinct-2", "pooled/distinct_n|n:2"),
        ("EAD", "ead_n"),
        ("best@4", "best_of_k|k:4"),
        ("rouge-l", "rouge_l_homogenization"),
        ("ROUGE-L", "rouge_l_homogenization"),
        ("simpson-2", "simpson_ngrams|n:2"),
    ],
)
def test_names_are_understood_as_people_type_them_and_are_one_measure(typed: str, meant: str) -> None:
    assert parse(typed) == parse(meant)
    assert parse(typed).signature(64, "e") == parse(meant).signature(64, "e")
    assert respell(typed) == meant
    assert respell(meant) == meant


@pytest.mark.parametrize("name", definitions())
def test_every_declared_name_means_itself(name: str) -> None:
    assert respell(name) == name
    assert respell(name.upper().replace("_", "-")) == name


@pytest.mark.usefixtures("made_up")
def test_a_new_metric_is_understood_without_a_word_more() -> None:
    assert parse("made-up_7") == parse("made_up|n:7")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("distinct", "metric 'distinct' could be distinct_k or distinct_n; write it out"),
        ("distinct_2|n:3", "metric 'distinct_2' says n twice: 2 in its name, and 3"),
        ("distinct_2.5", "metric distinct_n: n is '2.5'; it must be of type int"),
        ("accuracy_2", "there is no metric 'accuracy_2' (did you mean 'accuracy'?)"),
        ("distinct_n|n:2|n:3", "metric 'distinct_n|n:2|n:3' says n twice: 2 and 3; say it once"),
        ("rouge", "(did you mean 'rouge_l_homogenization'?)"),
        ("distinct-0", "metric distinct_n: n is 0; it must be 1 or more"),
        ("self_bleu|n:0", "metric self_bleu: n is 0; it must be 1 or more"),
        ("pass@0", "metric pass_at_k: k is 0; it must be 1 or more"),
        ("niches|k:-1", "metric niches: k is -1; it must be 0 or more"),
        ("pass@k", "metric pass_at_k needs a value for 'k'"),
        ("@2", "there is no metric '@2'"),
    ],
)
def test_what_could_be_several_or_none_is_asked_back(typed: str, message: str) -> None:
    with pytest.raises(MetricError) as caught:
        parse(typed)
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
        module.declared_here.pop("letters", None)
        module._load_all.cache_clear()


def test_two_metrics_cannot_have_one_name() -> None:
    definitions()

    def other(group: Group) -> float:
        return 0.0

    with pytest.raises(
        MetricError, match=r"metric 'distinct_n' is declared by both evalkit\.metrics\.diversity\.lexical and "
    ):
        metric(name="distinct_n", unit="", better="higher", side="diversity", needs=(), version="1", cites="")(other)


@pytest.mark.parametrize(
    ("better", "side", "told"),
    [
        ("higher", "helpful", "with side='helpful'; its declaration must say one of 'quality', 'diversity', 'match'"),
        ("higher", "neither", "a measure with a better direction is on a side"),
        ("neither", "quality", "a measure with a better direction is on a side"),
    ],
)
def test_a_side_is_declared_and_goes_with_a_direction(better: Any, side: Any, told: str) -> None:
    with pytest.raises(MetricError, match=told):
        metric(name="mine", unit="", better=better, side=side, needs=(), version="1", cites="")


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
    [("matched/branching_factor", "whole"), ("pooled/kl_reverse", "whole"), ("useful/accuracy", "whole")],
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
