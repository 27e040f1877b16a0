"""The site on the Hugging Face Hub: a static Space, or the same files in a data set, in one commit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import InputError, StoreError
from evalkit.report.site import LEDGER, Published, read_ledger, site_files

PLACE = re.compile(r"hf://(spaces|datasets)/([\w.-]+/[\w.-]+)/?")
README = "README.md"
HEADERS = {
    "space": "---\ntitle: {name}\nsdk: static\napp_file: index.html\ntags: [evalkit]\n---\n",
    "dataset": "---\npretty_name: {name}\nviewer: false\ntags: [evalkit]\n---\n",
}
BODY = "Runs of evalkit: quality and diversity of language models before and after tuning. `index.html` lists them.\n"


def publish_to_hub(runs: Sequence[Path], place: str, api: Any = None) -> tuple[Published, ...]:
    """Add the runs to the site at hf://spaces/ORG/NAME or hf://datasets/ORG/NAME; returns all that it holds.

    A place that is not there is made, private. The token is the hub's own affair (HF_TOKEN, or `hf auth login`). `api`
    stands for `HfApi()`. Raises `InputError` for another kind of place, `StoreError` where the hub does not take it.
    """
    kind, repo = read_place(place)
    try:
        return _publish(runs, kind, repo, api or _api())
    except _refusals() as error:
        reason = " ".join(str(error).split())[:300]
        raise StoreError(f"{place} was not written: {reason}; log in with `hf auth login`, or set HF_TOKEN") from error


def read_place(place: str) -> tuple[str, str]:
    """Kind ("space" or "dataset") and repository. Raises `InputError`."""
    match = PLACE.fullmatch(place)
    if not match:
        raise InputError(f"{place!r} is no place on the hub; write hf://spaces/ORG/NAME or hf://datasets/ORG/NAME")
    return match[1].removesuffix("s"), match[2]


def _publish(runs: Sequence[Path], kind: str, repo: str, api: Any) -> tuple[Published, ...]:
    made = not api.repo_exists(repo, repo_type=kind)
    if made:
        sdk = {"space_sdk": "static"} if kind == "space" else {}
        api.create_repo(repo, repo_type=kind, private=True, **sdk)
    info = api.repo_info(repo, repo_type=kind)
    if kind == "space" and getattr(info, "sdk", "static") not in ("static", None):
        raise StoreError(f"the Space {repo} runs {info.sdk}; a site needs a static one: name another")
    there = set(api.list_repo_files(repo, repo_type=kind, revision=info.sha))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if LEDGER in there:
            api.hf_hub_download(repo, LEDGER, repo_type=kind, revision=info.sha, local_dir=folder / "known")
        known = read_ledger(folder / "known")
        # What the hub puts into a Space that was made just now is nobody's.
        listed, files = site_files(runs, known, lambda path: path in there and not made)
        if made or README not in there:
            files[README] = (HEADERS[kind].format(name=repo.partition("/")[2]) + BODY).encode()
        for path, content in files.items():
            (folder / "site" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "site" / path).write_bytes(content)
        api.upload_folder(
            repo_id=repo,
            repo_type=kind,
            folder_path=folder / "site",
            commit_message=f"Publish {len(runs)} run{'' if len(runs) == 1 else 's'}",
            parent_commit=info.sha,  # who publishes at the same time must not lose a line
        )
    return listed


def _api() -> Any:
    from huggingface_hub import HfApi

    return HfApi()


def _refusals() -> tuple[type[Exception], ...]:
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError, httpx.HTTPError, OSError, ValueError
