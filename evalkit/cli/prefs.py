"""`evalkit prefs`: pairs of completions, who prefers which, and how far raters agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.errors import Group
from evalkit.cli.options import columns_of, engine_option, output_options

if TYPE_CHECKING:
    from evalkit.plumbing.progress import Listener
    from evalkit.preferences.export import Form
    from evalkit.preferences.from_annotations import Left
    from evalkit.preferences.layouts.names import Layout


def _columns(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    return columns_of(given, "chosen=better,rejected=worse")


@click.group(cls=Group)
def prefs() -> None:
    """Pairs of completions, and who prefers which."""


@prefs.command("sample")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.jsonl",
    help="Write the pairs here, over what is there.",
)
@engine_option
@output_options
def prefs_sample(config: Path, out: Path, engine: str, tell: Listener, quiet: bool) -> None:
    """Draw pairs of completions from a checkpoint, as CONFIG asks."""
    from evalkit.plumbing.typed_jsonl import check_place
    from evalkit.preferences.pairs import write_pairs
    from evalkit.training.config import load_config
    from evalkit.training.raters.config import PrefsSampleConfig
    from evalkit.training.raters.sampling import sample_pairs

    settings = load_config(PrefsSampleConfig, config, tell.note)
    check_place(out)
    pairs = sample_pairs(settings, engine, tell)
    write_pairs(out, pairs)
    tell.close()
    click.echo(out if quiet else f"Pairs: {out} ({len(pairs)})")


@prefs.command("choose")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.jsonl",
    help="Write the preferences here, over what is there.",
)
@engine_option
@output_options
def prefs_choose(config: Path, out: Path, engine: str, tell: Listener, quiet: bool) -> None:
    """Choose and reject among a checkpoint's own completions by a reward, as CONFIG asks: best and worst, or DivPO."""
    from evalkit.plumbing.typed_jsonl import check_place
    from evalkit.preferences.files import write_preferences
    from evalkit.training.config import load_config
    from evalkit.training.raters.choose import choose_pairs
    from evalkit.training.raters.config import PrefsChooseConfig

    settings = load_config(PrefsChooseConfig, config, tell.note)
    check_place(out)
    preferences = choose_pairs(settings, engine, tell)
    write_preferences(out, preferences)
    tell.close()
    click.echo(out if quiet else f"Preferences: {out} ({len(preferences)})")


@prefs.command("simulate")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.jsonl",
    help="Write the preferences here, over what is there.",
)
@output_options
def prefs_simulate(config: Path, out: Path, tell: Listener, quiet: bool) -> None:
    """Let simulated raters compare pairs, as CONFIG asks."""
    from evalkit.plumbing.typed_jsonl import check_place
    from evalkit.preferences.annotation_files import write_annotation_rows
    from evalkit.preferences.files import write_preferences
    from evalkit.preferences.from_annotations import as_preference
    from evalkit.preferences.pairs import read_pairs
    from evalkit.training.config import load_config
    from evalkit.training.raters.config import PrefsSimulateConfig
    from evalkit.training.raters.simulate import agreement, annotate_pairs, label_pairs
    from evalkit.training.raters.values import value_pairs

    settings = load_config(PrefsSimulateConfig, config, tell.note)
    check_place(out)
    pairs = read_pairs(settings.pairs, tell.note)
    values = value_pairs(settings.groups, pairs, tell)
    if settings.annotations:
        annotations = annotate_pairs(settings, settings.annotations, pairs, values, tell)
        write_annotation_rows(out, annotations)
        preferences = [as_preference(row) for row in annotations]
    else:
        preferences = label_pairs(settings, pairs, values, tell)
        write_preferences(out, preferences)
    tell.close()
    if not quiet:
        _print_agreement(agreement(preferences, values))
    what = "Annotations" if settings.annotations else "Preferences"
    click.echo(out if quiet else f"{what}: {out} ({len(preferences)})")


