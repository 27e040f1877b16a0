"""The training page: one file, offline, with every curve that has numbers, and safe whatever names it is given."""

from __future__ import annotations

import html
import json
import math
import random
import re
from typing import Any

import pytest

from evalkit.training.output.charts import CHARTS, MARKED, SECTIONS, TABLE_ROWS, Chart, draw, number_text
from evalkit.training.output.page import headline, outcomes, over_optimised_from, training_page
from tests.browser import WIDTHS, Browser, checks
from tests.report.hostile import ATTACK, HOSTILE
from tests.report.test_page import Page

Row = dict[str, float | int | None]
BETAS = (1.0, 0.3, 0.1, 0.05, 0.02)


def ppo(beta: float, updates: int = 100, gold: bool = True) -> list[Row]:
    """The curves of a training whose gold reward turns down at a KL of about 12."""
    noise = random.Random(0)
    rows: list[Row] = []
    for update in range(updates):
        kl = 0.6 / beta * (1 - math.exp(-update / 25))
        row: Row = {
            "update": update,
            "reward": math.sqrt(kl) + noise.gauss(0, 0.02),
            "kl": kl,
            "entropy": 30 * math.exp(-kl / 20),
            "beta": beta,
            "clip_fraction": 0.1,
            "learning_rate": 1e-5 * (1 - update / updates),
            "explained_variance": None if update == 0 else 0.5,
        }
        if gold:
            row["gold"] = math.sqrt(kl) - 0.15 * kl + noise.gauss(0, 0.02)
        if update % 10 == 0:
            near = math.exp(-kl / 10)
            row |= {"probe_distinct_n": 0.8 * near, "probe_embedding_distance": 0.5 * near, "probe_across": 0.5}
        rows.append(row)
    return rows


LADDER = {f"beta-{beta:g}": ppo(beta, 80 if beta == 0.02 else 100) for beta in BETAS}
FACTS = {"command": ["evalkit", "train", "ppo"], "config": {"beta": list(BETAS)}, "versions": {"torch": "2.9"}}


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(training_page("A ladder", LADDER, FACTS))


def end(rows: list[Row], column: str) -> float:
    """The mean over the last ten rows."""
    return sum(row[column] or 0.0 for row in rows[-10:]) / 10


def titles(runs: dict[str, list[Row]]) -> list[str]:
    return [drawn.chart.title for drawn in draw(CHARTS, runs)]


def test_it_is_one_file_with_one_plotly(page: Page) -> None:
    assert sum("plotly.js v" in script for script in page.running) == 1
    assert len(page.running) == 2
    assert sum(map(len, page.running)) < 5_500_000


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    loading = {"src", "srcset", "action", "data", "poster", "background", "style"}
    assert not [found for found in page.attributes if found[1] in loading]
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(page.tags)
    links = [value for _, name, value in page.attributes if name in ("href", "xlink:href")]
    assert links
    assert all(link.startswith("#") for link in links)
    own = training_page("A ladder", LADDER, FACTS).replace(page.running[0], "")
    assert not re.search(r"https?:|@import|url\(|fetch\(|innerHTML", own)


def test_the_policy_lets_only_our_scripts_run(page: Page) -> None:
    from base64 import b64encode
    from hashlib import sha256

    policy = next(value for tag, _, value in page.attributes if tag == "meta" and "default-src" in value)
    hashes = [b64encode(sha256(script.encode()).digest()).decode() for script in page.running]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert policy.startswith("default-src 'none'")


def test_the_same_curves_give_the_same_page() -> None:
    assert training_page("A", LADDER, FACTS) == training_page("A", LADDER, FACTS)


def test_every_chart_has_its_figure_a_caption_and_a_table(page: Page) -> None:
    drawn = draw(CHARTS, LADDER)
    places = [int(value) for _, name, value in page.attributes if name == "data-figure"]
    assert sorted(places) == list(range(len(drawn))) == list(range(len(page.data)))
    assert page.tags.count("figcaption") == page.tags.count("figure") == len(drawn)
    assert page.tags.count("table") == len(drawn) + 1
    for chart in drawn:
        assert chart.chart.caption.endswith(".")
        assert chart.chart.caption in page.text


