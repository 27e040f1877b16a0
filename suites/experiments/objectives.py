"""Tune the built-in base by every objective, three times each, and compare what each costs.

Prints the tables of docs/objectives.md and draws its figure. What was done before is not done again.

    python suites/experiments/objectives.py [--seeds N]
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import yaml
from plotly.subplots import make_subplots
from scipy import stats
from scipy.interpolate import PchipInterpolator

import evalkit
from evalkit.lab.world import load
from evalkit.records import Prompt
from evalkit.runs.summary import read_summary
from evalkit.training.raters.utility import open_utility

HERE = Path("suites/experiments")
CONFIGS = HERE / "objectives"
MADE = Path("trained/objectives")
REPORT = Path("reports/objectives")
BETAS = (1, 0.3, 0.1)
OBJECTIVES = ("ppo", "rloo", "grpo", "dpo", "entropy", "jensen-shannon", "distinct")
METHODS = {"rloo": "rloo", "grpo": "grpo", "distinct": "rloo", "dpo": "dpo"}
"""By which command an objective is trained; the others by PPO."""
REWARD, VARIETY = "reward", "different answers"
MEASURED = {
    REWARD: "reward|model:lab:reward",
    "KL": "kl_reverse",
    "entropy": "sequence_entropy",
    "distinct-n": "distinct_n",
    VARIETY: "vendi",
    "among good ones": "useful/vendi",
    "right": "accuracy",
    "right in 64": "pass_at_k|k:64",
}
"""Column -> the measure in it. Beside them the script knows what only the lab can: gold, and voices."""
COLUMNS = (*MEASURED, "gold", "voices")
COMPARED = (
    (VARIETY, REWARD),
    ("among good ones", REWARD),
    ("right in 64", REWARD),
    ("voices", REWARD),
    (VARIETY, "gold"),
)
"""What is compared with PPO's, and where which quality is the same."""
COLOURS = ("#0072b2", "#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000")
"""Of Okabe and Ito (2008), which people of every colour vision tell apart."""


@dataclass(frozen=True)
class Told:
    """A mean over trainings of other seeds, and half its 95 % interval; NaN where one training is all there is."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + ("" if math.isnan(self.half) else f" ± {self.half:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each objective")
    seeds = range(parser.parse_args().seeds)
    os.chdir(Path(__file__).parents[2])
    train_all(seeds)
    arms = {
        name_of(objective, beta, seed): MADE / f"{objective}-{seed}" / f"beta-{beta:g}"
        for objective in OBJECTIVES
        for beta in BETAS
        for seed in seeds
    }
    models = [word for name, folder in arms.items() for word in ("--model", f"{name}={folder}")]
    run("run", HERE / "objectives.yaml", "--engine", "transformers", "--out", REPORT, *models)
    found = points(seeds)
    found.to_csv(REPORT / "points.csv", index=False)
    print("\n".join([*table(found), "", *against_ppo(found)]))
    frontier(found).write_html(REPORT / "frontier.html", include_plotlyjs=True)


def name_of(objective: str, beta: float, seed: int) -> str:
    """With a letter for the seed, as arms whose names differ only in a number are a ladder: that of beta."""
    return f"{objective}-{ascii_lowercase[seed]}-{beta:g}"


def train_all(seeds: Sequence[int]) -> None:
    """Every objective with every seed: as many side by side as there are cores, a thread each, as models are small."""
    if not (MADE / "preferences.jsonl").exists():
        run("prefs", "sample", CONFIGS / "pairs.yaml", "--out", MADE / "pairs.jsonl")
        run("prefs", "simulate", CONFIGS / "votes.yaml", "--out", MADE / "preferences.jsonl")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(train, *zip(*((objective, seed) for seed in seeds for objective in OBJECTIVES), strict=True)))


def train(objective: str, seed: int) -> None:
    method, out = METHODS.get(objective, "ppo"), MADE / f"{objective}-{seed}"
    run("train", method, seeded(objective, seed), "--out", out, "--quiet", threads=1)


def seeded(objective: str, seed: int) -> Path:
    """The objective's config with another seed."""
    config = yaml.safe_load((CONFIGS / f"{objective}.yaml").read_text(encoding="utf-8")) | {"seed": seed}
    if objective == "dpo":
        config["preferences"] = [str((MADE / "preferences.jsonl").resolve())]
    else:
        config["prompts_from"] = {"file": str((CONFIGS / "prompts.jsonl").resolve())}
    path = MADE / "configs" / f"{objective}-{seed}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def run(*arguments: object, threads: int | None = None) -> None:
    """Run a command of evalkit; where it fails this script ends."""
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    subprocess.run([sys.executable, "-m", "evalkit", *map(str, arguments)], check=True, env=environment)  # noqa: S603


def points(seeds: Sequence[int]) -> pd.DataFrame:
    """A row a checkpoint: objective, beta (infinite for the base, which every objective starts at), seed, `COLUMNS`."""
    estimates = {(one.metric, one.arm): one.value for one in read_summary(REPORT / "summary.json").estimates}
    completions = evalkit.load(REPORT).completions
    only_in_the_lab = {str(arm): (gold(rows), voices(rows)) for arm, rows in completions.groupby("arm", observed=True)}

    def row(arm: str, objective: str, beta: float, seed: int) -> dict[str, object]:
        measured = {column: estimates.get((metric, arm), math.nan) for column, metric in MEASURED.items()}
        known = dict(zip(("gold", "voices"), only_in_the_lab[arm], strict=True))
        return {"objective": objective, "beta": beta, "seed": seed, **measured, **known}

    starts = [row("base", objective, math.inf, seed) for objective in OBJECTIVES for seed in seeds]
    tuned = [
        row(name_of(objective, beta, seed), objective, beta, seed)
        for objective in OBJECTIVES
        for beta in BETAS
        for seed in seeds
    ]
    return pd.DataFrame(starts + tuned)


