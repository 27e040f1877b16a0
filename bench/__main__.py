"""Every bench, one after the other: `python -m bench` (`make bench`)."""

import runpy

for name in (
    "bench.metrics",
    "bench.decoding",
    "bench.where_changed",
    "bench.prompt_information",
    "bench.classes",
    "bench.volume",
    "bench.growth",
    "bench.millions",
    "bench.one_group",
    "bench.completion_map",
    "bench.words",
    "bench.engine",
    "bench.whole_run",
    "bench.scheduling",
    "bench.soak",
    "bench.ppo",
):
    print(f"\n== {name}")
    runpy.run_module(name, run_name="__main__")
