"""Samples of one run in another: never of a server that may serve another model by now, and never without saying so."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from evalkit.checkpoints import servers
from evalkit.cli.main import main
from evalkit.errors import InputError, ServerError
from evalkit.inference.origins import cache_note
from evalkit.inference.plan import make_plan
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion, Prompt
from evalkit.run import Run, run_suite
from evalkit.runs.folder import open_store
from evalkit.runs.manifest import Origin
from evalkit.suite.schema import Suite
from tests.served import Server, choices
from tests.served import server as server


class Notes(Quiet):
    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


def served(server: Server) -> Suite:
    return Suite.model_validate({
        "name": "served",
        "checkpoints": {"now": {"path": server.url, "kind": "base"}},
        "sampling": {"n": 2, "max_tokens": 4},
        "metrics": ["distinct_n|n:1", "length"],
        "prompts": [{"id": "a", "text": "One"}, {"id": "b", "text": "Two"}],
    })  # fmt: skip


def says(server: Server, text: str) -> None:
    server.answer = lambda request: (200, choices(request["n"], text=text))


def run(suite: Suite, folder: Path, **options: Any) -> tuple[Run, list[str]]:
    tell = Notes()
    return run_suite(suite, "auto", folder, tell, **options), tell.told


def texts(folder: Path) -> set[str]:
    shards = json.loads((folder / "run.json").read_text(encoding="utf-8"))["shards"]
    with open_store(folder, pytest.fail) as store:
        return {one.text for shard in shards for one in store.read(shard["key"])}


def test_a_replaced_model_behind_a_url_is_sampled_although_it_tells_the_same(server: Server, tmp_path: Path) -> None:
    says(server, " yesterday")
    run(served(server), tmp_path / "one")
    says(server, " tonight")
    made, told = run(served(server), tmp_path / "two")
    assert (made.sampled, told) == (4, [])
    assert texts(tmp_path / "two") == {" tonight"}


def test_a_run_of_a_server_resumes_in_its_own_folder_and_says_that_nothing_was_sampled(
    server: Server, tmp_path: Path
) -> None:
    run(served(server), tmp_path / "one")
    asked = len(server.requests)
    made, [told] = run(served(server), tmp_path / "one")
    assert (made.sampled, len(server.requests)) == (0, asked)
    assert told.startswith(
        f"nothing was sampled now: {tmp_path / 'one'} holds all completions, the last of them sampled"
    )


def test_a_servers_suite_grows_in_its_own_folder_alone(server: Server, tmp_path: Path) -> None:
    run(served(server), tmp_path / "one")
    asked = served(server)
    more = asked.model_copy(update={"prompts": (*asked.prompts, Prompt("c", "Three"))})
    assert run(more, tmp_path / "one")[0].sampled == 2
    assert run(more, tmp_path / "two")[0].sampled == 6


def test_a_folder_is_not_filled_up_by_a_server_that_tells_of_another_model(server: Server, tmp_path: Path) -> None:
    run(served(server), tmp_path / "one")
    server.models[0] |= {"root": "elsewhere"}
    with pytest.raises(
        InputError, match=r"holds another run \(different: .*checkpoints\.now\.served\.root was None, is el"
    ):
        run(served(server), tmp_path / "one")


def test_a_server_with_a_digest_shares_its_samples_until_the_digest_changes(server: Server, tmp_path: Path) -> None:
    server.models[0] |= {"owned_by": "library"}
    server.pages["/api/tags"] = {"models": [{"name": "m", "digest": "one"}]}
    run(served(server), tmp_path / "one")
    assert run(served(server), tmp_path / "two")[0].sampled == 0
    server.pages["/api/tags"] = {"models": [{"name": "m", "digest": "two"}]}
    assert run(served(server), tmp_path / "three")[0].sampled == 4


def test_a_dead_server_is_an_error_except_for_a_folder_that_is_complete(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "RETRIES", 0)
    suite = served(server)
    run(suite, tmp_path / "one")
    server.shutdown()
    server.socket.close()
    with pytest.raises(ServerError, match=r"^checkpoint 'now': no answer from"):
        run(suite, tmp_path / "two")
    made, told = run(suite, tmp_path / "one")
    assert made.sampled == 0
    assert "no answer from" in told[0]
    assert f"{tmp_path / 'one'} is complete, so its samples are measured again as they are" in told[0]
    manifest = json.loads((tmp_path / "one" / "run.json").read_text(encoding="utf-8"))
    (tmp_path / "one" / "run.json").write_text(json.dumps(manifest | {"state": "running"}), encoding="utf-8")
    with pytest.raises(ServerError, match="no answer"):
        run(suite, tmp_path / "one")


def test_the_page_and_the_manifest_say_what_a_server_told_and_when_it_was_sampled(
    server: Server, tmp_path: Path
) -> None:
    server.models[0] |= {"owned_by": "vllm", "root": "weights/<b>"}
    server.pages["/version"] = {"version": "0.32.0"}
    run(served(server), tmp_path / "one")
    manifest = json.loads((tmp_path / "one" / "run.json").read_text(encoding="utf-8"))
    told = {"id": "m", "owned_by": "vllm", "root": "weights/<b>", "version": "0.32.0"}
    assert manifest["identity"]["checkpoints"]["now"]["served"] == told
    row = manifest["samples"]["now"]
    assert (row["completions"], row["from_cache"]) == (4, 0)
    assert row["sampled_first"] >= manifest["started"]
    page = (tmp_path / "one" / "report.html").read_text(encoding="utf-8")
    assert "now: id m, owned_by vllm, root weights/&lt;b&gt;, version 0.32.0" in page
    assert "now: 4 completions, sampled by this run on" in page


def test_a_local_checkpoints_samples_from_the_cache_are_told_with_their_time(tmp_path: Path) -> None:
    suite = Suite.model_validate({
        "name": "local",
        "checkpoints": {"base": {"path": "lab:base", "kind": "base"}},
        "sampling": {"n": 2, "max_tokens": 4},
        "metrics": ["distinct_n|n:1"],
        "prompts": [{"id": "a", "text": "One"}, {"id": "b", "text": "Two"}],
    })  # fmt: skip
    early = datetime.datetime(2026, 11, 1, 8, tzinfo=datetime.UTC)
    [shard] = make_plan(suite, "transformers").shards
    drawn = [Completion(p.prompt_id, slot, "hm", (1,), (), "stop") for p in shard.prompts for slot in range(2)]
    with open_store(tmp_path / "one", pytest.fail) as store:
        store.put(shard.key, drawn, "of another suite", sampled=early)
    tell = Notes()
    made = run_suite(suite, "transformers", tmp_path / "two", tell)
    when = "sampled on 1 November 2026, 08:00:00 UTC"
    assert made.sampled == 0
    assert tell.told == [
        f"from the cache, not sampled by this run: base (4 of 4 completions, {when}); --fresh samples anew"
    ]
    manifest = json.loads((tmp_path / "two" / "run.json").read_text(encoding="utf-8"))
    assert manifest["samples"]["base"]["from_cache"] == 4
    assert f"base: 4 of 4 completions from the cache, {when}" in made.report.read_text(encoding="utf-8")
    [path] = (tmp_path / "two" / "completions").glob("*.parquet")
    assert pq.read_table(path).to_pydict()["arm"] == ["base"] * 4


def test_fresh_takes_nothing_from_the_cache_and_resumes_as_such(server: Server, tmp_path: Path) -> None:
    server.models[0] |= {"owned_by": "library"}
    server.pages["/api/tags"] = {"models": [{"name": "m", "digest": "one"}]}
    run(served(server), tmp_path / "one")
    says(server, " anew")
    made, told = run(served(server), tmp_path / "two", fresh=True)
    assert (made.sampled, told) == (4, [])
    assert texts(tmp_path / "two") == {" anew"}
    for shard in (tmp_path / "two" / "completions").glob("*.parquet"):
        shard.unlink()
    assert run(served(server), tmp_path / "two")[0].sampled == 4  # it stays a fresh one
    assert run(served(server), tmp_path / "two", fresh=True)[0].sampled == 0
    with pytest.raises(InputError, match=r"--fresh samples anew, and .*one holds samples already"):
        run(served(server), tmp_path / "one", fresh=True)
    says(server, " never asked")
    run(served(server), tmp_path / "three")
    assert texts(tmp_path / "three") == {" anew"}  # of two in the cache the later


def test_an_arm_that_is_partly_from_the_cache_says_how_much() -> None:
    early, late = (datetime.datetime(2026, 11, day, tzinfo=datetime.UTC) for day in (1, 2))
    new = Origin(completions=8, from_cache=0, sampled_first=late, sampled_last=late)
    mixed = new.model_copy(update={"from_cache": 4, "cached_first": early, "cached_last": early})
    assert cache_note({"a": mixed, "b": new}) == (
        "from the cache, not sampled by this run: a (4 of 8 completions, sampled on 1 November 2026, 00:00:00 UTC); "
        "--fresh samples anew"
    )
    assert cache_note({"b": new}) is None


def test_the_command_samples_anew_and_tells_of_columns_that_it_does_not_read(server: Server, tmp_path: Path) -> None:
    server.models[0] |= {"owned_by": "library"}
    server.pages["/api/tags"] = {"models": [{"name": "m", "digest": "one"}]}
    (tmp_path / "p.jsonl").write_text('{"q": "One", "sytem": "Be brief."}\n{"q": "Two"}\n', encoding="utf-8")
    (tmp_path / "s.yaml").write_text(
        f"name: served\ncheckpoints: {{now: {{path: '{server.url}', kind: base}}}}\nmetrics: [length]\n"
        "sampling: {n: 2, max_tokens: 4}\nprompts_from: {file: p.jsonl, columns: {text: q}}\n",
        encoding="utf-8",
    )

    def command(out: str, *more: str) -> str:
        asked = ["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / out), *more]
        return CliRunner().invoke(main, asked, catch_exceptions=False).stderr

    assert "not read: 'sytem'; read: id, q, tags" in command("one")
    asked = len(server.requests)
    command("two")
    assert len(server.requests) == asked
    assert "sample now: begins" in command("three", "--fresh")
    assert len(server.requests) == 2 * asked
