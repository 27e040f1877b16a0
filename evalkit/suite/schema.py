"""A suite: prompts, checkpoints, sampling settings and metrics, read from YAML and checked before anything is loaded.

Unknown keys are refused. Every mistake is reported with file, line, key, what was found and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from evalkit.checkpoints.conversations import turn_ends
from evalkit.checkpoints.spec import NAME, CheckpointSpec, Frame, Temperatures, Texts
from evalkit.errors import MetricError, SuiteError
from evalkit.metrics.estimators.opinions import UNIFORM
from evalkit.metrics.registry import Measure, parse
from evalkit.plumbing.tokenizer import Asked
from evalkit.plumbing.typed_yaml import Part, dotted, read_part, reason
from evalkit.plumbing.unread import Notice, say
from evalkit.plumbing.yaml_lines import Document
from evalkit.records import Sampling
from evalkit.suite.conversations import SuitePrompt
from evalkit.suite.gate_policy import Policy
from evalkit.suite.opinion_measures import with_opinion_measures
from evalkit.suite.phrases import check_phrases, read_phrases
from evalkit.suite.prompts import PromptSource, check_prompts, read_prompts
from evalkit.suite.questions import Question, check_questions, first_asked, group_names, prompts_of, read_groups
from evalkit.suite.sweeps import Sweep, check_told_apart, drawn_with
from evalkit.suite.voices import voices_of, with_voice_measures

OPTIONS = {"models": "model", "rewards": "reward"}
"""Overrides whose options are called otherwise, for they are repeated."""


def _read_measure(value: Any) -> Measure:
    if isinstance(value, Measure):
        return value
    if not isinstance(value, str | dict):
        raise ValueError(f"a metric is a name or {{name: {{parameter: value}}}}, not {value!r}")
    try:
        return parse(value)
    except MetricError as error:
        raise ValueError(str(error)) from error


SuiteMeasure = Annotated[
    Measure,
    PlainValidator(_read_measure),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "maxProperties": 1}]}),
]


class Longer(Part):
    """Prompts whose answers need more room than the others'."""

    prompts: tuple[str, ...] = Field(min_length=1)
    """Their ids."""
    max_tokens: int = Field(ge=1)
    stop: Texts = ()


class OpenVocabulary(Part):
    """How those checkpoints are asked that can spell any text; what a checkpoint states itself goes before.

    One whose tokenizer knows a closed list of words (the built-in ones) could not read worked examples.
    """

    frame: Frame = Frame()
    """For base ones."""
    max_tokens: int | None = Field(None, ge=1)
    stop: Texts | None = None
    longer: Longer | None = None


class SamplingSpec(Part):
    """How completions are drawn."""

    n: int = Field(32, ge=1, le=100_000)
    """Completions a prompt, the same in every arm."""
    temperature: Temperatures = (1.0,)
    """A list makes an arm of each."""
    top_p: float = Field(1.0, gt=0, le=1)
    min_p: float = Field(0.0, ge=0, le=1)
    top_k: int = Field(0, ge=0)
    """Only so many of the most likely tokens may be drawn; 0 for all."""
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    """Taken off the logit of each token that the completion has already."""
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    """Taken off it once for each time that the completion has it."""
    repetition_penalty: float = Field(1.0, gt=0, allow_inf_nan=False)
    """What the logit of each token of prompt or completion is divided by; multiplied with where it is negative."""
    max_tokens: int = Field(128, ge=1)
    stop: Texts = ()
    seed: int = Field(0, ge=0, lt=2**63)


