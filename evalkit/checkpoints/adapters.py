"""LoRA adapters: a folder with adapter_config.json and adapter_model.safetensors, which changes a base elsewhere.

Everything is seen from the configuration and the headers of the weights; nothing is loaded here. An adapter whose names
or shapes are not those of its base would be loaded in part or not at all, and score exactly as its base does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.checkpoints.checkpoint import Adapter, Checkpoint
from evalkit.checkpoints.folder import check, fingerprint, is_url, locate, read_json_object
from evalkit.checkpoints.folder import file_hash as hash_of
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import CheckpointError
from evalkit.plumbing.prose import listed

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MERGE = "merge it into its base (peft: merge_and_unload), and give the merged folder"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
IDENTITY_FILES = (CONFIG, WEIGHTS, "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt",
                  "chat_template*")  # fmt: skip
KEEPS_THE_BASE = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""Named ways to begin an adapter that leave the base's own weights alone; others (PiSSA, OLoRA, LoftQ) change them."""
VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values of `max_lora_rank` that every vLLM takes."""
NOT_IN_VLLM = ("modules_to_save", "lora_bias", "target_parameters", "trainable_token_indices", "rank_pattern",
               "alpha_pattern", "arrow_config", "kasa_config", "monteclora_config", "velora_config")  # fmt: skip
"""Settings that transformers serves through peft and vLLM refuses, or that a vLLM of some version passes over."""

Shape = tuple[int, ...]


def is_adapter(folder: Path) -> bool:
    """Whether a checkpoint's folder holds an adapter. Raises `CheckpointError` where it holds whole weights too."""
    if not (folder / CONFIG).is_file():
        return False
    whole = sorted(path.name for path in folder.glob("*.safetensors") if not path.name.startswith("adapter_"))
    if whole and (folder / "config.json").is_file():
        raise CheckpointError(
            f"{folder} holds whole weights ({whole[0]}) and an adapter ({CONFIG}); move one of them to another folder"
        )
    return True


