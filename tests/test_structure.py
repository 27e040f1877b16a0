"""The house as it was drawn: rooms with doors, floors that imports go down, tests where the files are. The whole package."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.structure import PACKAGE, arrows, floors, modules, rooms, share_inside

DOORS = {
    "analysis": {
        "AskedSuite", "Fairness", "Mean", "Measurements", "SampledArms", "clusters_of", "compare_fairly", "holm", "mean_intervals", "mean_p_values",
        "measure_groups", "summarise",
    },
    "checkpoints": {"CheckpointSpec", "context_length", "fingerprint", "locate", "render", "resolve"},
    "gate": {
        "GateDecision", "Side", "choose_pairs", "chosen_policy", "compare_sides", "decide", "exit_code", "plan_size", "read_side",
        "run_until_decided",
    },
    "inference": {
        "Engine", "Plan", "begin", "fill_needs", "make_plan", "open_engine", "plan_in", "read_groups", "sample_missing",
    },
    "metrics": {"Definition", "Measure", "arm_metric", "definitions", "label", "metric", "parse", "score"},
    "preferences": {"Pair", "Preference", "read_pairs", "read_preferences", "write_pairs", "write_preferences"},
    "report": {"build_report", "history_page", "merge", "read_content", "read_history", "report_page"},
    "runs": {"Store", "groups_of", "open_store", "read_manifest", "read_summary"},
    "suite": {"Policy", "Suite", "check_prompts", "load_suite", "overrides", "read_policy", "read_prompts", "suite_schema"},
}  # fmt: skip
LONGEST = 450
"""Lines of a file."""
HEAVY = ("torch", "transformers", "vllm", "sklearn", "pandas", "plotly", "nltk")


def test_there_are_thirteen_rooms_on_twelve_floors_and_the_root_has_no_others() -> None:
    assert len(rooms()) <= 13
    assert len(floors()) <= 12
    at_the_root = {path.stem for path in PACKAGE.glob("*.py")}
    assert at_the_root == {"__init__", "__main__", "api", "errors", "pytest_plugin", "records", "run", "score"}


def test_most_imports_stay_inside_their_room() -> None:
    assert share_inside() >= 0.6


@pytest.mark.parametrize("room", DOORS)
def test_a_room_hands_on_its_door(room: str) -> None:
    door = importlib.import_module(f"evalkit.{room}")
    assert set(door.__all__) == DOORS[room]
    assert all(hasattr(door, name) for name in door.__all__)


def test_no_door_loads_what_is_heavy() -> None:
    command = f"import sys\nimport {', '.join(f'evalkit.{room}' for room in rooms())}\n"
    command += f"print([name for name in {HEAVY} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.strip() == "[]"


def test_no_file_is_longer_than_the_house_allows() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_every_file_says_what_it_is_about() -> None:
    silent = [name for name, path in modules().items() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == ["evalkit.__main__"]


def test_tests_lie_where_their_files_lie_or_say_what_they_are_about() -> None:
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if "node_modules" not in path.parts]
    assert [path for path in tests if not (_mirrors(path) or _says(path))] == []


def test_the_walk_in_the_docs_meets_each_file_once_and_leads_by_imports() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walk = re.findall(r"^\d+\. `(evalkit/[\w/]+)\.py`", page, re.MULTILINE)
    steps = [step.replace("/", ".") for step in walk]
    assert len(steps) == len(set(steps)) > 10
    ways = set(arrows())
    lost = [step for place, step in enumerate(steps) if place and not any((one, step) in ways for one in steps[:place])]
    assert lost == []


def test_the_picture_in_the_docs_has_the_floors_that_are_held() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = page.split("```")[1].strip("\n").splitlines()
    for line, floor in zip(drawn, floors(), strict=True):
        names = re.split(r"\s{2,}", line.strip())[:-1]
        assert {name.removesuffix(".py") for name in names} == set(floor.split(" | "))


def _mirrors(test: Path) -> bool:
    """Whether it is of the one file that lies where it lies: it imports that file."""
    tested = _tested(test)
    return tested is not None and _imports(test, tested)


def _tested(test: Path) -> Path | None:
    """The file of the package, or of the benches, that lies where the test lies."""
    place = test.relative_to(ROOT / "tests").with_name(f"{test.stem.removeprefix('test_')}.py")
    return next((root / place for root in (PACKAGE, ROOT) if (root / place).exists()), None)


def _imports(test: Path, tested: Path) -> bool:
    module = ".".join(tested.relative_to(ROOT).with_suffix("").parts)
    room, _, name = module.rpartition(".")
    for node in ast.walk(ast.parse(test.read_text())):
        if isinstance(node, ast.ImportFrom) and (
            node.module == module or (node.module == room and name in {alias.name for alias in node.names})
        ):
            return True
        if isinstance(node, ast.Import) and module in {alias.name for alias in node.names}:
            return True
    return False


def _says(test: Path) -> bool:
    return bool(ast.get_docstring(ast.parse(test.read_text())))
