"""A made-up run that looks like a real one: a various base, a collapsed tuned checkpoint, and a temperature sweep."""

from __future__ import annotations

import numpy as np

from evalkit.metrics.declaration import Traits
from evalkit.metrics.registry import definitions
from evalkit.metrics.summary import Alarm, Difference, Estimate, Summary
from evalkit.records import CONFIDENCE, Arm, Better, Completion, Group, Prompt, Sampling
from evalkit.report.content.content import MetricText, ReportContent

PROMPTS, SAMPLES = 60, 32
MEASURES: dict[str, tuple[Better, str, float, float, float, str]] = {
    # measure: direction, unit, the base's mean, tuned minus base, spread over prompts, meaning
    "reward": ("higher", "reward", 0.21, 1.32, 0.45, "Mean score of a reward model on every completion."),
    "accuracy": ("higher", "share", 0.52, 0.015, 0.12, "Share of completions that give the right answer."),
    "distinct_n|n:2": (
        "higher",
        "ratio",
        0.71,
        -0.18,
        0.06,
        "Unique bigrams over all bigrams of a prompt's completions.",
    ),
    "ead_n": ("higher", "ratio", 0.66, -0.2, 0.07, "Distinct n-grams, adjusted for how many could be expected."),
    "self_bleu": ("lower", "BLEU", 0.18, 0.21, 0.05, "BLEU-4 of every completion against all others of its prompt."),
    "vendi": ("higher", "effective texts", 11.4, -5.8, 2.1, "Effective number of different completions."),
    "ngram_entropy": ("higher", "nats", 5.6, -0.9, 0.35, "Entropy of the pooled n-gram counts."),
    "compression_ratio": ("lower", "ratio", 2.1, 1.3, 0.3, "Bytes over gzip bytes of the joined texts."),
    "embedding_distance": ("higher", "1 - cosine", 0.44, -0.16, 0.08, "Mean pairwise distance of sentence embeddings."),
    "sequence_entropy": ("higher", "nats", 48.2, -21.0, 9.0, "Mean surprise of a completion under its own model."),
    "branching_factor": ("higher", "tokens", 6.25, -4.6, 1.4, "Effective number of next tokens."),
    "length": ("neither", "tokens", 24.3, 9.1, 4.0, "Tokens a completion."),
}
OPENINGS = (
    "The lamp in the window", "A ferry without passengers", "My grandmother's radio", "Snow on the orchard wall",
    "The last tram to the harbour", "An unsent letter", "The cartographer's daughter", "Rain over the brickworks",
)  # fmt: skip
TURNS = ("forgot", "kept", "returned", "folded", "sang about", "argued with", "painted over", "waited for")
THINGS = ("the sea", "a borrowed name", "winter", "its own echo", "the price of bread", "an old song", "every door")


def sampling(temperature: float = 1.0) -> Sampling:
    return Sampling(n=SAMPLES, temperature=temperature, top_p=1.0, min_p=0.0, max_tokens=64, stop=("\n\n",), seed=7)


def arm(name: str, checkpoint: str = "tuned", temperature: float = 1.0, baseline: str | None = "base") -> Arm:
    kind = "base" if checkpoint == "base" else "tuned"
    return Arm(name, checkpoint, kind, sampling(temperature), None if name == baseline else baseline)


def estimate(measure: str, arm: str, values: list[float | None], better: Better) -> Estimate:
    known = np.array([value for value in values if value is not None])
    value, half = float(known.mean()), float(1.96 * known.std(ddof=1) / np.sqrt(len(known)))
    signature = f"{measure}|tok:13a|k:{SAMPLES}|v:1.0"
    return Estimate(
        measure,
        signature,
        arm,
        value,
        value - half,
        value + half,
        CONFIDENCE,
        len(known),
        SAMPLES,
        better,
        tuple(values),
        traits_of(measure),
    )


def traits_of(measure: str) -> Traits:
    """Those of the metric of this name; of a made-up one what its author would declare."""
    name = measure.rpartition("/")[2].split("|")[0]
    return definitions()[name].traits if name in definitions() else Traits("diversity", name)