class Suite(Part):
    """A whole suite."""

    name: str = Field(pattern=NAME)
    description: str = ""
    checkpoints: dict[Annotated[str, Field(pattern=NAME)], CheckpointSpec] = Field(min_length=1)
    baseline: str | None = None
    """The checkpoint that the others are compared with; default: the first one."""
    sampling: SamplingSpec = SamplingSpec()
    sweeps: tuple[Sweep, ...] = ()
    """Further settings that every checkpoint is drawn with, each sweep a path; an arm of every setting."""
    open_vocabulary: OpenVocabulary = OpenVocabulary()
    """What differs for checkpoints that can spell any text."""
    metrics: tuple[SuiteMeasure, ...] = Field(min_length=1)
    """Names, or {name: {parameter: value}}; `evalkit metrics` lists them."""
    quality: SuiteMeasure | None = None
    """The score that says how good a completion is; default: the first score among the metrics."""
    quality_bar: float | None = Field(None, allow_inf_nan=False)
    """A completion that reaches it is useful; default: the median quality of the baseline's completions."""
    variants: tuple[Literal["useful", "matched", "pooled"], ...] = ("useful", "matched", "pooled")
    """In which variants every diversity metric is computed besides the plain one, where they can be."""
    tokenizer: Asked = "auto"
    """What splits texts into words for measures that count them; `auto`: 13a, or zh or 13a+char by script."""
    encoder: str | None = Field(None, min_length=1)
    """Folder or hub id of the sentence encoder that measures of meaning use; default: the embedded one."""
    voices: dict[Annotated[str, Field(pattern=NAME)], Texts] = Field(default_factory=dict)
    """Voice -> texts that it might say, for a classifier to learn from; measures of voices are then added ..."""
    voices_from: str | None = Field(None, min_length=1)
    """... or a JSONL file of {voice, text}, relative to the suite."""
    phrases: Texts = ()
    """Words and phrases whose use is counted, as in those that models over-use ..."""
    phrases_from: str | None = Field(None, min_length=1)
    """... or a text file of them, one a line and # before comments, relative to the suite."""
    gate: Policy | None = None
    """What a checkpoint may lose before `evalkit gate` refuses it; default: the default policy."""
    checks: tuple[str, ...] = ()
    """Task checks of every prompt, before its own."""
    prompts: tuple[SuitePrompt, ...] = ()
    """Prompts written here ..."""
    prompts_from: PromptSource | None = None
    """... or read from a file or a data set."""
    questions: tuple[Question, ...] = ()
    """Questions of opinion, to be asked besides; each becomes a prompt for every order of its choices."""
    opinions_from: str | None = Field(None, min_length=1)
    """A JSONL file of what groups of people answer to them, {question, group, shares}, relative to the suite."""

    @model_validator(mode="after")
    def _is_whole(self) -> Suite:
        if self.baseline is not None and self.baseline not in self.checkpoints:
            raise ValueError(
                f"baseline is {self.baseline!r}; it must be one of the checkpoints: {', '.join(self.checkpoints)}"
            )
        if (self.prompts and self.prompts_from) or not (self.prompts or self.prompts_from or self.questions):
            raise ValueError(
                "a suite needs prompts: either `prompts` with at least one, or `prompts_from` a file or a data set; or "
                "`questions` of opinion"
            )
        if self.opinions_from is not None and not self.questions:
            raise ValueError("opinions_from says what people answer to `questions`, and the suite has none")
        if self.voices and self.voices_from is not None:
            raise ValueError("voices stand either in `voices` or in the file that `voices_from` names, not in both")
        if self.phrases and self.phrases_from is not None:
            raise ValueError("phrases stand either in `phrases` or in the file that `phrases_from` names, not in both")
        self._check_quality()
        twice = [str(m) for i, m in enumerate(self.metrics) if m in self.metrics[:i]]
        if twice:
            raise ValueError(f"metric {twice[0]} is listed twice")
        return self

    def _check_quality(self) -> None:
        if self.quality is not None and not self.quality.definition.is_quality:
            raise ValueError(
                f"quality is {self.quality}; it must be a score, which judges each completion on its own, as in "
                "quality: {reward: {model: ...}}"
            )
        if self.quality_measure is not None:
            return
        if self.quality_bar is not None:
            raise ValueError("quality_bar needs a quality to judge by: name a score with `quality`")
        for measure in self.metrics:
            if measure.variant == "useful" or "quality" in measure.definition.needs:
                raise ValueError(f"metric {measure} needs to know what is good: name a score with `quality`")

    @property
    def quality_measure(self) -> Measure | None:
        """The score that the suite calls quality."""
        return self.quality or next((m for m in self.metrics if m.definition.is_quality), None)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All that is measured: the metrics, and the quality where it is not among them."""
        quality = self.quality_measure
        return self.metrics if quality is None or quality in self.metrics else (*self.metrics, quality)

    @property
    def baseline_checkpoint(self) -> str:
        return self.baseline or next(iter(self.checkpoints))

    def settings(self, checkpoint: str) -> list[Sampling]:
        """The resolved sampling settings of a checkpoint: each temperature, then what sweeps add; with stops."""
        spec = self.checkpoints[checkpoint]
        common = self.sampling.model_dump() | spec.sampling.model_dump(exclude_none=True)
        if spec.ask is not None:
            common |= self._room(spec, common["max_tokens"], common["stop"])
        stop = self.stops(checkpoint, common["stop"])
        return [Sampling(**common | drawn | {"stop": stop}) for drawn in drawn_with(self.sweeps, common)]

    def _room(self, spec: CheckpointSpec, max_tokens: int, stop: Sequence[str]) -> dict[str, Any]:
        """Of a completion that holds several answers; what the checkpoint states itself holds for all of it."""
        assert spec.ask is not None
        room = dict(zip(("max_tokens", "stop"), spec.ask.room(max_tokens, stop), strict=True))
        return {name: value for name, value in room.items() if getattr(spec.sampling, name) is None}

    def stops(self, checkpoint: str, stop: Sequence[str]) -> tuple[str, ...]:
        """`stop` and what ends a completion in the checkpoint's frame, and in its transcript where there are turns."""
        spec = self.checkpoints[checkpoint]
        if not spec.is_framed:
            return tuple(dict.fromkeys(stop))
        turns = turn_ends(spec.frame) if any(prompt.messages for prompt in self.prompts) else ()
        return tuple(dict.fromkeys((*stop, *spec.frame.stop, *turns)))


