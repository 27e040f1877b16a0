"""Run every peer that is there and evalkit on the same texts, and print the tables of docs/peers.md.

    python -m bench.side_by_side [--checkout PEER=FOLDER ...] [--real FILE] [--folder FOLDER] [--write]

`--checkout` names a peer's source: novelty-bench, where-diversity-collapses and emb-diversity from GitHub;
verbalized-sampling as `pip install --no-deps --target FOLDER verbalized-sampling` leaves it. These run in evalkit's own
environment, where their functions find the packages that they need; lm-eval and Inspect have an environment each, made
with uv in the cache folder. A peer without its source is left out, and said to be. `--real` is a file that
`evalkit export RUN --to jsonl` wrote. Seconds are of the processor, with one thread, the first call as it comes.
Texts and results are kept in `--folder`; what lies there is not made again. `--write` puts the tables into
docs/peers.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.peers import interpreter
from bench.side_by_side import nli, ours, tables, texts

SCRIPTS = Path(__file__).parent / "theirs"
PAGE = Path(__file__).parent.parent.parent / "docs" / "peers.md"
BEGIN, END = "<!-- python -m bench.side_by_side -->", "<!-- end -->"
PEERS = {
    "novelty-bench": "of_novelty_bench",
    "artificial-hivemind": "of_artificial_hivemind",
    "verbalized-sampling": "of_verbalized_sampling",
    "where-diversity-collapses": "of_where_diversity_collapses",
    "emb-diversity": "of_emb_diversity",
    "lm-eval": "of_lm_eval",
    "inspect": "of_inspect",
}
"""Peer -> its script, in the order of the tables."""
INSTALLED = {"lm-eval": ("lm-eval==0.4.13", "lm_eval"), "inspect": ("inspect-ai==0.3.285", "inspect_ai")}
"""Those that have an environment: what is installed, and what must import."""
SOURCELESS = {"artificial-hivemind", *INSTALLED}
QUIET = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def main() -> None:
    asked = _asked()
    checkouts = dict(pair.split("=", 1) for pair in asked.checkout)
    asked.folder.mkdir(parents=True, exist_ok=True)
    sets = _lay_down(asked.folder, asked.real)
    found = {}
    for peer in PEERS:
        if peer in SOURCELESS or peer in checkouts:
            found[peer] = _theirs(peer, asked.folder, checkouts.get(peer))
        else:
            print(f"{peer}: left out, for no --checkout {peer}=FOLDER says where it is")
    page = tables.written(found, ours.measured(asked.folder, sets))
    print(page)
    if asked.write:
        start, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(f"{start}{BEGIN}\n\n{page}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", action="append", default=[], metavar="PEER=FOLDER")
    parser.add_argument("--real", type=Path, metavar="FILE")
    parser.add_argument("--folder", type=Path, default=Path("reports") / "peers", metavar="FOLDER")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def _lay_down(folder: Path, real: Path | None) -> list[str]:
    sets: dict[str, Callable[[], texts.Arms]] = {"drawn": texts.drawn, "answers": texts.answers}
    if real:
        sets["real"] = lambda: texts.exported(real)
    for name, make in sets.items():
        if not (folder / f"{name}.json").exists():
            texts.lay_down(folder, name, make(), embed=name != "answers")
    nli.lay_down(folder)
    return list(sets)


def _theirs(peer: str, folder: Path, checkout: str | None) -> ours.Measured:
    out = folder / f"of-{peer}.json"
    if not out.exists():
        print(f"{peer} ...", flush=True)
        _run(peer, folder, out, checkout)
    found: ours.Measured = json.loads(out.read_text(encoding="utf-8"))
    return found


def _run(peer: str, folder: Path, out: Path, checkout: str | None) -> None:
    python = interpreter(*INSTALLED[peer], ["numpy"]) if peer in INSTALLED else Path(sys.executable)
    command = [str(python), str(SCRIPTS / f"{PEERS[peer]}.py"), str(folder), str(out)]
    source = [str(Path(checkout).resolve())] if checkout else []
    done = subprocess.run([*command, *source], capture_output=True, text=True, check=False, env=os.environ | QUIET)
    if done.returncode != 0:
        sys.exit(f"{peer} ended with {done.returncode}:\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    os.environ |= QUIET
    main()
