"""What the docs say is true: links lead somewhere, commands and options exist, examples run."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from evalkit.cli.main import main
from evalkit.metrics import registry as measure
from evalkit.metrics.registry import parse
from evalkit.records import Completion, Group, Prompt
from evalkit.suite.gate_policy import Policy
from evalkit.suite.schema import Suite
from evalkit.training.config import BestOfNConfig, DpoConfig, PpoConfig
from evalkit.training.raters.config import PrefsChooseConfig

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not link.startswith(("http://", "https://")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def console_commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in blocks(page, "console"):
            lines = block.replace("\\\n", " ").splitlines()
            found += [
                (page.name, line.removeprefix("$ ").split(" #")[0].strip()) for line in lines if line.startswith("$ ")
            ]
    return found


@pytest.mark.parametrize(("page", "command"), console_commands(), ids=str)
def test_commands_in_the_docs_exist(page: str, command: str) -> None:
    words = shlex.split(command.split(" > ")[0])
    program = words[0].rsplit("/", 1)[-1]
    if program == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    elif program == "evalkit":
        assert_parses(words[1:])
    else:
        assert program in ("install.sh", "python", "vllm", "accelerate"), (
            f"{page} shows a command that no test knows: {command}"
        )


def assert_parses(words: list[str]) -> None:
    """Every sub-command and option is known to click; nothing is run."""
    here: click.Command = main
    context = click.Context(main)
    while isinstance(here, click.Group) and words and not words[0].startswith("-"):
        found = here.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]!r}"
        here, words = found, words[1:]
    here.make_context("evalkit", list(words))


def test_the_suite_in_the_docs_is_a_suite() -> None:
    [text] = blocks(ROOT / "docs" / "suites.md", "yaml")
    suite = Suite.model_validate(yaml.safe_load(text))
    assert len(suite.prompts) == 2


def test_the_five_minute_metric_works() -> None:
    [code] = blocks(ROOT / "CONTRIBUTING.md", "python")
    try:
        exec(compile(code, "CONTRIBUTING.md", "exec"), {"__name__": "somebodys.metric"})
        completions = [Completion("p", slot, text, (), (), "stop") for slot, text in enumerate(["a?", "b!"])]
        group = Group(Prompt("p", "x"), tuple(completions))
        assert parse("question_share")(group) == 0.5
        assert parse("question_share|mark:!").signature(2, "") == "question_share|mark:!|tok:13a|k:2|v:1.0"
    finally:
        measure.declared_here.pop("question_share", None)


def test_every_dependency_is_explained() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    needed = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    for requirement in needed:
        name = re.split(r"[<>=\[]", requirement)[0]
        if not name.startswith("types-") and not name.endswith("-stubs"):
            assert name in page, f"docs/dependencies.md does not say why {name} is there"


def test_the_policy_in_the_docs_is_one() -> None:
    [text] = blocks(ROOT / "docs" / "gate.md", "yaml")
    assert len(Policy.model_validate(yaml.safe_load(text)).rules) == 4


def test_the_ci_examples_run_commands_that_exist() -> None:
    github, gitlab = (yaml.safe_load(text) for text in blocks(ROOT / "docs" / "ci.md", "yaml"))
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    steps = github["jobs"]["gate"]["steps"]
    [used] = [step for step in steps if step.get("id") == "gate"]
    assert set(used["with"]) <= set(action["inputs"])
    for output in re.findall(r"steps\.gate\.outputs\.([\w-]+)", str(steps)):
        assert output in action["outputs"]
    commands = [step["run"] for step in steps if step.get("run", "").startswith("evalkit ")]
    for command in (*commands, *gitlab["gate"]["script"]):
        assert_parses(shlex.split(command)[1:])


def test_the_ci_examples_install_evalkit_before_they_run_it() -> None:
    github, gitlab = (yaml.safe_load(text) for text in blocks(ROOT / "docs" / "ci.md", "yaml"))
    for lines in (
        [step.get("run", "") for step in github["jobs"]["gate"]["steps"]],
        [*gitlab["gate"].get("before_script", []), *gitlab["gate"]["script"]],
    ):
        first = next(place for place, line in enumerate(lines) if line.startswith("evalkit run"))
        assert any("install.sh" in line for line in lines[:first])


def test_the_ppo_config_in_the_docs_is_one() -> None:
    (text,) = blocks(ROOT / "docs" / "ppo.md", "yaml")
    assert PpoConfig.model_validate(yaml.safe_load(text)).beta == (1, 0.3, 0.1)


def test_the_configs_of_dpo_and_best_of_n_in_the_docs_are_configs() -> None:
    tune, choose = blocks(ROOT / "docs" / "dpo.md", "yaml")
    assert DpoConfig.model_validate(yaml.safe_load(tune)).beta == (1, 0.1)
    assert PrefsChooseConfig.model_validate(yaml.safe_load(choose)).divpo is not None
    (distil,) = blocks(ROOT / "docs" / "best-of-n.md", "yaml")
    assert BestOfNConfig.model_validate(yaml.safe_load(distil)).n == (4, 16)


def test_the_metrics_page_is_what_the_docstrings_say() -> None:
    spec = importlib.util.spec_from_file_location("metrics_page", ROOT / "docs" / "metrics_page.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert page == made.page(made.simulation_of(page)), "the docstrings have changed: run `make docs`"


def test_the_simulation_s_intervals_hold_what_they_promise() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `") and line.count(" % ") >= 2]
    assert len(rows) > 20
    for row in rows:
        for cell in row[3:5]:
            assert 92 <= float(cell.strip().removesuffix("%").strip()) <= 98, row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_table_is_whole(page: Path) -> None:
    """Each row has as many cells as the header, and none stands by itself, where it would be shown as raw text."""
    text = re.sub(
        r"```.*?```", lambda block: "\n" * block[0].count("\n"), page.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    cells = 0
    lines = [*text.splitlines(), ""]
    for number, line in enumerate(lines[:-1], start=1):
        if not line.startswith("|"):
            cells = 0
            continue
        own = len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", line)))
        if cells == 0:
            assert re.fullmatch(r"\|(?:\s*:?-+:?\s*\|)+", lines[number]), (
                f"{page.name}:{number}: a row without a header"
            )
            cells = own
        assert own == cells, f"{page.name}:{number}: {own - 1} cells under a header of {cells - 1}"


@pytest.mark.slow
def test_every_block_on_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, in a folder of their own, as a reader would."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "readers"}
    for number, code in enumerate(blocks(ROOT / "docs" / "python.md", "python")):
        exec(compile(code, f"docs/python.md, block {number}", "exec"), names)
    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "small" / "report.html").exists()


def test_the_frames_on_the_page_have_the_columns_that_they_have() -> None:
    from evalkit.report.results import frames

    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `.")]
    shown = {row[0].strip("| `."): re.findall(r"`(\w+)`", row[2]) for row in rows}
    assert shown == {name: list(getattr(frames, name.upper())) for name in shown}
    assert len(shown) == 7


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*:ResourceWarning")
@pytest.mark.parametrize("notebook", sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    found = nbformat.read(notebook, as_version=4)
    assert not any(cell.get("outputs") for cell in found.cells), "clear the outputs before you commit it"
    NotebookClient(found, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [set(output.get("data", {})) for cell in found.cells for output in cell.get("outputs", [])]
    assert any("application/vnd.plotly.v1+json" in kinds for kinds in shown)
    assert any("text/html" in kinds for kinds in shown)
