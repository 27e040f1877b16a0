"""The commands as Python functions: the same ways through, the same errors, and results to work with.

It stands beside `evalkit.cli`: both read what they are asked, call the same functions and hold no logic of their own.
Nothing here prints a result or ends the process. Heavy imports stand inside the functions that need them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args, overload

from evalkit.gate.results import CompareResult as CompareResult
from evalkit.gate.results import GateResult as GateResult
from evalkit.metrics.registry import Measure, definitions, parse
from evalkit.metrics.summary import Estimate as Estimate
from evalkit.plumbing.progress import Bars, Lines, Listener, Quiet
from evalkit.plumbing.tokenizer import Asked
from evalkit.report.results.results import Results as Results

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.errors import EvalkitError
    from evalkit.gate.compare import NamedSide
    from evalkit.gate.sides import Side
    from evalkit.plumbing.text_rows import PythonTexts
    from evalkit.runs.exchange.layouts import Layout
    from evalkit.suite.gate_policy import Inconclusive, Policy

Place: TypeAlias = "str | os.PathLike[str]"
Measured: TypeAlias = "Results | Place"
"""Results, or what `evalkit gate` takes: a run's folder, a summary.json, a saved baseline or its name."""


def score(
    texts: PythonTexts | Place | Sequence[os.PathLike[str]],
    metrics: str | Sequence[str] | None = None,
    baseline: str | None = None,
    *,
    lower: str | Sequence[str] = (),
    layout: Layout | None = None,
    columns: Mapping[str, str] | None = None,
    tokenizer: Asked = "auto",
    suite: str | None = None,
    phrases: str | Sequence[str] = (),
    progress: bool | None = None,
) -> Results:
    """Measure completions that were made elsewhere, as `evalkit score` does.

    `texts`: a list of texts of one prompt; {arm: texts}; {arm: {prompt: texts}}; rows (dicts) or a pandas frame with
    the keys of docs/texts.md; a file's path, or a list of `Path`s. `metrics`: names, None for all that texts allow.
    `baseline`: the arm the others are compared with, by default the first. `lower`: scores among the texts of which
    less is better. `layout` (a file's, as in `--format`) and `columns` ({field: column}): how files are to be read,
    where they do not say it. `suite`: the name of the results. `phrases`: words and phrases whose use is counted.
    `progress`: bars or lines; None shows bars in a terminal.

    Raises `RecordsError`, `MetricError`, `SuiteError` (a phrase without a word).
    """
    from evalkit.errors import RecordsError
    from evalkit.runs.exchange.detect import read_columns
    from evalkit.runs.exchange.layouts import LAYOUTS
    from evalkit.score import Reading, score_files, score_texts
    from evalkit.suite.phrases import check_phrases

    listed = _listed(phrases)
    check_phrases(listed, lambda index: f"phrases[{index}]")
    names = [] if metrics is None else list(_listed(metrics))
    paths = _paths(texts)
    _refuse_another("layout", layout, (None, *LAYOUTS), RecordsError)
    _refuse_another("tokenizer", tokenizer, get_args(Asked), RecordsError)
    if not paths and (layout or columns):
        raise RecordsError("`layout` and `columns` say how a file is to be read; texts in Python need neither")
    with _Listening(progress) as tell:
        if paths:
            reading = Reading(layout, read_columns(columns or {}), _listed(lower))
            scored = score_files(paths, names, baseline, tell, tokenizer, suite, reading, listed)
        else:
            given = cast("PythonTexts", texts)
            scored = score_texts(given, names, baseline, tell, tokenizer, suite, _listed(lower), listed)
    return Results(scored.content)


