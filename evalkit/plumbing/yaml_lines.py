"""YAML that remembers its lines, so that an error can name file and line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evalkit.errors import SuiteError


@dataclass(frozen=True)
class Document:
    """A YAML file's value, and where each part of it stands."""

    path: Path
    value: Any
    root: yaml.Node | None

    def line_of(self, *loc: int | str) -> str:
        """`file:line` of the value at `loc`, or of the nearest part around it."""
        node = self.root
        for step in loc:
            child = _child(node, step)
            if child is None:
                break
            node = child[1]
        return self._at(node)

    def key_place(self, *loc: int | str) -> str:
        """`file:line` of the key that ends `loc`."""
        node = self.root
        for step in loc[:-1]:
            child = _child(node, step)
            node = child[1] if child else node
        child = _child(node, loc[-1])
        return self._at(child[0] if child else node)

    def _at(self, node: yaml.Node | None) -> str:
        return f"{self.path}:{node.start_mark.line + 1}" if node is not None else f"{self.path}:1"


def read_yaml(path: Path, what: str = "suite") -> Document:
    """Read one YAML mapping with the safe loader; `what` names such a file in errors. Raises `SuiteError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except FileNotFoundError:
        raise SuiteError(f"{path}: there is no such file{_neighbours(path)}") from None
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror}") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_repeated_keys(path, root)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SuiteError(f"{path}:{line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise SuiteError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(value, dict):
        raise SuiteError(f"{path}:1: a {what} is a mapping of keys (name, ...); found {type(value).__name__}")
    return Document(path, value, root)


def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _refuse_repeated_keys(path: Path, node: yaml.Node | None) -> None:
    """YAML lets the last of two equal keys win in silence."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise SuiteError(
                    f"{path}:{line}: key {key.value!r} stands here again (first in line {seen[key.value]}); keep one"
                )
            seen[key.value] = line
            _refuse_repeated_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(path, item)


def _neighbours(path: Path) -> str:
    folder = path.parent
    names = sorted(p.name for p in folder.glob("*.yaml")) if folder.is_dir() else []
    return f"; {folder} holds: {', '.join(names)}" if names else ""