def test_every_training_has_a_line_of_its_own_colour_in_a_chart() -> None:
    reward = draw(CHARTS, LADDER)[0]
    assert [trace["name"] for trace in reward.figure["data"]] == list(LADDER)
    assert len({trace["line"]["color"] for trace in reward.figure["data"]}) == len(LADDER)


def test_no_two_of_many_trainings_look_the_same() -> None:
    many = {f"run-{place}": ppo(1.0, 3) for place in range(20)}
    traces = draw(CHARTS, many)[0].figure["data"]
    assert len({(trace["line"]["color"], trace["marker"]["symbol"]) for trace in traces}) == 20


def test_trainings_of_unequal_length_keep_their_own_steps() -> None:
    longest, shortest = draw(CHARTS, LADDER)[0].figure["data"][0], draw(CHARTS, LADDER)[0].figure["data"][-1]
    assert (longest["x"][-1], shortest["x"][-1]) == (99, 79)


def test_a_row_without_a_number_is_no_point_and_no_zero() -> None:
    [chart] = [drawn for drawn in draw(CHARTS, LADDER) if drawn.chart.title == "Explained variance"]
    assert chart.figure["data"][0]["x"][0] == 1
    [chart] = [drawn for drawn in draw(CHARTS, LADDER) if drawn.chart.title == "Distinct bigrams"]
    assert chart.figure["data"][0]["x"] == list(range(0, 100, 10))


def test_a_chart_without_numbers_is_left_out() -> None:
    found = titles({"beta-1": ppo(1.0, gold=False)})
    assert "Gold reward" not in found
    assert "Gold reward against √KL" not in found
    assert "Reward against √KL" in found
    assert "Loss" not in found


def test_a_column_that_one_training_lacks_is_drawn_for_the_others() -> None:
    runs = {"without": ppo(1.0, gold=False), "with": ppo(0.1)}
    [gold] = [drawn for drawn in draw(CHARTS, runs) if drawn.chart.title == "Gold reward"]
    assert [trace["name"] for trace in gold.figure["data"]] == ["with"]
    assert gold.figure["data"][0]["line"]["color"] == "var(--arm-1)"


def test_over_optimisation_is_drawn_against_the_root_of_kl() -> None:
    [chart] = [drawn for drawn in draw(CHARTS, LADDER) if drawn.chart.title == "Reward against √KL"]
    trace, rows = chart.figure["data"][2], LADDER["beta-0.1"]
    assert trace["x"] == pytest.approx([math.sqrt(row["kl"] or 0.0) for row in rows], rel=1e-5)
    assert trace["y"] == pytest.approx([row["reward"] for row in rows], rel=1e-5)


def test_distance_within_and_across_prompts_share_a_chart() -> None:
    [chart] = [drawn for drawn in draw(CHARTS, LADDER) if drawn.chart.title == "Embedding distance"]
    assert [trace["line"]["dash"] for trace in chart.figure["data"][:2]] == ["solid", "dot"]
    assert chart.key == "Solid: two completions of one prompt; dotted: of two different prompts"


def test_beta_is_drawn_only_where_it_moves() -> None:
    assert "Beta" not in titles(LADDER)
    moving = [row | {"beta": 0.1 + 0.01 * (row["update"] or 0)} for row in ppo(0.1)]
    assert "Beta" in titles({"adaptive": moving})


def test_reward_models_are_drawn_by_step() -> None:
    rows: list[Row] = [
        {"step": step, "loss": 0.7 - step / 300, "accuracy": 0.5 + step / 300, "learning_rate": 1e-5}
        | ({"held_out_loss": 0.6} if step == 59 else {})
        for step in range(60)
    ]
    runs = {"scholars": rows, "rude": rows}
    assert titles(runs) == ["Loss", "Accuracy", "Learning rate"]
    page = Page(training_page("Reward models", runs, {}))
    assert "scholars: loss fell from 0.700 to 0.518 nats, held-out loss stayed at 0.600 nats and accuracy" in page.text
    assert "Steps" in page.text
    assert "Provenance" not in page.text