def run(
    suite: Place,
    models: Mapping[str, Place] | Place | None = None,
    *,
    engine: str = "auto",
    samples: int | None = None,
    temperature: float | Sequence[float] | None = None,
    prompts: int | None = None,
    reward: str | Sequence[str] = (),
    judge: str | None = None,
    seed: int | None = None,
    out: Place | None = None,
    until_decided: Place | None = None,
    baseline: Measured | None = None,
    tags: Sequence[str] = (),
    fresh: bool = False,
    progress: bool | None = None,
) -> Results:
    """Sample a suite from its checkpoints and measure, as `evalkit run` does; the options are the command's.

    `suite`: a suite file. `models`: checkpoint of the suite -> folder, hub id or URL; one of these alone is for all
    checkpoints of a suite that asks one model in several ways. `prompts`: only so many. `out`:
    the run's folder, by default a new one under reports/; the same call on it resumes. `until_decided`: a policy file;
    asks in blocks until the gate's verdict against `baseline` is settled (`gate` then gives it).

    Raises `EvalkitError`s; what was sampled before one is kept.
    """
    from evalkit.run import run_suite
    from evalkit.suite.schema import load_suite, overrides

    named = models if isinstance(models, Mapping) else {} if models is None else {"": models}
    given = {name: os.fspath(path) for name, path in named.items()}
    heats = None if temperature is None else _listed(temperature)
    rewards = _listed(reward)
    folder = None if out is None else Path(out)
    changes = overrides(given, samples, heats, prompts, rewards, judge, seed)
    options = {"samples": samples, "temperature": heats, "engine": engine, "prompts": prompts, "reward": rewards,
               "judge": judge, "seed": seed, "out": out, "until-decided": until_decided, "tag": tags}  # fmt: skip
    command = _command(suite, given, options)
    with _Listening(progress) as tell:
        loaded_suite = load_suite(Path(suite), changes, tell.note)
        if until_decided is None:
            _refuse_baseline(baseline)
            done = run_suite(loaded_suite, engine, folder, tell, command, fresh, tags)
        else:
            from evalkit.gate.sequential_run import run_until_decided
            from evalkit.suite.gate_policy import read_policy

            old = None if baseline is None else _side(baseline)
            policy = read_policy(Path(until_decided))
            done = run_until_decided(loaded_suite, policy, old, engine, folder, tell, command, fresh, tags).run
    return load(done.folder)


def load(*runs: Place) -> Results:
    """A finished run, read from its folder; of several, their comparison as in `evalkit report A B`.

    Raises `RecordsError` on what is none, `Incomparable` where runs share no prompt.
    """
    from evalkit.errors import RecordsError
    from evalkit.report.content.merge import merge
    from evalkit.report.content.read import read_content

    if not runs:
        raise RecordsError("name a run's folder to load")
    folders = [Path(run) for run in runs]
    contents = [read_content(folder) for folder in folders]
    return Results(contents[0], folders[0]) if len(folders) == 1 else Results(merge(folders, contents))


def gate(
    run: Measured,
    baseline: Measured | None = None,
    *,
    policy: Place | Policy | None = None,
    arms: Mapping[str, str] | None = None,
    inconclusive: Inconclusive | None = None,
    common_prompts: bool = False,
    least_common: float | None = None,
) -> GateResult:
    """Whether `run` lost more than the policy allows, as `evalkit gate` judges it.

    `baseline`: what it is held against, by default the run itself, each arm against its own baseline. `policy`: a
    file, or a `Policy`; by default the suite's, else the default one. `arms`: {new: old}. `inconclusive`: "pass" or
    "fail", what to make of data that cannot tell. `common_prompts`: judge by what both asked alike, of which a pass
    needs the share `least_common`.

    Raises `Incomparable` with each reason, `InputError`; a regression is a verdict and no error.
    """
    from evalkit.gate.ruling import judge_sides

    new = _side(run)
    old = new if baseline is None else _side(baseline)
    gate_policy, source = _policy(run, policy)
    pairs = list((arms or {}).items())
    return GateResult(judge_sides(new, old, gate_policy, source, pairs, inconclusive, common_prompts, least_common))


def compare(
    a: Measured,
    b: Measured,
    metrics: str | Sequence[str] = (),
    *,
    arms: tuple[str, str] | None = None,
    common_prompts: bool = False,
) -> CompareResult:
    """B minus A, a measure a row, paired by prompt, as `evalkit compare` shows it.

    `a`, `b`: results, or folders, also as RUN:ARM. `arms`: the arm of each. Raises `Incomparable`, `InputError`.
    """
    from evalkit.errors import InputError
    from evalkit.gate.compare import compare_sides, named_side

    if arms is None:
        left, right = _end(a), _end(b)
    elif len(arms) != 2:
        raise InputError(f"arms={arms!r}: it is two names, the arm of a and that of b")
    else:
        left, right = named_side(_side(a), arms[0]), named_side(_side(b), arms[1])
    return CompareResult(compare_sides(left, right, _listed(metrics), common_prompts))


@dataclass(frozen=True)
class Metric:
    """A metric by itself: call it on texts."""

    measure: Measure
    tokenizer: Asked = "auto"

    @property
    def name(self) -> str:
        """With its parameters, as it is written in a suite."""
        return str(self.measure)

    @property
    def description(self) -> str:
        """What it is, what moves it, what it costs and when it is not defined."""
        import inspect

        return inspect.getdoc(self.measure.definition.function) or ""

    @overload
    def __call__(self, texts: Mapping[str, Sequence[str]]) -> Estimate: ...
    @overload
    def __call__(self, texts: Sequence[str]) -> float: ...
    def __call__(self, texts: Mapping[str, Sequence[str]] | Sequence[str]) -> Estimate | float:
        """One prompt's completions -> the value, NaN where it is not defined; {prompt: completions} -> an `Estimate`.

        Raises `MetricError` where it needs more than texts, `RecordsError` on what is no list of texts.
        """
        from evalkit.plumbing.text_rows import one_prompt, several_prompts
        from evalkit.score import measure_texts

        is_several = isinstance(texts, Mapping)
        by_prompt = several_prompts(texts) if isinstance(texts, Mapping) else one_prompt(texts)
        estimate = measure_texts(self.measure, by_prompt, Quiet(), self.tokenizer)
        if is_several:
            return estimate
        return float("nan") if estimate.value is None else estimate.value

    def __repr__(self) -> str:
        definition = self.measure.definition
        better = "no better direction" if definition.better == "neither" else f"{definition.better} is better"
        return f"<evalkit metric {self.name} ({definition.unit}, {better}): {definition.summary}>"


