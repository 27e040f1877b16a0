"""What a whole `evalkit run` costs over raw vLLM: one process that starts `LLM` and generates the very same requests.

    python -m bench.whole_run [CHECKPOINT] [--kind base|tuned] [--prompts N] [--samples N] [--max-tokens N] [--rounds N]

Both are whole processes, timed from start to end, in turn: evalkit renders, samples, stores, measures (all metrics of
the creative suite that need no reward model) and writes its report, with empty caches; vLLM gets the finished token ids
and throws its output away. Log-probs are asked of both, and both find what vLLM itself caches of a model's class.

Without a checkpoint, a small real model's work is done by random weights: SmolLM2-135M's shape with the lab's
vocabulary, whose completions all run to the end. `lab:base`, 0.9 M parameters, is the worst case there is: it samples
so fast that embedding the texts and importing transformers weigh more than a tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from evalkit.checkpoints.folder import locate
from evalkit.inference.plan import make_plan
from evalkit.suite.schema import load_suite

TARGET = 1.15
METRICS = ["distinct_n", "ead_n", "self_bleu", "ngram_entropy", "compression_ratio", "embedding_distance", "vendi",
           "sequence_entropy", "branching_factor", "length"]  # fmt: skip
RAW = """
import json, sys
from pathlib import Path

asked = json.loads(Path(sys.argv[1]).read_text())

if __name__ == "__main__":
    from vllm import LLM, SamplingParams

    llm = LLM(**asked["llm"])
    params = SamplingParams(**asked["params"])
    llm.generate([{"prompt_token_ids": ids} for ids in asked["prompts"]], params, use_tqdm=False)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", help="a folder, a hub id, or lab:NAME (default: random weights)")
    parser.add_argument("--kind", choices=("base", "tuned"), default="base")
    parser.add_argument("--prompts", type=int, default=30)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asked.checkpoint = asked.checkpoint or str(random_checkpoint(Path(folder)))
        compare(asked, str(Path(folder) / "vllm"))


def random_checkpoint(folder: Path) -> Path:
    """A checkpoint that costs what SmolLM2-135M costs (but for its larger vocabulary) and says nothing."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(locate("lab:base"))
    config = LlamaConfig(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
                         num_key_value_heads=3, max_position_embeddings=2048, tie_word_embeddings=True,
                         vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id,
                         eos_token_id=tokenizer.eos_token_id, dtype="bfloat16")  # fmt: skip
    out = folder / "random"
    LlamaForCausalLM(config).bfloat16().save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def compare(asked: argparse.Namespace, vllm_cache: str) -> None:
    pairs = []
    for number in range(asked.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            if not pairs:  # the first start fills vLLM's own cache, for both
                time_raw(folder, write_suite(folder, argparse.Namespace(**vars(asked) | {"prompts": 1})), vllm_cache)
            suite = write_suite(folder, asked)
            raw = time_raw(folder, suite, vllm_cache)
            ours = time_evalkit(folder, suite, vllm_cache)
            pairs.append(ours / raw)
            print(f"round {number + 1}: LLM.generate and its start {raw:.1f} s, evalkit run {ours:.1f} s")
    print(f"evalkit run / raw: {statistics.median(pairs):.2f} (median of {len(pairs)}); bound {TARGET}")


def write_suite(folder: Path, asked: argparse.Namespace) -> Path:
    creative = yaml.safe_load((Path(__file__).parent.parent / "suites" / "creative.yaml").read_text(encoding="utf-8"))
    suite = {
        "name": "bench",
        "checkpoints": {"model": {"path": asked.checkpoint, "kind": asked.kind}},
        "sampling": {"n": asked.samples, "max_tokens": asked.max_tokens},
        "metrics": METRICS,
        "prompts": creative["prompts"][: asked.prompts],
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


def time_raw(folder: Path, suite: Path, vllm_cache: str) -> float:
    plan = make_plan(load_suite(suite), "vllm")
    loaded = plan.checkpoints["model"]
    sampling = plan.suite.settings("model")[0]
    request = {
        "llm": {"model": loaded.checkpoint.location, "max_model_len": loaded.max_length + 1, "enforce_eager": True,
                "generation_config": "vllm"},
        "params": {"n": sampling.n, "temperature": 1.0, "max_tokens": sampling.max_tokens, "stop": list(sampling.stop),
                   "logprobs": 0},
        "prompts": [list(prompt.token_ids) for prompt in loaded.rendered],
    }  # fmt: skip
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    (folder / "raw.py").write_text(RAW, encoding="utf-8")
    # In one process: vLLM's default, an engine process beside the caller's, is slower still on few cores.
    environment = {"VLLM_CPU_KVCACHE_SPACE": "2", "TORCHDYNAMO_DISABLE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    command = [sys.executable, str(folder / "raw.py"), str(folder / "request.json")]
    return timed(command, environment | {"VLLM_CACHE_ROOT": vllm_cache})


def time_evalkit(folder: Path, suite: Path, vllm_cache: str) -> float:
    command = [
        sys.executable,
        "-m",
        "evalkit",
        "run",
        str(suite),
        "--engine",
        "vllm",
        "--out",
        str(folder / "run"),
        "--quiet",
    ]
    return timed(command, {"XDG_CACHE_HOME": str(folder / "cache"), "VLLM_CACHE_ROOT": vllm_cache})


def timed(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:4])} ... ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds


if __name__ == "__main__":
    main()