def test_charts_can_be_replaced() -> None:
    mine = Chart("Mine", {"kl": "KL"}, "Look at it.", section="health")
    page = Page(training_page("A", LADDER, {}, [mine]))
    assert page.tags.count("figure") == 1
    assert SECTIONS["health"][0] in page.text
    assert SECTIONS["reward"][0] not in page.text


def test_the_table_shows_the_last_row_and_says_how_many_it_leaves_out() -> None:
    table = draw(CHARTS, LADDER)[0].table
    assert table.every == 4
    assert len(table.rows) <= TABLE_ROWS
    assert table.rows[-1][0] == "99"
    assert table.rows[-1][1] == number_text(LADDER["beta-1"][-1]["reward"])
    assert table.rows[-1][-1] == "–"
    assert len(table.heads) == len(table.rows[0]) == 1 + len(LADDER)


def test_a_long_training_is_thinned_and_keeps_its_end() -> None:
    runs = {"long": [{"update": update, "reward": float(update)} for update in range(123_457)]}
    page = training_page("Long", runs, {})
    assert len(page) < 5_500_000
    [trace] = draw(CHARTS, runs)[0].figure["data"]
    assert 900 < len(trace["x"]) <= 1000
    assert trace["x"][-1] == 123_456


def test_few_points_are_marked_and_of_many_only_the_last() -> None:
    short, long = (draw(CHARTS, {"run": ppo(1.0, n)})[0].figure["data"][0]["marker"]["size"] for n in (MARKED, 100))
    assert min(short) > 0
    assert [size > 0 for size in long] == [False] * 99 + [True]


def test_the_headline_tells_the_nearest_and_the_furthest_training_with_numbers() -> None:
    told = headline(LADDER)
    near, far = LADDER["beta-1"], LADDER["beta-0.02"]
    assert told.startswith(
        f"beta-1 stayed nearest to its reference: reward rose from 0.019 to {end(near, 'reward'):.3f}"
    )
    assert f"beta-0.02 went furthest: reward rose from 0.02 to {end(far, 'reward'):.2f}" in told
    assert f"at a KL of {end(far, 'kl'):.1f} nats a sequence" in told
    assert f"Entropy fell from 30.0 to {end(far, 'entropy'):.1f} nats a sequence, distinct bigrams fell from" in told
    assert "embedding distance across prompts stayed at 0.500." in told


def test_over_optimisation_is_said_where_gold_falls_while_the_reward_rises() -> None:
    assert over_optimised_from(LADDER["beta-1"]) is None
    assert over_optimised_from(ppo(0.02, gold=False)) is None
    turned = over_optimised_from(LADDER["beta-0.02"])
    assert turned is not None
    assert turned < 20
    assert f"over-optimised in beta-0.02 (from about update {turned} on)" in headline(LADDER)


def test_gold_that_falls_with_the_reward_is_no_over_optimisation() -> None:
    rows = [{"update": u, "reward": -float(u), "gold": -float(u)} for u in range(100)]
    assert over_optimised_from(rows) is None


def test_noise_is_not_taken_for_over_optimisation() -> None:
    said = 0
    for seed in range(200):
        noise = random.Random(seed)
        rows = [{"update": u, "reward": u / 100, "gold": noise.gauss(0, 1)} for u in range(100)]
        said += over_optimised_from(rows) is not None
    assert said <= 6


def test_the_table_of_trainings_has_first_and_last_numbers() -> None:
    table = outcomes(LADDER)
    assert [head.column for head in table.heads] == [
        "beta", "reward", "gold", "kl", "entropy", "probe_distinct_n", "probe_embedding_distance", "probe_across",
    ]  # fmt: skip
    updates, cells = table.rows["beta-0.1"]
    assert updates == 100
    assert cells[0] == "0.1"
    assert cells[1] == f"0.02 → {end(LADDER['beta-0.1'], 'reward'):.2f}"
    assert cells[3] == f"{end(LADDER['beta-0.1'], 'kl'):.2f}"
    assert cells[5].startswith("0.800 → ")


