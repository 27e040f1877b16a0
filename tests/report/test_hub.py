"""The site on the hub: one commit on top of what is there, by a hub that is played here method by method."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi

from evalkit.errors import InputError, StoreError
from evalkit.report.content.content import ReportContent
from evalkit.report.hub import publish_to_hub, read_place
from tests.report.test_site import write_run


class Hub:
    """Repositories as folders. Its methods take what HfApi's of the same name take, and no more."""

    def __init__(self, folder: Path, sdk: str = "static") -> None:
        self.folder, self.sdk = folder, sdk
        self.made: list[dict[str, Any]] = []
        self.commits: list[str] = []

    def repo_exists(self, repo_id: str, *, repo_type: str) -> bool:
        return self.folder.exists()

    def create_repo(self, repo_id: str, **settings: Any) -> None:
        self.made.append({"repo": repo_id, **settings})
        self.folder.mkdir()
        (self.folder / "index.html").write_text("the hub's own welcome")

    def repo_info(self, repo_id: str, *, repo_type: str) -> SimpleNamespace:
        return SimpleNamespace(sha=f"sha{len(self.commits)}", sdk=self.sdk)

    def list_repo_files(self, repo_id: str, *, repo_type: str, revision: str) -> list[str]:
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]

    def hf_hub_download(self, repo_id: str, filename: str, *, repo_type: str, revision: str, local_dir: Path) -> None:
        local_dir.mkdir()
        shutil.copy(self.folder / filename, local_dir / filename)

    def upload_folder(self, *, repo_id: str, repo_type: str, folder_path: Path, commit_message: str,
                      parent_commit: str) -> None:  # fmt: skip
        assert parent_commit == f"sha{len(self.commits)}"
        self.commits.append(commit_message)
        shutil.copytree(folder_path, self.folder, dirs_exist_ok=True)


def test_the_hub_that_is_played_has_the_real_ones_names() -> None:
    import inspect

    for name in ("repo_exists", "create_repo", "repo_info", "list_repo_files", "hf_hub_download", "upload_folder"):
        real = set(inspect.signature(getattr(HfApi, name)).parameters)
        assert set(inspect.signature(getattr(Hub, name)).parameters) - {"settings"} <= real


def test_a_space_is_made_private_and_static_and_takes_runs_one_after_the_other(
    tmp_path: Path, two_arms: ReportContent
) -> None:
    hub = Hub(tmp_path / "space")
    one, other = (write_run(tmp_path / name, two_arms) for name in ("one", "two"))
    publish_to_hub([one], "hf://spaces/org/site", hub)
    assert hub.made == [{"repo": "org/site", "repo_type": "space", "private": True, "space_sdk": "static"}]
    assert "sdk: static\n" in (tmp_path / "space" / "README.md").read_text()
    (tmp_path / "space" / "README.md").write_text("changed by its owner")
    assert len(publish_to_hub([other], "hf://spaces/org/site", hub)) == 2
    assert hub.commits == ["Publish 1 run", "Publish 1 run"]
    assert len(hub.made) == 1
    page = (tmp_path / "space" / "index.html").read_text()
    assert "runs/one/report.html" in page
    assert "runs/two/report.html" in page
    assert (tmp_path / "space" / "README.md").read_text() == "changed by its owner"


def test_a_data_set_is_no_space(tmp_path: Path, two_arms: ReportContent) -> None:
    hub = Hub(tmp_path / "data")
    publish_to_hub([write_run(tmp_path / "one", two_arms)], "hf://datasets/org/site", hub)
    assert hub.made == [{"repo": "org/site", "repo_type": "dataset", "private": True}]


def test_a_space_that_is_anothers_is_left_alone(tmp_path: Path, two_arms: ReportContent) -> None:
    run = write_run(tmp_path / "one", two_arms)
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "index.html").write_text("mine")
    for hub, words in ((Hub(tmp_path / "space"), "did not write"), (Hub(tmp_path / "space", "gradio"), "runs gradio")):
        with pytest.raises(StoreError, match=words):
            publish_to_hub([run], "hf://spaces/org/site", hub)
        assert hub.commits == []


def test_a_hub_that_refuses_is_a_line(tmp_path: Path, two_arms: ReportContent, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no token")

    monkeypatch.setattr(Hub, "repo_exists", refuse)
    with pytest.raises(StoreError, match="hf://spaces/org/site was not written: no token; log in with `hf auth login`"):
        publish_to_hub([write_run(tmp_path / "one", two_arms)], "hf://spaces/org/site", Hub(tmp_path / "space"))


@pytest.mark.parametrize("place", ["hf://models/a/b", "hf://spaces/a", "s3://x/y", "hf://spaces/a/b/c"])
def test_another_kind_of_place_is_refused(place: str) -> None:
    with pytest.raises(InputError, match="is no place on the hub; write hf://spaces/ORG/NAME"):
        read_place(place)
