"""All commands in one place. Heavy imports stand inside the commands that need them."""

from __future__ import annotations

import click

from evalkit import __version__
from evalkit.cli.annotate import annotate
from evalkit.cli.errors import Group
from evalkit.cli.export import export
from evalkit.cli.gate import baseline, gate, power
from evalkit.cli.info import doctor, lab, metrics, suite
from evalkit.cli.prefs import prefs
from evalkit.cli.publish import publish
from evalkit.cli.report import compare, report
from evalkit.cli.run import run, score
from evalkit.cli.tracking import log
from evalkit.cli.train import train

EPILOG = """Exit codes: 0 done, the gate passes; 1 failed, a regression; 2 the input cannot be used (suite, checkpoint,
metric, file, option) or compared; 3 the gate cannot tell; 4 an engine failed; 5 the run folder cannot be written;
130 interrupted (what was sampled is kept); 141 the output's reader went away, as in "| head -1", and no verdict."""


@click.group(
    cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="evalkit")
def main() -> None:
    """What did preference tuning do to a model, and is it what you want?

    evalkit samples a suite of prompts from base and tuned checkpoints, measures quality and diversity with intervals,
    and writes a report that says what the tuning gained and what it cost.
    """


for command in (
    run,
    score,
    export,
    report,
    compare,
    gate,
    baseline,
    power,
    suite,
    metrics,
    doctor,
    lab,
    prefs,
    train,
    log,
    publish,
    annotate,
):
    main.add_command(command)