@prefs.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.jsonl",
    help="Write the preferences here, over what is there.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["own", "messages", "conversations", "hh", "arena", "sharegpt", "prism"]),
    help="The file's layout; default: seen from its first row.",
)
@click.option(
    "--columns",
    multiple=True,
    metavar="FIELD=COLUMN,...",
    callback=_columns,
    help="Which column holds a field, as in chosen=better,rejected=worse.",
)
@click.option(
    "--group-by",
    metavar="COLUMN",
    help="Of PRISM: the column of survey.jsonl, beside FILE, that is a rater's group, as in location.reside_country.",
)
@output_options
def prefs_import(
    file: Path,
    out: Path,
    layout: Layout | None,
    columns: dict[str, str],
    group_by: str | None,
    tell: Listener,
    quiet: bool,
) -> None:
    """Read preferences of FILE in any layout and write them in evalkit's own, saying what was understood."""
    from evalkit.plumbing.typed_jsonl import check_place
    from evalkit.preferences.files import write_preferences
    from evalkit.preferences.layouts.read import read_file
    from evalkit.preferences.read_annotations import holds_annotations

    if layout is None and not columns and group_by is None and holds_annotations(file):
        _import_annotations(file, out, tell, quiet)
        return
    account = read_file(file, tell.note, layout, columns, group_by)
    check_place(out)
    write_preferences(out, account.preferences)
    for sentence in account.losses():
        tell.note(sentence)
    tell.close()
    pairs = len(account.preferences)
    if not quiet:
        click.echo(
            f"Layout: {account.layout}; rows: {account.rows}; pairs: {pairs}; ties: {account.count('tie')}; "
            f"both bad: {account.count('both_bad')}; "
            f"prompts of several turns: {account.multi_turn} ({account.multi_turn / pairs:.0%})"
        )
    click.echo(out if quiet else f"Preferences: {out} ({pairs})")


def _import_annotations(file: Path, out: Path, tell: Listener, quiet: bool) -> None:
    from evalkit.plumbing.typed_jsonl import check_place
    from evalkit.preferences.files import read_preferences, write_preferences

    preferences = read_preferences([file], tell.note)
    check_place(out)
    write_preferences(out, preferences)
    tell.close()
    if not quiet:
        click.echo(f"Layout: annotations; pairs: {len(preferences)}")
    click.echo(out if quiet else f"Preferences: {out} ({len(preferences)})")


@prefs.command("stats")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="All figures, as JSON on standard output.")
def prefs_stats(files: tuple[Path, ...], as_json: bool) -> None:
    """Say of annotations in FILES who answered, how steadily, who agrees with whom, and whom to doubt."""
    from evalkit.cli.prefs_tables import print_report, report_json
    from evalkit.preferences.agreement.report import annotation_report
    from evalkit.preferences.read_annotations import read_annotations

    report = annotation_report(read_annotations(files))
    if as_json:
        click.echo(report_json(report))
    else:
        print_report(report)


@prefs.command("export")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--to",
    "out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.jsonl",
    help="Write them here, over what is there.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["trl", "trl-conversational", "annotations", "arena"]),
    default="trl",
    show_default=True,
    help="Who is to read it.",
)
@click.option("--implicit-prompt", is_flag=True, help="TRL's forms without `prompt`: it stands in both answers.")
@click.option(
    "--keep",
    multiple=True,
    type=click.Choice(["skip", "gold", "repeat", "excluded"]),
    help="Keep also skipped answers, checks, repeated pairs, answers of excluded raters.",
)
@output_options
def prefs_export(
    files: tuple[Path, ...],
    out: Path,
    form: Form,
    implicit_prompt: bool,
    keep: tuple[Left, ...],
    tell: Listener,
    quiet: bool,
) -> None:
    """Write the votes among annotations in FILES for trainers and leaderboards."""
    from evalkit.errors import RecordsError
    from evalkit.plumbing.typed_jsonl import check_place
    from evalkit.preferences.export import export
    from evalkit.preferences.from_annotations import kept
    from evalkit.preferences.read_annotations import read_annotations

    rows, left_out = kept(read_annotations(files, tell.note), keep)
    if left_out:
        tell.note(left_out)
    if not rows:
        raise RecordsError("no answer is left to export; --keep names those that are no votes")
    check_place(out)
    export(out, rows, form, implicit_prompt)
    ties = sum(row.target == 0.5 for row in rows)
    if ties and form.startswith("trl"):
        tell.note(f"{ties} of them are ties, marked by `winner`, which TRL does not know: leave these rows out there")
    tell.close()
    click.echo(out if quiet else f"Exported: {out} ({len(rows)})")


def _print_agreement(shares: dict[str, dict[str, float]]) -> None:
    import math

    from rich.console import Console
    from rich.table import Table

    click.echo("Share of each group's preferences that sides with its own values, and with those of the others:")
    table = Table("preferences of", box=None, header_style="bold")
    for judge in shares:
        table.add_column(judge, justify="right", overflow="fold")
    for group, by_judge in shares.items():
        table.add_row(group, *("-" if math.isnan(share) else f"{share:.1%}" for share in by_judge.values()))
    Console().print(table)
