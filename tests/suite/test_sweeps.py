"""A suite's sweeps: each a path of settings, every setting once, and mistakes named with what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.errors import SuiteError
from evalkit.inference.arms import plan_arms
from evalkit.suite.schema import load_suite, overrides

Write = Callable[..., Path]


def sweeps(*written: str) -> tuple[str, str]:
    return "metrics:", "sweeps:\n" + "".join(f"  - {{{one}}}\n" for one in written) + "metrics:"


def test_every_setting_is_drawn_once_those_of_sampling_first(write_suite: Write) -> None:
    suite = load_suite(write_suite(sweeps("temperature: [0.6, 1.0, 1.4]", "min_p: [0, 0.1], temperature: 1.4")))
    drawn = [(one.temperature, one.min_p, one.top_p) for one in suite.settings("tuned")]
    assert drawn == [(1.0, 0.0, 1.0), (0.6, 0.0, 1.0), (1.4, 0.0, 1.0), (1.4, 0.1, 1.0)]


def test_what_a_sweep_leaves_out_is_as_in_sampling_also_a_checkpoint_s_own(write_suite: Write) -> None:
    own = ("kind: tuned", "kind: tuned, sampling: {top_p: 0.9, temperature: [0.8, 1.0]}")
    suite = load_suite(write_suite(own, sweeps("min_p: [0, 0.1]")))
    assert [(one.temperature, one.min_p, one.top_p) for one in suite.settings("tuned")] == [
        (0.8, 0.0, 0.9), (1.0, 0.0, 0.9), (0.8, 0.1, 0.9),
    ]  # fmt: skip
    assert [(one.temperature, one.min_p, one.top_p) for one in suite.settings("base")] == [
        (1.0, 0.0, 1.0),
        (1.0, 0.1, 1.0),
    ]


def test_arms_are_called_by_what_differs_and_compared_with_the_same_setting(write_suite: Write) -> None:
    suite = load_suite(
        write_suite(sweeps("temperature: [1.0, 1.4]", "min_p: [0, 0.1], temperature: 1.4", "top_p: [0.9, 1]"))
    )
    assert [(arm.name, arm.baseline) for arm in plan_arms(suite)] == [
        ("base@T=1", None),
        ("base@T=1.4", "base@T=1"),
        ("base@T=1.4,min_p=0.1", "base@T=1"),
        ("base@T=1,top_p=0.9", "base@T=1"),
        ("tuned@T=1", "base@T=1"),
        ("tuned@T=1.4", "base@T=1.4"),
        ("tuned@T=1.4,min_p=0.1", "base@T=1.4,min_p=0.1"),
        ("tuned@T=1,top_p=0.9", "base@T=1,top_p=0.9"),
    ]


def test_where_nothing_else_differs_the_cut_alone_is_the_name(write_suite: Write) -> None:
    suite = load_suite(write_suite(sweeps("min_p: [0, 0.1]")))
    assert [arm.name for arm in plan_arms(suite)] == [
        "base@min_p=0",
        "base@min_p=0.1",
        "tuned@min_p=0",
        "tuned@min_p=0.1",
    ]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("temperature: 0.7", "sweeps[0]: a sweep has one setting with a list of two values or more (none is)"),
        ("temperature: [0.7, 1], min_p: [0, 0.1]", "(temperature and min_p are lists)"),
        ("min_p: [0, 1.5]", "sweeps[0].min_p[1]: found 1.5; it must be less than or equal to 1"),
        ("top_p: [0, 1]", "sweeps[0].top_p[0]: found 0; it must be greater than 0"),
        ("temperature: [true, 1.5]", "suite.yaml:10: sweeps[0].temperature[0]: found true; it must be a number"),
        ("min_p: [0, 0.1], temperature: yes", "sweeps[0].temperature[0]: found true; it must be a number"),
        (
            "temperature: [1, 1.00000001]",
            "suite.yaml:10: sweeps[0].temperature: 1 and 1.00000001 would both be called 1; keep one of them",
        ),
        (
            "temperature: [1.00000001, 1.5]",
            "suite.yaml:10: sweeps: base would be drawn at temperature 1 and 1.00000001, which have one name; keep one",
        ),
        ("top_k: [1, 2]", "unknown key 'sweeps[0].top_k'"),
    ],
)
def test_a_mistake_in_a_sweep_is_named_with_its_place(write_suite: Write, written: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(write_suite(sweeps(written)))
    assert message in str(caught.value)
    assert "suite.yaml:" in str(caught.value)


def test_the_command_line_keeps_sweeps(write_suite: Write) -> None:
    asked = overrides({}, 2, (0.5,), None)
    suite = load_suite(write_suite(sweeps("min_p: [0, 0.1]")), asked)
    assert [(one.temperature, one.min_p, one.n) for one in suite.settings("base")] == [(0.5, 0.0, 2), (0.5, 0.1, 2)]


def test_the_suite_of_decoding_paths_has_a_reference_on_every_path(request: pytest.FixtureRequest) -> None:
    suite = load_suite(request.config.rootpath / "suites" / "decoding.yaml")
    names = [arm.name for arm in plan_arms(suite)]
    assert len(names) == len(set(names)) == 22
    assert names[0] == "base@T=1"
    assert suite.quality_measure is not None
