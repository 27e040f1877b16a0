"""`evalkit run` and `evalkit score`: completions are measured, and the verdict is printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from evalkit.cli.errors import Command
from evalkit.cli.gate import decide_early
from evalkit.cli.options import columns_of, engine_option, output_options, pairs_of
from evalkit.cli.tracking import Log, log_options
from evalkit.plumbing.files import write_file
from evalkit.plumbing.tokenizer import Asked

if TYPE_CHECKING:
    from evalkit.metrics.summary import Summary
    from evalkit.plumbing.progress import Listener
    from evalkit.report.trackers import Record
    from evalkit.runs.exchange.layouts import Layout
    from evalkit.score import Scored
    from evalkit.suite.schema import Suite


LAYOUTS = ("evalkit", "inspect", "lm-eval", "lighteval", "novelty-bench", "openai-batch", "trl")
"""What `--format` takes: `evalkit.runs.exchange.layouts`, which would load tables of all kinds before `--help`."""


def _columns(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    return columns_of(given, "text=question,completion=answer")


def _models(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    if len(given) == 1 and given[0] and "=" not in given[0]:
        return {"": given[0]}  # evalkit.suite.schema.EVERY
    return pairs_of("NAME=PATH", given)


@click.command(cls=Command)
@click.argument("suite", type=click.Path(path_type=Path))
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=PATH",
    callback=_models,
    help="Use this folder, hub id or server URL for the suite's checkpoint NAME; a new name adds a tuned checkpoint. "
    "PATH alone is for all of them, in a suite that asks one model in several ways.",
)
@click.option("--samples", type=int, metavar="N", help="Completions a prompt.")
@click.option(
    "--temperature",
    "temperatures",
    type=float,
    multiple=True,
    metavar="T",
    help="Sampling temperature; repeat for several arms.",
)
@engine_option
@click.option("--prompts", type=int, metavar="N", help="Only the first N prompts.")
@click.option(
    "--reward",
    "rewards",
    multiple=True,
    metavar="MODEL",
    help="Use this reward model (folder or hub id) in place of the suite's; repeat for several groups of raters.",
)
@click.option(
    "--judge",
    metavar="MODEL",
    help="Have this model, by its name on the server at EVALKIT_JUDGE_URL, compare answers, in place of the suite's.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The run folder itself; the same command on it resumes. Default: a new folder under reports/.",
)
@click.option(
    "--until-decided",
    "policy_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="POLICY",
    help="Ask in blocks and stop when the gate's verdict by this policy file is settled; exit as the gate does.",
)
@click.option("--fresh", is_flag=True, help="Sample anew: take nothing from the cache of earlier runs.")
@click.option("--seed", type=int, metavar="N", help="Draw other samples: the suite's seed, from which all others come.")
@click.option("--tag", "tags", multiple=True, metavar="TEXT", help="Write this label in the manifest; repeat for more.")
@click.option("--dry-run", is_flag=True, help="Say what the run would ask for, and how long it takes; load nothing.")
@click.option(
    "--price-per-million",
    "prices",
    metavar="IN,OUT",
    help="With --dry-run: prices of a million prompt and completion tokens, to say what the run would cost.",
)
@click.option("--baseline", metavar="WHAT", help="With --until-decided: what the gate compares with; see evalkit gate.")
@output_options
@log_options
def run(suite: Path, models: dict[str, str], samples: int | None, temperatures: tuple[float, ...], engine: str,
        prompts: int | None, rewards: tuple[str, ...], judge: str | None, out: Path | None, policy_file: Path | None,
        fresh: bool, seed: int | None, tags: tuple[str, ...], dry_run: bool, prices: str | None, baseline: str | None,
        log: Log, tell: Listener, quiet: bool) -> None:  # fmt: skip
    """Sample SUITE from its checkpoints, measure, and write a report."""
    from evalkit.run import run_suite
    from evalkit.suite.schema import load_suite, overrides

    changes = overrides(models, samples, temperatures or None, prompts, rewards, judge, seed)
    wanted = load_suite(suite, changes, tell.note)
    command = ["evalkit", *sys.argv[1:]]
    if dry_run:
        _forecast(wanted, engine, out, fresh, prices, tell)
        if policy_file is not None:
            click.echo("That is for all prompts; --until-decided may stop earlier.")
        return
    if prices is not None:
        raise click.UsageError("--price-per-million goes with --dry-run")
    if policy_file is not None:
        decide_early(wanted, policy_file, baseline, engine, out, log, tell, command, fresh, tags, quiet)
        return
    if baseline is not None:
        raise click.UsageError("--baseline goes with --until-decided; to gate a run that is there, use evalkit gate")
    result = run_suite(wanted, engine, out, tell, command, fresh, tags)
    tell.close()
    log.send_run(result.folder)
    if not quiet:
        _print_verdict(result.summary)
        click.echo(f"Report: {result.report}")
    else:
        click.echo(result.report)


def _forecast(suite: Suite, engine: str, out: Path | None, fresh: bool, prices: str | None, tell: Listener) -> None:
    from evalkit.cli.forecast import show_forecast
    from evalkit.inference.forecasting import forecast, read_prices
    from evalkit.inference.plan import plan_in
    from evalkit.run import default_folder

    folder = out or default_folder(suite)
    priced = None if prices is None else read_prices(prices)
    expected = forecast(plan_in(folder, suite, engine, tell), folder, fresh)
    tell.close()
    show_forecast(expected, priced)


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--format",
    "layout",
    type=click.Choice(LAYOUTS),
    help="What wrote the files; default: seen from what is in each.",
)
@click.option(
    "--columns",
    multiple=True,
    metavar="FIELD=COLUMN,...",
    callback=_columns,
    help="Which column or key holds which field, as in text=question,completion=answer,score/rating=stars.",
)
@click.option("--lower", multiple=True, metavar="NAME", help="Of this score in the files less is better; repeat it.")
@click.option(
    "--metrics",
    metavar="A,B",
    help="Metrics, comma separated, as in distinct_n,'distinct_n|n:3'. Default: all that texts allow.",
)
@click.option(
    "--baseline", metavar="ARM", help="The arm the others are compared with; default: the first in the files."
)
@click.option(
    "--tokenizer",
    default="auto",
    show_default=True,
    type=click.Choice(get_args(Asked)),
    help="What splits texts into words; auto: 13a, or characters for scripts without spaces.",
)
@click.option(
    "--thinking-end",
    metavar="TEXT",
    help="What ends the thinking before every answer, as in '</think>'; default: that, where all completions of an arm "
    "begin with <think>.",
)
@click.option(
    "--phrases",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.txt",
    help="A list of words and phrases, one a line, whose use is counted for every arm.",
)
@click.option("--suite", metavar="NAME", help="The name under which the results stand; default: the files'.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.html", help="Write the report here."
)
@output_options
@log_options
def score(
    files: tuple[Path, ...],
    layout: Layout | None,
    columns: dict[str, str],
    lower: tuple[str, ...],
    metrics: str | None,
    baseline: str | None,
    tokenizer: Asked,
    thinking_end: str | None,
    phrases: Path | None,
    suite: str | None,
    as_json: bool,
    report: Path | None,
    log: Log,
    tell: Listener,
    quiet: bool,
) -> None:
    """Measure completions made elsewhere.

    A FILE has rows of prompt_id, prompt, completion and arm (JSONL, CSV, Parquet), or is what another tool wrote: an
    Inspect log, lm-eval samples, lighteval details, NoveltyBench generations, batch results, TRL completions.
    """
    from evalkit.runs.exchange.detect import read_columns
    from evalkit.runs.summary import to_json
    from evalkit.score import Reading, score_files
    from evalkit.suite.phrases import read_phrases

    names = [] if metrics is None else [name.strip() for name in metrics.split(",")]
    if not all(names):
        raise click.UsageError(
            f"--metrics {metrics!r} names {'an empty metric' if any(names) else 'no metric'}; write them with commas "
            "between, as in distinct_n,length, or leave --metrics out for all that texts allow"
        )
    reading = Reading(layout, read_columns(columns), lower, thinking_end or None)
    listed = () if phrases is None else read_phrases(phrases)
    scored = score_files(files, names, baseline, tell, tokenizer, suite, reading, listed)
    tell.close()
    if report is not None:
        write_file(report, scored.page)
    log.send(lambda: [_scored(scored, files)])
    if as_json:
        click.echo(to_json(scored.summary))
    elif not quiet:
        _print_verdict(scored.summary)
    if report is not None and not as_json:
        click.echo(f"Report: {report}")


def _scored(scored: Scored, files: tuple[Path, ...]) -> Record:
    from evalkit.report.trackers import scored_record

    return scored_record(
        scored.summary, scored.page, {"file": ", ".join(map(str, files)), "command": ["evalkit", *sys.argv[1:]]}
    )


def _print_verdict(summary: Summary) -> None:
    from rich.console import Console

    from evalkit.plumbing.terminal import visible_text
    from evalkit.report.sections.alarm_lines import alarm_lines
    from evalkit.report.verdicts.verdict import verdict

    console = Console(highlight=False)
    findings = verdict(summary)
    console.print(visible_text(findings.headline, style="bold"))
    for claim in findings.besides:
        console.print(visible_text(claim))
    for line in alarm_lines(summary):
        console.print(visible_text(f"! {line.arms}: {line.message}", style="yellow"))
