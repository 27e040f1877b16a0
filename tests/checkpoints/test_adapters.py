"""An adapter is checked against its base by headers alone; what cannot be served is one line."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from evalkit.checkpoints import CheckpointSpec, locate, resolve
from evalkit.checkpoints.adapters import refused_by_vllm, tokenizer_folder, vllm_rank
from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import CheckpointError, InputError
from evalkit.inference.engines.base import choose_engine, fallback_note
from evalkit.training.models import load_policy
from tests.adapters import write_adapter


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("made") / "adapter", seed=1)


@pytest.fixture
def adapter(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "adapter"))


def told(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def found(folder: Path, **spec: Any) -> Checkpoint:
    return resolve("a", CheckpointSpec(path=str(folder), kind="base", **spec))


def test_an_adapter_is_its_base_with_its_own_weights_on_it(adapter: Path) -> None:
    base = resolve("base", CheckpointSpec(path="lab:base", kind="base"))
    one = found(adapter)
    assert one.location == base.location
    assert one.adapter is not None
    assert (one.adapter.location, one.adapter.base) == (str(adapter), str(locate("lab:base")))
    assert one.adapter.base_fingerprint == base.fingerprint != one.fingerprint
    told(adapter, base_model_name_or_path="gone/away")
    named = found(adapter, base="lab:base")
    assert named.adapter is not None
    assert named.adapter.base == "lab:base"


def test_the_fingerprint_covers_base_and_adapter(adapter: Path, tmp_path: Path) -> None:
    first = found(adapter).fingerprint
    other = Path(shutil.copytree(locate("lab:base"), tmp_path / "other"))
    assert found(adapter, base=str(other)).fingerprint == first
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    (other / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-5}), encoding="utf-8")
    assert found(adapter, base=str(other)).fingerprint != first
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({name: 2 * tensor for name, tensor in weights.items()}, adapter / "adapter_model.safetensors")
    assert found(adapter).fingerprint != first


def _scaled(change: Callable[[str, Any], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        save_file({name: change(name, tensor).contiguous() for name, tensor in load_file(path).items()}, path)

    return apply


def _deeper(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    save_file({re.sub(r"layers\.1", "layers.9", name): tensor for name, tensor in load_file(path).items()}, path)


def _pickled(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def _cut(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def _whole(folder: Path) -> None:
    for path in locate("lab:base").glob("*.safetensors"):
        shutil.copy(path, folder)
    shutil.copy(locate("lab:base") / "config.json", folder)


def _more_tokens(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(locate("lab:base"))
    tokenizer.add_tokens(["<|im_start|>"])
    tokenizer.save_pretrained(folder)


BROKEN: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: told(folder, peft_type="IA3"), "peft_type is 'IA3'; evalkit serves LORA alone; merge it"),
    (lambda folder: told(folder, task_type="SEQ_CLS"), "task_type is 'SEQ_CLS'; a checkpoint writes text"),
    (lambda folder: told(folder, init_lora_weights="pissa"), "init_lora_weights 'pissa' changes the base's own"),
    (lambda folder: told(folder, bias="all"), "bias 'all' changes the base's own weights"),
    (lambda folder: told(folder, r=0), "the rank r is 0; it must be a number of at least 1"),
    (lambda folder: told(folder, r=8), "says r: 8, and .* has rank 4; copy both again"),
    (lambda folder: told(folder, base_model_name_or_path=None), "names no base .*; name it with `base:`"),
    (lambda folder: told(folder, base_model_name_or_path="./gone"), "there is no folder './gone'.*with `base:`"),
    (lambda folder: told(folder, base_model_name_or_path="http://x:1/v1"), "is a server; .* asked for with `model:`"),
    (lambda folder: told(folder, base_model_name_or_path=str(folder)), "is a LoRA adapter, and whole weights"),
    (lambda folder: (folder / "adapter_config.json").write_text("[1"), "adapter_config.json cannot be read"),
    (_scaled(lambda name, tensor: tensor[:, :-1] if "lora_A" in name else tensor), "and in its base .* that is "),
    (_scaled(lambda name, tensor: tensor[:-1] if "lora_A" in name else tensor), "no counterpart of its rank"),
    (_deeper, r"changes model\.layers\.9\.\S+, which its base .* does not have"),
    (_pickled, r"only adapter_model\.bin: convert it, evalkit loads no pickles"),
    (_cut, "is damaged or cut short"),
    (_whole, r"holds whole weights \(model\.safetensors\) and an adapter"),
    (_more_tokens, r"has tokens that its base has not \(<\|im_start\|>\)"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), BROKEN)
def test_what_cannot_be_served_is_one_line(adapter: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(adapter)
    with pytest.raises(CheckpointError, match=message) as caught:
        found(adapter)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("checkpoint 'a': ")


def test_a_base_is_for_adapters_alone() -> None:
    with pytest.raises(CheckpointError, match="lab:base is no LoRA adapter"):
        resolve("a", CheckpointSpec(path="lab:base", kind="base", base="lab:base"))


def test_training_starts_from_whole_weights(adapter: Path) -> None:
    with pytest.raises(CheckpointError, match="is a LoRA adapter; training starts from whole weights"):
        load_policy("policy", CheckpointSpec(path=str(adapter), kind="base"))


@pytest.mark.vllm
@pytest.mark.parametrize("change", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"alpha_pattern": {"q": 2}}])
def test_what_vllm_does_not_serve_goes_to_transformers_with_a_line(adapter: Path, change: dict[str, Any]) -> None:
    pytest.importorskip("vllm")
    assert choose_engine("auto", found(adapter)) == "vllm"
    told(adapter, **change)
    one = found(adapter)
    assert choose_engine("auto", one) == "transformers"
    assert f"vLLM does not serve {next(iter(change))}" in str(fallback_note(one, "transformers"))
    with pytest.raises(InputError, match="engine vllm cannot serve checkpoint 'a': vLLM does not serve"):
        choose_engine("vllm", one)


def test_the_room_for_ranks_is_the_smallest_that_vllm_allows(adapter: Path, tmp_path: Path) -> None:
    twelve = found(write_adapter(tmp_path / "twelve", seed=2, rank=12))
    base = resolve("base", CheckpointSpec(path="lab:base", kind="base"))
    assert [vllm_rank(some) for some in ([base], [found(adapter)], [base, twelve, found(adapter)])] == [0, 8, 16]
    assert twelve.adapter is not None
    assert refused_by_vllm(twelve.adapter) is None


def test_a_tokenizer_beside_the_adapter_is_the_one_that_counts(adapter: Path) -> None:
    assert tokenizer_folder(found(adapter)) == str(locate("lab:base"))
    for path in locate("lab:base").glob("tokenizer*"):
        shutil.copy(path, adapter)
    assert tokenizer_folder(found(adapter)) == str(adapter)