def resolve_adapter(folder: Path, spec: CheckpointSpec) -> tuple[Path, Adapter]:
    """The folder of an adapter's base, and the adapter, once both are seen to fit. Raises `CheckpointError`."""
    config = read_adapter_config(folder)
    if refused := _unserved(config):
        raise CheckpointError(f"{folder / CONFIG}: {refused}; {MERGE}")
    named, base = _find_base(folder, config, spec)
    _check_shapes(folder, config, base)
    _check_vocabulary(folder, base)
    digest = hashlib.sha256()
    for path in sorted({path for pattern in IDENTITY_FILES for path in folder.glob(pattern) if path.is_file()}):
        digest.update(f"{path.name}\0{hash_of(path)}\0".encode())
    return base, Adapter(str(folder), digest.hexdigest(), named, fingerprint(base))


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json. Raises `CheckpointError` where it cannot be read or tells no rank."""
    path = folder / CONFIG
    config = read_json_object(path)
    if config.get("peft_type") != "LORA":
        raise CheckpointError(f"{path}: peft_type is {config.get('peft_type')!r}; evalkit serves LORA alone; {MERGE}")
    for where, rank in [("r", config.get("r")), *dict(config.get("rank_pattern") or {}).items()]:
        if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
            raise CheckpointError(f"{path}: the rank {where} is {rank!r}; it must be a number of at least 1")
    return config


def vllm_rank(checkpoints: Sequence[Checkpoint]) -> int:
    """The smallest `max_lora_rank` under which vLLM serves all adapters among these; 0 where there are none."""
    largest = max(
        (_largest_rank(checkpoint.adapter) for checkpoint in checkpoints if checkpoint.adapter is not None), default=0
    )
    return next((allowed for allowed in (0, *VLLM_RANKS) if allowed >= largest), largest)


def changed_modules(checkpoints: Sequence[Checkpoint]) -> list[str]:
    """Last names of the modules that any adapter among these changes: `q_proj`, `down_proj`."""
    adapters = [Path(checkpoint.adapter.location) for checkpoint in checkpoints if checkpoint.adapter is not None]
    return sorted({module.rpartition(".")[2] for folder in adapters for module, _, _ in _pairs(folder)})


def refused_by_vllm(adapter: Adapter) -> str | None:
    """What of an adapter vLLM does not serve; None where it serves it."""
    folder = Path(adapter.location)
    config = read_adapter_config(folder)
    unserved = [name for name in NOT_IN_VLLM if config.get(name)]
    unserved += [name for name in sorted(config) if name.startswith("use_") and name != "use_rslora" and config[name]]
    if unserved:
        return f"vLLM does not serve {listed(unserved)} of {folder / CONFIG}"
    if _largest_rank(adapter) > VLLM_RANKS[-1]:
        return f"vLLM serves adapters up to rank {VLLM_RANKS[-1]}, and {folder} has {_largest_rank(adapter)}"
    outside = sorted({module for module, _, _ in _pairs(folder) if not _in_a_layer(module)})
    return f"vLLM serves adapters of layers, and {folder} changes {listed(outside)}" if outside else None


def tokenizer_folder(checkpoint: Checkpoint) -> str:
    """Where the tokenizer and the chat template are: an adapter's own, where it has any, else the base's."""
    adapter = checkpoint.adapter
    return adapter.location if adapter is not None and _has_tokenizer(Path(adapter.location)) else checkpoint.location


def own_ends(checkpoint: Checkpoint) -> list[int]:
    """The end-of-sequence token of an adapter's own tokenizer, which ends a completion besides its base's."""
    folder = tokenizer_folder(checkpoint)
    if folder == checkpoint.location:
        return []
    from transformers import AutoTokenizer

    end = AutoTokenizer.from_pretrained(folder, trust_remote_code=checkpoint.trust_remote_code).eos_token_id
    return [] if end is None else [end]


def _unserved(config: Mapping[str, Any]) -> str | None:
    """What of it no engine serves beside its base."""
    begun = config.get("init_lora_weights")
    if config.get("task_type") not in (None, "CAUSAL_LM"):
        return f"task_type is {config['task_type']!r}; a checkpoint writes text (CAUSAL_LM)"
    if isinstance(begun, str) and begun.lower() not in KEEPS_THE_BASE:
        return f"init_lora_weights {begun!r} changes the base's own weights"
    if config.get("bias") not in (None, "none"):
        return f"bias {config['bias']!r} changes the base's own weights"
    for name in ("layer_replication", "alora_invocation_tokens"):
        if config.get(name):
            return f"{name} is not served"
    return None


def _find_base(folder: Path, config: Mapping[str, Any], spec: CheckpointSpec) -> tuple[str, Path]:
    """What the base is called, and its folder."""
    base_name = config.get("base_model_name_or_path")
    named = spec.base or base_name
    if not named or not isinstance(named, str):
        raise CheckpointError(f"{folder / CONFIG} names no base (base_model_name_or_path); name it with `base:`")
    if is_url(named):
        raise CheckpointError(f"its base {named} is a server; an adapter that a server has is asked for with `model:`")
    try:
        base = locate(named, None if spec.base else config.get("revision"))
        check(base, spec.trust_remote_code)
    except CheckpointError as error:
        by = "`base:`" if spec.base else f"{CONFIG}, base_model_name_or_path"
        remedy = "" if spec.base else "; name the base that it was trained on with `base:`"
        raise CheckpointError(f"the base of the adapter {folder} (by {by}): {error}{remedy}") from None
    return named, base


def _check_shapes(folder: Path, config: Mapping[str, Any], base: Path) -> None:
    """See that every pair of matrices has the stated rank and fits a weight of the base. Raises `CheckpointError`."""
    theirs = {_tail(name): shape for name, shape in _base_shapes(base)}
    count = 0
    for module, down, up in _pairs(folder):
        count += 1
        if not config.get("rank_pattern") and not config.get("target_parameters") and down[0] != config["r"]:
            raise CheckpointError(
                f"{folder}: {CONFIG} says r: {config['r']}, and {module} in {WEIGHTS} has rank {down[0]}; "
                "copy both again"
            )
        weight = theirs.get(_tail(f"{module}.weight"))
        if weight is None and _in_a_layer(module) and not config.get("target_parameters"):
            raise CheckpointError(f"the adapter {folder} changes {module}, which its base {base} does not have")
        if weight is not None and len(weight) == 2 and (up[0], down[1]) not in (weight, weight[::-1]):
            raise CheckpointError(
                f"the adapter {folder} changes {module} of shape {up[0]} x {down[1]}, and in its base {base} that is "
                f"{weight[0]} x {weight[1]}; name the base that it was trained on with `base:`"
            )
    if not count:
        raise CheckpointError(f"{folder / WEIGHTS} holds no LoRA weights; save the adapter again")


def _pairs(folder: Path) -> Iterator[tuple[str, Shape, Shape]]:
    """(module, shape of its lora_A [r, in], shape of its lora_B [out, r]) of all that an adapter changes."""
    path = folder / WEIGHTS
    if not path.is_file():
        other = [path.name for path in folder.glob("adapter_model.*")]
        hint = f" (only {', '.join(other)}: convert it, evalkit loads no pickles)" if other else ""
        raise CheckpointError(f"{folder} has no {WEIGHTS}{hint}")
    shapes = dict(_shapes(path))
    for name, down in shapes.items():
        module, sign, kind = name.partition(".lora_A")
        if not sign:
            module, sign, kind = name.partition(".lora_embedding_A")
        if sign:
            up = shapes.get(module + sign[:-1] + "B" + kind)
            if up is None or len(up) != len(down) or len(down) < 2 or up[1] != down[0]:
                raise CheckpointError(f"{path}: {name} has no counterpart of its rank; save the adapter again")
            yield module.removeprefix("base_model.model."), down, up


def _shapes(path: Path) -> list[tuple[str, Shape]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            return [(name, tuple(file.get_slice(name).get_shape())) for name in list(file.keys())]
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or cut short ({error}); copy it again") from None


def _base_shapes(base: Path) -> Iterator[tuple[str, Shape]]:
    for path in sorted(base.glob("*.safetensors")):
        yield from _shapes(path)


_LAYER = re.compile(r"(?:^|\.)(\w+\.\d+\..+)$")


def _tail(name: str) -> str:
    """A weight's name from its layer on: what stands before differs between a file and the loaded network."""
    match = _LAYER.search(name)
    return match[1] if match else name


