"""Before anything is sampled: which calls will be made, written down so that a run that is killed makes the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.inference.manifest import check_fresh, known_rows, new_manifest, shard_rows
from evalkit.inference.plan import Plan
from evalkit.inference.stock import allot
from evalkit.runs.folder import Store
from evalkit.runs.growth import growth_note
from evalkit.runs.shards import Row


def begin(
    store: Store,
    plan: Plan,
    command: Sequence[str],
    fresh: bool = False,
    tags: Sequence[str] = (),
    ends: Sequence[int] = (),
) -> tuple[Plan, dict[str, Any]]:
    """Settle which calls are made, and write the manifest; or go on with the folder's own one. Raises `InputError`.

    `ends`: after how many prompts no call may go on. The plan has in place of calls what is there of their samples.
    """
    if plan.note:
        store.notice(plan.note)
    known = store.manifest()
    check_fresh(store.folder, known, fresh)
    manifest = new_manifest(plan, known or {}, command, fresh, tags)
    rows = [] if known is None else _known(store, known, manifest)
    plan = allot(plan, store, rows, manifest["fresh"], ends)
    manifest["shards"] = shard_rows(plan)
    store.write_json("run.json", manifest)
    return plan, manifest


def _known(store: Store, known: Mapping[str, Any], manifest: dict[str, Any]) -> list[Row]:
    """What the folder's manifest lists, with its shards as of the arms' names now. Raises as `known_rows` does."""
    rows = known_rows(store.folder, known, manifest)
    if len(manifest["grown"]) > len(known.get("grown", ())):
        store.notice(growth_note(store.folder, manifest["grown"][-1]))
    for old, row in rows:
        if old != row.arm and store.is_listed(row.key, shared=False):
            store.rename(row.key, row.arm)
    return [row for _, row in rows]
