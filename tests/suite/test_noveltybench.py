"""suites/noveltybench.yaml: read with prompts of its data set's columns, laid beside it as a data set of this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.errors import SuiteError
from evalkit.suite.schema import load_suite
from tests import ROOT

COLUMNS = {"id": "curated-0", "category": "Creativity", "prompt": "Name a colour.", "prompt_paraphrases": ["A colour?"]}


def laid(folder: Path, **changed: object) -> Path:
    """The suite, with a data set of two rows here in the place of the hub's."""
    data = folder / "set" / "data"
    data.mkdir(parents=True)
    rows = [COLUMNS | changed, COLUMNS | changed | {"id": "curated-1", "category": "Naming"}]
    lines = [json.dumps({key: value for key, value in row.items() if value is not None}) + "\n" for row in rows]
    (data / "curated-00000-of-00001.jsonl").write_text("".join(lines))
    text = (ROOT / "suites" / "noveltybench.yaml").read_text(encoding="utf-8")
    assert text.count("yimingzhang/novelty-bench\n") == 1
    suite = folder / "suite.yaml"
    suite.write_text(text.replace("yimingzhang/novelty-bench\n", f"{folder / 'set'}\n"), encoding="utf-8")
    return suite


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_its_prompts_are_those_of_its_data_set(tmp_path: Path) -> None:
    suite = load_suite(laid(tmp_path))
    assert [(one.id, one.text, one.tags) for one in suite.prompts] == [
        ("curated-0", "Name a colour.", ("Creativity",)),
        ("curated-1", "Name a colour.", ("Naming",)),
    ]
    classes = [measure for measure in suite.metrics if measure.name.startswith("classifier/")]
    assert [measure.name for measure in classes] == [
        "classifier/distinct_k",
        "classifier/simpson_classes",
        "classifier/class_entropy",
    ]
    # As partition.py of 2025 asks its classifier: `score > 0.102`, the first member first, 128 tokens of each.
    how = {key: value for key, value in classes[0].params if key not in ("model", "k")}
    expected = {"label": None, "threshold": 0.102, "both_orders": False, "max_tokens": 128, "overlap": False}
    assert how == expected
    assert {dict(measure.params)["model"] for measure in classes} == {dict(classes[0].params)["model"]}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_data_set_of_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="there is no column 'prompt'"):
        load_suite(laid(tmp_path, prompt=None))