EVERY = ""
"""In the place of a checkpoint's name: all of them."""


class Overrides(Part):
    """What the command line changes in a suite; None leaves it as it is."""

    models: dict[Annotated[str, Field(pattern=f"^$|{NAME}")], str] = Field(default_factory=dict)
    """Checkpoint -> its path; `EVERY`: that of all of them."""
    samples: int | None = Field(None, ge=1)
    temperature: Temperatures | None = None
    prompts: int | None = Field(None, ge=1)
    rewards: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    judge: str | None = Field(None, min_length=1)
    seed: int | None = Field(None, ge=0, lt=2**63)


def overrides(
    models: Mapping[str, str],
    samples: int | None,
    temperature: tuple[float, ...] | None,
    prompts: int | None,
    rewards: tuple[str, ...] = (),
    judge: str | None = None,
    seed: int | None = None,
) -> Overrides:
    """What the command line asks for, checked. Raises `SuiteError`."""
    try:
        return Overrides(
            models=dict(models),
            samples=samples,
            temperature=temperature,
            prompts=prompts,
            rewards=rewards,
            judge=judge,
            seed=seed,
        )
    except ValidationError as error:
        lines = [f"--{OPTIONS.get(str(e['loc'][0]), e['loc'][0])}: {reason(e)}" for e in error.errors()]
        raise SuiteError("\n".join(lines)) from None


def load_suite(path: Path, overrides: Overrides | None = None, notice: Notice = say) -> Suite:
    """Read and check a suite file, with the prompts of `prompts_from` read in.

    `notice` is told of columns that are not read. Raises `SuiteError`.
    """
    suite, document = read_part(Suite, path, "suite")
    if suite.prompts_from is not None:
        prompts = read_prompts(suite.prompts_from, path.parent, document.line_of("prompts_from"), notice)
        suite = suite.model_copy(update={"prompts": prompts, "prompts_from": None})
    else:
        check_prompts(suite.prompts, lambda index: document.line_of("prompts", index))
    _check_longer(suite, document)
    suite = _with_checks(suite, document)
    suite = _with_questions(suite, path.parent, document, notice)
    suite = _with_phrases(suite, path.parent, document)
    suite = _override(suite, overrides or Overrides())
    _check_sweeps(suite, document)
    return _with_voices(suite, path.parent, document, notice)


def suite_schema() -> dict[str, Any]:
    """JSON Schema of a suite file."""
    return Suite.model_json_schema()


def _check_longer(suite: Suite, document: Document) -> None:
    ids = {prompt.id for prompt in suite.prompts}
    longer = suite.open_vocabulary.longer
    unknown = [prompt for prompt in longer.prompts if prompt not in ids] if longer is not None else []
    if unknown:
        yaml_line = document.line_of("open_vocabulary", "longer", "prompts")
        raise SuiteError(f"{yaml_line}: open_vocabulary.longer.prompts: there is no prompt {unknown[0]!r}")


def _with_questions(suite: Suite, folder: Path, document: Document, notice: Notice) -> Suite:
    """The suite with its questions as prompts, and each measure of opinions taken against every group."""
    if not suite.questions:
        return suite
    check_questions(suite.questions, lambda index: document.line_of("questions", index))
    groups = (
        read_groups(folder / suite.opinions_from, suite.questions, document.line_of("opinions_from"), notice)
        if suite.opinions_from is not None
        else {}
    )
    prompts = (*suite.prompts, *prompts_of(suite.questions, groups))
    check_prompts(prompts, lambda _: document.line_of("questions"))
    named = [UNIFORM, *group_names(groups)]
    metrics = with_opinion_measures(suite.metrics, named, document)
    changed = {"prompts": prompts, "metrics": metrics, "questions": (), "opinions_from": None}
    return suite.model_copy(update=changed)


def _with_checks(suite: Suite, document: Document) -> Suite:
    """The suite with its checks put before each prompt's own."""
    if not suite.checks:
        return suite
    checked = [
        replace(prompt, checks=tuple(dict.fromkeys((*suite.checks, *prompt.checks)))) for prompt in suite.prompts
    ]
    check_prompts(checked, lambda _: document.line_of("checks"))
    return suite.model_copy(update={"prompts": tuple(checked), "checks": ()})