def difference(compared: Estimate, baseline: Estimate, tests: int) -> Difference:
    pairs = zip(compared.values, baseline.values, strict=True)
    paired = np.array([a - b for a, b in pairs if a is not None and b is not None])
    value, error = float(paired.mean()), float(paired.std(ddof=1) / np.sqrt(len(paired)))
    p = float(np.exp(-0.717 * abs(value / error) - 0.416 * (value / error) ** 2))
    bounds = value - 1.96 * error, value + 1.96 * error
    return Difference(
        compared.metric, compared.signature, compared.arm, baseline.arm, value, *bounds, p, min(1.0, p * tests)
    )


def synthetic(arms: list[tuple[str, str, float]], prompts: int = PROMPTS, samples: int = SAMPLES) -> ReportContent:
    rng = np.random.default_rng(5)
    asked = [
        Prompt(
            f"line-{i:02d}",
            f"Write one line of a poem that begins with “{OPENINGS[i % 8]}” ({i}).",
            ("poem", "short")[: 1 + i % 2],
        )
        for i in range(prompts)
    ]
    groups = {
        name: [_group(prompt, _variety(checkpoint, t), rng, samples) for prompt in asked]
        for name, checkpoint, t in arms
    }
    return ReportContent(
        title="Creative writing: what tuning gained and cost",
        summary=_summary(arms, asked, rng),
        groups=groups,
        rendered={name: {p.id: _rendered(checkpoint, p) for p in asked} for name, checkpoint, _ in arms},
        scores={"reward": {name: [list(map(float, rng.normal(1, 0.5, samples))) for _ in asked] for name in groups}},
        provenance={
            "command": "evalkit run suites/creative.yaml",
            "state": "complete",
            "versions": {"evalkit": "0.1.0", "vllm": "0.11.0", "torch": "2.8.0"},
            "machine": {"cpu": "2 cores", "gpu": None, "memory_gib": 15.6},
            "checkpoints": [
                {"name": "base", "source": "lab:base", "fingerprint": "9f2c" * 16},
                {"name": "tuned", "source": "lab:tuned", "fingerprint": "41d7" * 16},
            ],
            "seeds": [7, 8, 9],
        },
        metrics={
            m: MetricText(unit, better, meaning, "Zhu et al. 2018")
            for m, (better, unit, *_, meaning) in MEASURES.items()
        },
    )


def _variety(checkpoint: str, temperature: float) -> float:
    return temperature * (1.0 if checkpoint == "base" else 0.25)


def _group(prompt: Prompt, variety: float, rng: np.random.Generator, samples: int) -> Group:
    law = np.arange(1, len(TURNS) * len(THINGS) + 1, dtype=float) ** (-0.5 / variety)
    picks = rng.choice(len(law), size=samples, p=law / law.sum())
    texts = [f"{prompt.text.split('“')[1].split('”')[0]} {TURNS[pick % 8]} {THINGS[pick // 8]}." for pick in picks]
    return Group(
        prompt,
        tuple(
            Completion(prompt.id, slot, f" {text}", (), (), "length" if slot == 3 else "stop")
            for slot, text in enumerate(texts)
        ),
    )


def _rendered(checkpoint: str, prompt: Prompt) -> str:
    return f"Q: {prompt.text}\nA:" if checkpoint == "base" else f"<|user|>\n{prompt.text}\n<|assistant|>\n"


def _summary(arms: list[tuple[str, str, float]], asked: list[Prompt], rng: np.random.Generator) -> Summary:
    estimates: list[Estimate] = []
    for measure, (better, _, mean, shift, spread, _) in MEASURES.items():
        base = rng.normal(mean, spread, len(asked))
        for name, checkpoint, temperature in arms:
            hot = shift * (1 + 0.5 * (1 - temperature)) if checkpoint == "tuned" else 0.0
            values = base + hot + rng.normal(0, spread / 2, len(asked)) * (checkpoint == "tuned")
            estimates.append(estimate(measure, name, [float(v) for v in values], better))
    baseline = {e.metric: e for e in estimates if e.arm == "base"}
    compared = [e for e in estimates if e.arm != "base" and "base" in {name for name, *_ in arms}]
    return Summary(
        suite="creative",
        prompts=tuple(prompt.id for prompt in asked),
        arms=tuple(arm(name, checkpoint, t) for name, checkpoint, t in arms),
        estimates=tuple(estimates),
        differences=tuple(difference(e, baseline[e.metric], len(compared)) for e in compared),
        alarms=(Alarm(arms[-1][0], "duplicates", "41 % of completions are identical; chance would give 2 %."),),
    )