def _in_a_layer(module: str) -> bool:
    return _LAYER.search(module) is not None


def _check_vocabulary(folder: Path, base: Path) -> None:
    """See that a tokenizer in the adapter's folder has the base's tokens. Raises `CheckpointError`."""
    if not _has_tokenizer(folder):
        return
    vocabulary, base_vocabulary = _vocabulary(folder), _vocabulary(base)
    if vocabulary == base_vocabulary:
        return
    added = sorted(set(vocabulary) - set(base_vocabulary))
    what = f"has tokens that its base has not ({', '.join(added[:3])}{', ...' * (len(added) > 3)})"
    raise CheckpointError(
        f"the tokenizer in the adapter's folder {folder} {what if added else 'numbers its tokens as its base does not'}"
        f"; its vocabulary must be that of {base}; {MERGE}"
    )


def _vocabulary(folder: Path) -> dict[str, int]:
    """Token -> id, those that were added too."""
    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            from tokenizers import Tokenizer

            return dict(Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True))
        except Exception as error:  # noqa: BLE001 - tokenizers raises Exception itself
            raise CheckpointError(f"{path} cannot be read: {error}") from None
    from transformers import AutoTokenizer

    try:
        return dict(AutoTokenizer.from_pretrained(folder).get_vocab())
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"no tokenizer could be loaded from {folder}: {str(error).splitlines()[0]}") from None


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TOKENIZERS)


def _largest_rank(adapter: Adapter) -> int:
    config = read_adapter_config(Path(adapter.location))
    return max(map(int, [config["r"], *dict(config.get("rank_pattern") or {}).values()]))
