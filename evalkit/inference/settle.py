"""Before anything is sampled: which calls will be made, written down so that a run that is killed makes the same."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.inference.manifest import check_fresh, continued, known_rows, new_manifest, shard_rows
from evalkit.inference.plan import Plan
from evalkit.inference.stock import allot
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.runs.folder import Store
from evalkit.runs.growth import growth_note
from evalkit.runs.manifest import Manifest, ShardRow


def begin(
    store: Store,
    plan: Plan,
    command: Sequence[str],
    fresh: bool = False,
    tags: Sequence[str] = (),
    ends: Sequence[int] = (),
    tell: Listener = QUIET,
) -> tuple[Plan, Manifest]:
    """Settle which calls are made, and write the manifest; or go on with the folder's own one. Raises `InputError`.

    `ends`: after how many prompts no call may go on. The plan has in place of calls what is there of their samples.
    """
    if plan.note:
        store.notice(plan.note)
    known = store.manifest()
    check_fresh(store.folder, known, fresh)
    manifest = new_manifest(plan, known or Manifest(), command, fresh, tags)
    if known is not None:
        manifest = continued(store.folder, known, manifest)
        if len(manifest.grown) > len(known.grown):
            store.notice(growth_note(store.folder, manifest.grown[-1]))
    rows = [] if known is None else _renamed(store, known, manifest)
    tell.stage("look for samples", sum(shard.size for shard in plan.shards))
    plan = allot(plan, store, rows, manifest.fresh, ends, tell.advance)
    manifest = manifest.model_copy(update={"shards": shard_rows(plan)})
    store.write_manifest(manifest)
    return plan, manifest


def _renamed(store: Store, known: Manifest, manifest: Manifest) -> list[ShardRow]:
    """What the folder's manifest lists, its shards as of the arms' names now. Raises `StoreError`."""
    rows = known_rows(known, manifest)
    for old_name, row in rows:
        if old_name != row.arm and store.is_listed(row.key, shared=False):
            store.rename(row.key, row.arm)
    return [row for _, row in rows]
