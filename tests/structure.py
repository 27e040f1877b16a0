"""The structure of the package, counted from its imports: rooms, floors, and the share of imports that stay inside."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests import ROOT

PACKAGE = ROOT / "evalkit"
GROUND = ("records", "errors", "plumbing")
"""What every room stands on: words that all share, and what knows no metric. To use them is to leave no room."""


def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module."""
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    """The folder at the root that a module lies in, or its own name."""
    return module.split(".")[1]


def arrows() -> Iterator[tuple[str, str]]:
    """(file that imports, file that is imported), each pair once."""
    known = modules()
    for module, path in known.items():
        found = {target for node in ast.walk(ast.parse(path.read_text())) for target in _targets(node, known)}
        yield from ((module, target) for target in sorted(found) if target != module)


def _targets(node: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("evalkit."):
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            target = full if full in known else node.module
            if target in known:
                yield target


def share_inside() -> float:
    """Of the imports from a room's file, apart from those of the ground, the share that stays inside the room."""
    inside = set(rooms())
    pairs = [
        (room_of(one), room_of(other))
        for one, other in arrows()
        if room_of(one) in inside and room_of(other) not in GROUND
    ]
    return sum(one == other for one, other in pairs) / len(pairs)


def rooms() -> list[str]:
    """The folders at the root."""
    return sorted({path.relative_to(PACKAGE).parts[0] for path in PACKAGE.glob("*/**/*.py")})


def floors() -> list[str]:
    """The layers that imports go down, the highest first."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    return [str(layer) for layer in contract["layers"]]


if __name__ == "__main__":
    print(f"{len(rooms())} rooms on {len(floors())} floors; {share_inside():.0%} of imports stay inside a room")