def gold(rows: pd.DataFrame) -> float:
    """What the scholars themselves say of an arm's completions: the utility that the reward model was fitted to."""
    utility = open_utility({"lab:scholars": 1.0})
    return over_prompts(
        rows, lambda text, answers: float(np.mean([utility(Prompt("", text), answer) for answer in answers]))
    )


def voices(rows: pd.DataFrame) -> float:
    """Effective number of voices that answer a prompt: exp of their entropy, as the grammar hears them."""
    world = load()

    def heard(text: str, answers: Sequence[str]) -> float:
        counts = Counter(world.voice_of(text, answer) for answer in answers)
        counts.pop(None, None)
        return float(np.exp(stats.entropy(list(counts.values())))) if counts else math.nan

    return over_prompts(rows, heard)


def over_prompts(rows: pd.DataFrame, measure: Callable[[str, Sequence[str]], float]) -> float:
    """Mean over prompts of a measure of (prompt, completions)."""
    return float(
        np.nanmean(
            [
                measure(str(group["prompt"].iloc[0]), [text.strip() for text in group["completion"]])
                for _, group in rows.groupby("prompt_id", observed=True)
            ]
        )
    )


def table(found: pd.DataFrame) -> Iterator[str]:
    """A row an objective and beta, each figure over trainings."""
    yield f"| | {' | '.join(COLUMNS)} |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    base = found[np.isinf(found["beta"])].iloc[0]
    yield f"| base | {' | '.join(f'{base[column]:.2f}' for column in COLUMNS)} |"
    for objective in OBJECTIVES:
        for beta in BETAS:
            rows = found[(found["objective"] == objective) & (found["beta"] == beta)]
            yield f"| {objective}-{beta:g} | {' | '.join(str(told(list(rows[column]))) for column in COLUMNS)} |"


def told(values: Sequence[float]) -> Told:
    """Student's interval of few trainings, wide as it must be."""
    known = np.asarray(values, dtype=np.float64)
    if len(known) < 2:
        return Told(float(known.mean()), math.nan)
    half = stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known))
    return Told(float(known.mean()), float(half))


def against_ppo(found: pd.DataFrame) -> Iterator[str]:
    """What an objective has less what PPO with the same seed has where its quality is the same, over trainings."""
    yield f"| less PPO's at the same {REWARD} or gold | {' | '.join(f'{kept}, {q}' for kept, q in COMPARED)} |"
    yield "|---" * (len(COMPARED) + 1) + "|"
    for objective in OBJECTIVES[1:]:
        for beta in BETAS:
            own = found[(found["objective"] == objective) & (found["beta"] == beta)]
            cells = (_gaps(own, found, kept, quality) for kept, quality in COMPARED)
            yield f"| {objective}-{beta:g} | {' | '.join(cells)} |"


def _gaps(own: pd.DataFrame, found: pd.DataFrame, kept: str, quality: str) -> str:
    gaps = [one[kept] - path_of_ppo(found, int(one["seed"]), kept, quality)(one[quality]) for _, one in own.iterrows()]
    return "PPO was never there" if np.isnan(gaps).any() else str(told(gaps))


def path_of_ppo(found: pd.DataFrame, seed: int, kept: str, quality: str) -> PchipInterpolator:
    """A measure along quality, from the base through PPO's betas: cubics that rise and fall only where points do.

    NaN outside. Fritsch and Butland (1984).
    """
    path = found[(found["objective"] == "ppo") & (found["seed"] == seed)].sort_values(quality)
    return PchipInterpolator(path[quality], path[kept], extrapolate=False)


def frontier(found: pd.DataFrame) -> go.Figure:
    """Reward, and gold, against different answers: paths from the base, thin of a training and thick of their mean."""
    figure = make_subplots(1, 2, horizontal_spacing=0.1)
    for column, quality in enumerate((REWARD, "gold"), start=1):
        for objective, colour in zip(OBJECTIVES, COLOURS, strict=True):
            rows = found[found["objective"] == objective].sort_values("beta", ascending=False)
            paths = [(path, 1) for _, path in rows.groupby("seed")]
            paths.append((rows.groupby("beta", sort=False)[[VARIETY, quality]].mean(), 3))
            for path, width in paths:
                figure.add_scatter(
                    x=path[VARIETY], y=path[quality], row=1, col=column, name=objective,
                    mode="lines+markers" if width > 1 else "lines", opacity=1 if width > 1 else 0.4,
                    line={"color": colour, "width": width}, showlegend=width > 1 and column == 1,
                )  # fmt: skip
    figure.update_layout(template="plotly_white", width=1100, height=440, font={"size": 14}, margin={"t": 30})
    figure.update_xaxes(title="different answers among 64 (vendi)")
    figure.update_yaxes(title="reward: what was trained for", col=1)
    figure.update_yaxes(title="gold: what raters want", col=2)
    return figure


if __name__ == "__main__":
    main()