def test_nothing_logged_yet_is_said() -> None:
    for runs in ({}, {"beta-1": []}):
        page = Page(training_page("New", runs, FACTS))
        assert "Nothing has been logged yet." in page.text
        assert page.tags.count("figure") == 0


def test_a_first_row_alone_makes_a_page() -> None:
    page = Page(training_page("New", {"beta-1": ppo(1.0, 1), "beta-0.1": []}, FACTS))
    assert "reward stayed at 0.0188" in page.text


def test_numbers_have_the_digits_of_the_larger_beside_them() -> None:
    assert number_text(0.0233, 1.88) == "0.02"
    assert number_text(-0.004, 1.88) == "0.00"
    assert number_text(-1.5) == "−1.50"
    assert number_text(123456.0) == "123,456"
    assert number_text(1e-5) == "1e−05"
    assert number_text(0.0) == "0"
    assert number_text(math.nan) == number_text(None) == "–"


def hostile_page() -> str:
    evil = "".join(HOSTILE[1:10])
    runs = {evil: ppo(0.1), **{name: ppo(1.0, 5) for name in HOSTILE[:12]}}
    facts: dict[str, Any] = {evil: {evil: [evil, {evil: evil}]}, "command": list(HOSTILE), "none": None}
    return training_page(evil, runs, facts)


def test_hostile_names_stay_text() -> None:
    page = Page(hostile_page())
    assert len(page.running) == 2
    assert "img" not in page.tags
    assert not [found for found in page.attributes if found[1].startswith("on")]
    assert HOSTILE[0] in page.text
    names = {trace["name"] for trace in page.data[0]["data"]}
    assert names
    assert not [name for name in names if "<" in name]


def test_a_name_does_not_turn_the_headline_round() -> None:
    page = training_page("A", {HOSTILE[9]: ppo(0.1)}, {})
    assert "\u202e" in headline({HOSTILE[9]: ppo(0.1)})
    assert "\u202e" not in re.findall(r'<p class="verdict.*?</p>', page, re.DOTALL)[0]


def test_what_is_not_a_number_never_reaches_the_figures() -> None:
    rows: list[Row] = [{"update": u, "reward": math.inf if u % 2 else math.nan, "kl": 1.0} for u in range(6)]
    page = training_page("Broken", {"run": rows}, {})
    assert titles({"run": rows}) == ["KL to the reference"]
    assert "NaN" not in json.dumps(Page(page).data)


def test_in_a_browser_it_is_drawn_and_fits_at_every_width(browser: Browser) -> None:
    browser.open(training_page("A ladder", LADDER, FACTS), width=WIDTHS[-1])
    checks.holds_together(browser)
    checks.opens_everything(browser)
    for width in WIDTHS:
        browser.resize(width)
        checks.fits(browser)
        checks.is_drawn(browser)
    assert len(browser.all(".plot .main-svg:first-child")) == len(draw(CHARTS, LADDER))


def test_in_a_browser_no_hostile_name_runs_and_none_widens_the_page(browser: Browser) -> None:
    page = hostile_page()
    assert ATTACK in html.unescape(page)
    browser.open(page, width=WIDTHS[0], theme="dark")
    checks.is_drawn(browser)
    checks.fits(browser)
    assert browser.all("#pwned") == []


def test_in_a_browser_it_has_no_serious_violation_of_accessibility(browser: Browser) -> None:
    browser.open(training_page("A ladder", dict(list(LADDER.items())[:2]), FACTS))
    checks.opens_everything(browser)
    checks.is_accessible(browser)
    browser.resize(WIDTHS[0])
    browser.dress("dark")
    checks.is_accessible(browser)
