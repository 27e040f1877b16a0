"""Size of a large run's report, and how soon a browser has it open.

    python -m bench.report_page [--prompts N] [--samples N] [--arms N] [--words N] [--out FILE]

The run is made up and hard to pack: no two completions are alike, their words are drawn from a vocabulary of several
thousand by Zipf's law, so that nothing but the words themselves repeats. Milliseconds count from the start of the
navigation, in a new Chromium: till one prompt's completions are shown, and from there till the next one's are, till a
typed word has narrowed the list, and till all completions are searched.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from evalkit.analysis.figure_data import FigureData, Meanings
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.records import CONFIDENCE, Arm, Completion, Group, Prompt, Sampling
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report

MOST_BYTES, MOST_MS = 40_000_000, 3000
ROUNDS = 3
VOCABULARY = 6000
MEASURES = 40
"""As many as a suite with all variants of a dozen metrics."""
MEANINGS = 20
"""Classes of meaning a prompt and arm."""
WATCH = """
const shown = new MutationObserver(() => {
  if (!document.querySelector("#prompt .arm")) return;
  shown.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.firstShown = performance.now(); }));
});
shown.observe(document, { childList: true, subtree: true });
"""
STEPS = {
    "next prompt": (
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}))",
        "document.querySelector('#prompt h3').textContent.endsWith(' 1.')",
    ),
    "list narrowed": (
        "document.getElementById('search').value = 'prompt-01';"
        "document.getElementById('search').dispatchEvent(new Event('input'))",
        "document.querySelectorAll('#prompts li').length === 10",
    ),
    "completions searched": (
        "document.getElementById('search').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))",
        "document.getElementById('found').textContent.includes('completion')",
    ),
}
"""What is done, and when it is done."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--arms", type=int, default=6)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--out", type=Path, help="keep the page here")
    asked = parser.parse_args()

    content = make_content(asked.prompts, asked.samples, asked.arms, asked.words)
    print(f"{asked.prompts} prompts x {asked.samples} completions x {asked.arms} arms, {asked.words} words each")
    began = time.perf_counter()
    page = build_report(content)
    print(f"  built in {time.perf_counter() - began:.1f} s")
    tell_size(page)
    with tempfile.TemporaryDirectory() as folder:
        path = asked.out or Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        tell_speed(path)


def tell_size(page: str) -> None:
    scripts = {
        "completions": re.findall(r'<script type="application/octet-stream" class="block">([^<]*)', page),
        "numbers and charts": re.findall(r'<script type="application/json" id="data">([^<]*)', page),
        "scripts, Plotly's among them": re.findall(r"<script>(.*?)</script>", page, re.DOTALL),
    }
    print(f"  {len(page.encode()):,} bytes (bound {MOST_BYTES:,})")
    for what, texts in scripts.items():
        print(f"    {what:<30} {sum(len(text.encode()) for text in texts):>12,}")
    print(f"    prompts left out               {scripts['completions'].count(''):>12,}")


def tell_speed(path: Path) -> None:
    opened = [open_page(path) for _ in range(ROUNDS)]
    best = {what: min(found[what] for found in opened) for what in opened[0]}
    print(f"  open after {best.pop('open'):,.0f} ms (bound {MOST_MS:,}; the best of {ROUNDS} is given)")
    for what, milliseconds in best.items():
        print(f"    {what:<30} {milliseconds:>12,.0f} ms")


def open_page(path: Path) -> dict[str, float]:
    """What a reader waits for -> milliseconds."""
    with chromium() as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        driver.get(path.absolute().as_uri())
        found = {"open": WebDriverWait(driver, 120).until(lambda page: page.execute_script("return window.firstShown"))}
        return found | {what: timed(driver, act, done) for what, (act, done) in STEPS.items()}


