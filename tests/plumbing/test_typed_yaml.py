"""A file is read as a typed model; every mistake says where it stands, what was found and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, model_validator

from evalkit.errors import SuiteError
from evalkit.plumbing.typed_yaml import Part, dotted, read_part


class Leaf(Part):
    colour: Literal["green", "red"] = "green"
    size: float = Field(1.0, gt=0)


class Tree(Part):
    name: str
    leaves: tuple[Leaf, ...] = ()
    named: dict[str, Leaf] = Field(default_factory=dict)
    counts: Mapping[str, int] = Field(default_factory=dict)
    root: Leaf | None = None

    @model_validator(mode="after")
    def _stands(self) -> Tree:
        if self.root and self.root.colour == "red":
            raise ValueError("a root is green")
        return self


def read(folder: Path, text: str) -> Tree:
    path = folder / "tree.yaml"
    path.write_text(text, encoding="utf-8")
    return read_part(Tree, path, "tree")[0]


def test_a_file_becomes_a_model_with_the_lines_of_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "tree.yaml"
    path.write_text("name: oak\nleaves:\n  - {colour: red}\n  - {size: 2}\n", encoding="utf-8")
    tree, document = read_part(Tree, path, "tree")
    assert tree == Tree(name="oak", leaves=(Leaf(colour="red"), Leaf(size=2)))
    assert document.line_of("leaves", 1) == f"{path}:4"


def test_null_is_as_if_the_key_was_not_there_but_where_it_has_a_meaning(tmp_path: Path) -> None:
    class Stop(Part):
        patience: int | None = 3
        size: float = 1.0

    assert read(tmp_path, "name: oak\nleaves: null\nnamed:\nroot: {colour: null}") == Tree(name="oak", root=Leaf())
    (tmp_path / "stop.yaml").write_text("patience: null\nsize: null\n")
    assert read_part(Stop, tmp_path / "stop.yaml", "stop")[0] == Stop(patience=None, size=1.0)


MISTAKES = [
    ("name: oak\nleafs: []", "tree.yaml:2: unknown key 'leafs' (did you mean 'leaves'?); allowed here: name, leaves,"),
    ("name: oak\nleaves:\n  - {size: 1, color: red}", "tree.yaml:3: unknown key 'leaves[0].color' (did you mean 'colour'?); allowed here: colour, size"),
    ("name: oak\nnamed:\n  a:\n    wide: 1", "tree.yaml:4: unknown key 'named.a.wide'; allowed here: colour, size"),
    ("name: oak\nroot: {colr: red}", "tree.yaml:2: unknown key 'root.colr' (did you mean 'colour'?)"),
    ("name: oak\nroot: {size: 0}", "tree.yaml:2: root.size: found 0; it must be greater than 0"),
    ("name: oak\nroot: {size: big}", "tree.yaml:2: root.size: found big; it must be a number"),
    ("name: oak\nroot: {colour: blue}", "tree.yaml:2: root.colour: found blue; it must be 'green' or 'red'"),
    ("name: oak\ncounts: {a: 1.5}", "tree.yaml:2: counts.a: found 1.5; it must be an integer"),
    ("name: 12", "tree.yaml:1: name: found 12; it must be text (put it in quotes)"),
    ("name: null", "tree.yaml:1: name: this key is missing; it must be given"),
    ("name: oak\nleafs: null", "tree.yaml:2: unknown key 'leafs'"),
    ("name: [a, b]", "tree.yaml:1: name: found [a, b]; it must be text"),
    ("leaves: []", "name: this key is missing; it must be given"),
    ("name: oak\nroot: {colour: red}", "tree.yaml:1: a root is green"),
    ("name: oak\nname: elm", "tree.yaml:2: key 'name' stands here again (first in line 1)"),
    ("name: [oak", "not valid YAML"),
    ("name: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ("- name", "tree.yaml"),
    ("", "tree.yaml"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[text for text, _ in MISTAKES])
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        read(tmp_path, "name: 1\nleafs: []\nroot: {size: -1, colour: blue}\n")
    assert len(str(caught.value).splitlines()) == 4


def test_what_is_long_is_shown_in_part(tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        read(tmp_path, f"name: oak\nroot: {{colour: {'x' * 500}}}\n")
    assert "xxx..." in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"nowhere\.yaml: there is no such file"):
        read_part(Tree, tmp_path / "nowhere.yaml", "tree")


def test_places_are_written_as_in_the_file() -> None:
    assert dotted(("prompts", 1, "answer")) == "prompts[1].answer"
    assert dotted(()) == ""