def metric(name: str, /, *, tokenizer: Asked = "auto", **parameters: Any) -> Metric:
    """A metric by its name and parameters: `metric("distinct_n", n=2)`. Raises `MetricError`."""
    from evalkit.errors import MetricError

    _refuse_another("tokenizer", tokenizer, get_args(Asked), MetricError)
    return Metric(parse({name: parameters} if parameters else name), tokenizer)


def metrics() -> pd.DataFrame:
    """Every metric and score there is, as `evalkit metrics` lists them."""
    from evalkit.plumbing.frames import frame

    columns = dict.fromkeys(
        ("metric", "kind", "side", "better", "unit", "needs", "parameters", "description", "source"), "string"
    )
    return frame(
        columns,
        (
            (d.name, d.kind, d.traits.side, d.better, d.unit, ", ".join(sorted(d.needs)), d.parameter_words, d.summary,
             d.cites)
            for d in definitions().values()
        ),
    )  # fmt: skip


class _Listening:
    """A listener for the length of a `with` block: bars in a terminal, lines elsewhere if asked, else notes alone."""

    def __init__(self, progress: bool | None) -> None:
        is_terminal = sys.stderr.isatty()
        wanted = is_terminal if progress is None else progress
        self._tell: Listener = Quiet() if not wanted else Bars() if is_terminal else Lines()

    def __enter__(self) -> Listener:
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._tell.close()


def _paths(texts: Any) -> list[Path]:
    """The files that are meant; none where the texts themselves are given. A list of `str` is of texts."""
    if isinstance(texts, str | os.PathLike):
        return [Path(texts)]
    is_files = isinstance(texts, list | tuple) and bool(texts) and all(isinstance(path, os.PathLike) for path in texts)
    return [Path(path) for path in texts] if is_files else []


def _listed(given: Any) -> tuple[Any, ...]:
    """One thing, or several of them."""
    return (given,) if isinstance(given, str | int | float) else tuple(given)


def _command(suite: Place, models: Mapping[str, str], options: Mapping[str, Any]) -> list[str]:
    """The command that does the same, which the run's manifest keeps as the way to repeat it."""
    paths = ["=".join(filter(None, pair)) for pair in models.items()]
    words = ["evalkit", "run", os.fspath(suite), *(word for path in paths for word in ("--model", path))]
    for option, value in options.items():
        for item in () if value is None else _listed(value if not isinstance(value, os.PathLike) else os.fspath(value)):
            words += [f"--{option}", str(item)]
    return words


def _refuse_another(name: str, given: Any, allowed: Sequence[Any], error: type[EvalkitError]) -> None:
    if given not in allowed:
        raise error(f"{name}={given!r}: it is one of {', '.join(str(one) for one in allowed if one is not None)}")


def _refuse_baseline(baseline: Measured | None) -> None:
    from evalkit.errors import InputError

    if baseline is not None:
        raise InputError("`baseline` goes with `until_decided`; to gate a run that is there, use evalkit.gate")


def _side(given: Measured) -> Side:
    from evalkit.gate.baselines import read_side
    from evalkit.gate.sides import Side

    if not isinstance(given, Results):
        return read_side(os.fspath(given))
    return Side(given.summary, given.name) if given.folder is None else read_side(str(given.folder))


def _end(given: Measured) -> NamedSide:
    from evalkit.gate.compare import NamedSide, read_named_side

    return NamedSide(_side(given)) if isinstance(given, Results) else read_named_side(os.fspath(given))


def _policy(run: Measured, given: Place | Policy | None) -> tuple[Policy, str]:
    from evalkit.gate.baselines import chosen_policy
    from evalkit.suite.gate_policy import DEFAULT, Policy

    if isinstance(given, Policy):
        return given, "given"
    run_path = run.folder if isinstance(run, Results) else os.fspath(run)
    if given is None and run_path is None:
        return DEFAULT, "the default"
    return chosen_policy(str(run_path), None if given is None else Path(given))