def chromium() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def timed(driver: webdriver.Chrome, act: str, done: str) -> float:
    """Milliseconds from an act till its effect is there; NaN where it is not after a minute."""
    # Through the debugger: the page's policy forbids `eval`.
    source = f"""new Promise((finish) => {{
      const began = performance.now();
      {act};
      const look = () => {{
        const since = performance.now() - began;
        if ({done}) finish(since);
        else if (since > 60_000) finish("NaN");
        else requestAnimationFrame(look);
      }};
      look();
    }})"""
    asked = {"expression": source, "awaitPromise": True, "returnByValue": True}
    return float(driver.execute_cdp_cmd("Runtime.evaluate", asked)["result"]["value"])


def make_content(prompts: int, samples: int, arms: int, words: int) -> ReportContent:
    rng = np.random.default_rng(0)
    vocabulary, law = make_vocabulary(rng)
    asked = [
        Prompt(f"prompt-{i:03d}", f"Write a short text on subject number {i}.", ("odd",) * (i % 2))
        for i in range(prompts)
    ]
    sampling = Sampling(samples, 1.0, 1.0, 0.0, 2 * words, (), 0)
    names = ["base", *(f"tuned-{i}" for i in range(1, arms))]
    groups = {
        name: [make_group(prompt, rng.choice(vocabulary, (samples, words), p=law)) for prompt in asked]
        for name in names
    }
    meanings = {
        name: {prompt.id: tuple(map(int, rng.integers(0, MEANINGS, samples))) for prompt in asked} for name in names
    }
    estimates = {
        (m, name): make_estimate(m, name, rng.normal(m, 1, prompts), samples) for m in range(MEASURES) for name in names
    }
    return ReportContent(
        title="A large run",
        summary=Summary(
            "large",
            tuple(prompt.id for prompt in asked),
            tuple(Arm(name, name, "tuned", sampling, None if name == "base" else "base") for name in names),
            tuple(estimates.values()),
            tuple(
                make_difference(found, estimates[m, "base"]) for (m, name), found in estimates.items() if name != "base"
            ),
        ),
        groups=groups,
        rendered={name: {prompt.id: f"Prompt: {prompt.text}\nAnswer:" for prompt in asked} for name in names},
        scores={"reward": {name: rng.normal(size=(prompts, samples)).tolist() for name in names}},
        figure_data=FigureData(meanings=Meanings("distinct_k", 0.65, meanings)),
    )


def make_vocabulary(rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Words of one to four syllables, short ones more frequent, with their law."""
    syllables = list(
        map("".join, product([*"bcdfghlmnprstvw", "st", "tr", "ch", "sh", "br"], [*"aeiou", "ea", "ou", "ai"]))
    )
    words = {"".join(rng.choice(syllables, rng.integers(1, 5))) for _ in range(2 * VOCABULARY)}
    chosen = sorted(words, key=lambda word: (len(word), word))[:VOCABULARY]
    law = 1 / (np.arange(VOCABULARY) + 3.7)  # Zipf's law as Mandelbrot corrected it
    return chosen, law / law.sum()


def make_group(prompt: Prompt, texts: np.ndarray) -> Group:
    completions = (Completion(prompt.id, slot, " ".join(words), (), (), "stop") for slot, words in enumerate(texts))
    return Group(prompt, tuple(completions))


def make_estimate(number: int, arm: str, values: np.ndarray, samples: int) -> Estimate:
    name = "reward" if number == 0 else f"measure_{number}"
    mean, half = float(values.mean()), float(1.96 * values.std() / np.sqrt(len(values)))
    signature = f"{name}|k:{samples}|v:1.0"
    return Estimate(
        name,
        signature,
        arm,
        mean,
        mean - half,
        mean + half,
        CONFIDENCE,
        len(values),
        samples,
        "higher",
        tuple(values.tolist()),
    )


def make_difference(found: Estimate, baseline: Estimate) -> Difference:
    assert found.value is not None
    assert baseline.value is not None
    value = found.value - baseline.value
    return Difference(found.metric, found.signature, found.arm, "base", value, value - 0.1, value + 0.1, 0.5, 1.0)


if __name__ == "__main__":
    main()