def _with_phrases(suite: Suite, folder: Path, document: Document) -> Suite:
    """The suite with its phrases read and checked."""
    if suite.phrases_from is None:
        check_phrases(suite.phrases, lambda index: f"{document.line_of('phrases', index)}: phrases[{index}]")
        return suite
    try:
        phrases = read_phrases(folder / suite.phrases_from)
    except SuiteError as error:
        raise SuiteError(f"{document.line_of('phrases_from')}: phrases_from: {error}") from None
    return suite.model_copy(update={"phrases": phrases, "phrases_from": None})


def _with_voices(suite: Suite, folder: Path, document: Document, notice: Notice) -> Suite:
    """The suite with its voices read and checked, and with the measures of voices that it does not list itself."""
    voices = voices_of(suite.voices, suite.voices_from, folder, document, notice)
    metrics = with_voice_measures(suite.metrics, voices, document)
    return suite.model_copy(update={"voices": voices, "voices_from": None, "metrics": metrics})


def _check_sweeps(suite: Suite, document: Document) -> None:
    if suite.sweeps:
        for checkpoint in suite.checkpoints:
            check_told_apart(suite.settings(checkpoint), checkpoint, document.line_of("sweeps"))


def _without_lab(checkpoints: Mapping[str, Any], models: Mapping[str, str]) -> dict[str, Any]:
    """The built-in checkpoints are the lab base's relatives: beside another baseline they would mean nothing."""
    return {
        name: spec for name, spec in checkpoints.items() if name in models or not str(spec["path"]).startswith("lab:")
    }


def _of_every(suite: Suite, options: Overrides) -> Overrides:
    """One path for all checkpoints, which must be one model. Raises `SuiteError`."""
    path = options.models.get(EVERY)
    if path is None:
        return options
    paths = {spec.path for spec in suite.checkpoints.values()}
    if len(paths) > 1:
        first = next(iter(suite.checkpoints))
        raise SuiteError(
            f"--model {path}: the suite has {len(paths)} models; write --model {first}={path} (its checkpoints: "
            f"{', '.join(suite.checkpoints)})"
        )
    return options.model_copy(update={"models": dict.fromkeys(suite.checkpoints, path)})


def _override(suite: Suite, options: Overrides) -> Suite:
    changed = suite.model_dump(exclude={"metrics", "prompts"}) | {"metrics": suite.metrics, "prompts": suite.prompts}
    options = _of_every(suite, options)
    if suite.baseline_checkpoint in options.models:
        changed["checkpoints"] = _without_lab(changed["checkpoints"], options.models)
    for name, path in options.models.items():
        known = changed["checkpoints"].get(name, {"kind": "tuned"})
        changed["checkpoints"][name] = known | {"path": path, "revision": None, "model": "", "base": None}
    if options.samples is not None:
        changed["sampling"]["n"] = options.samples
    if options.temperature is not None:
        changed["sampling"]["temperature"] = options.temperature
        for spec in changed["checkpoints"].values():
            spec.setdefault("sampling", {})["temperature"] = None
    if options.seed is not None:
        changed["sampling"]["seed"] = options.seed
    if options.prompts is not None:
        changed["prompts"] = first_asked(suite.prompts, options.prompts)
    if options.rewards:
        _replace_rewards(changed, suite, options.rewards)
    if options.judge is not None:
        _replace_judge(changed, options.judge)
    try:
        return Suite.model_validate(changed)
    except ValidationError as error:
        lines = [f"command line: {dotted(e['loc'])}: {reason(e)}" for e in error.errors()]
        raise SuiteError("\n".join(lines)) from None


def _replace_rewards(changed: dict[str, Any], suite: Suite, models: Sequence[str]) -> None:
    """Other raters in the place of the suite's, wherever it names them."""
    old = [measure for measure in suite.measures if measure.name == "reward"]
    new = [parse({"reward": {"model": model}}) for model in dict.fromkeys(models)]
    instead = {str(measure): str(new[min(index, len(new) - 1)]) for index, measure in enumerate(old)}
    first = next((index for index, measure in enumerate(suite.metrics) if measure in old), len(suite.metrics))
    kept = [measure for measure in suite.metrics if measure not in old]
    changed["metrics"] = (*kept[:first], *new, *kept[first:])
    if suite.quality in old:
        changed["quality"] = instead[str(suite.quality)]
        changed["quality_bar"] = None  # a bar is in the unit of one reward model
    if suite.gate is not None:
        changed["gate"] = suite.gate.renamed(instead)


def _replace_judge(changed: dict[str, Any], model: str) -> None:
    known = [measure for measure in changed["metrics"] if measure.name == "judge"]
    pairs = {"pairs": dict(known[0].params)["pairs"]} if known else {}
    kept = tuple(measure for measure in changed["metrics"] if measure not in known)
    changed["metrics"] = (*kept, parse({"judge": {"model": model, **pairs}}))
