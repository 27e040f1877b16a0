"""What a training goes on from comes back to the bit; a damaged state is named, and a full disk keeps the last one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from evalkit.errors import StoreError
from evalkit.training.state import read_state, restore, tensors_of, write_state
from tests.training.full_disk import room_for


class Learning:
    """Two networks, one with a part that is frozen, and their optimiser."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.networks = {"policy": nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), "critic": nn.Linear(3, 1)}
        self.networks["policy"][0].weight.requires_grad_(False)
        trained = [p for network in self.networks.values() for p in network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, lr=0.1)

    def step(self) -> None:
        data = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
        loss = self.networks["policy"](data).square().sum() + (self.networks["critic"](data) - 1).square().sum()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def tensors(self) -> dict[str, torch.Tensor]:
        return tensors_of(self.optimiser, **self.networks)

    def restore(self, path: Path) -> dict[str, object]:
        found = read_state(path)
        assert found is not None
        restore(found[0], self.optimiser, **self.networks)
        return found[1]


def test_a_training_goes_on_from_its_state_as_if_never_stopped(tmp_path: Path) -> None:
    one, other = Learning(0), Learning(0)
    for _ in range(3):
        one.step()
    write_state(tmp_path / "work" / "state", one.tensors(), {"updates": 3, "beta": 0.25})
    with torch.no_grad():
        for network in other.networks.values():
            for parameter in network.parameters():
                if parameter.requires_grad:
                    parameter.fill_(9.0)
    assert other.restore(tmp_path / "work" / "state") == {"updates": 3, "beta": 0.25}
    for _ in range(3):
        one.step()
        other.step()
    wanted = one.tensors()
    assert any(name.startswith("optimiser/") for name in wanted)
    assert {name: tensor.tolist() for name, tensor in other.tensors().items()} == {
        name: tensor.tolist() for name, tensor in wanted.items()
    }


def test_what_is_frozen_is_not_written(tmp_path: Path) -> None:
    names = {name for name in Learning(0).tensors() if not name.startswith("optimiser/")}
    assert names == {"policy/0.bias", "policy/1.weight", "policy/1.bias", "critic/weight", "critic/bias"}


def test_where_there_is_no_state_there_is_none(tmp_path: Path) -> None:
    assert read_state(tmp_path / "state") is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x08" + b"\0" * 7 + b"not json"])
def test_a_damaged_state_is_named(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "state").write_bytes(damage)
    with pytest.raises(StoreError, match=r"state is damaged .*; remove it to begin this training anew"):
        read_state(tmp_path / "state")


def test_a_state_that_was_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_state(path, Learning(0).tensors(), {"updates": 1})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StoreError, match="is damaged"):
        read_state(path)


def test_a_safetensors_file_of_something_else_is_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "state")
    with pytest.raises(StoreError, match="is damaged"):
        read_state(tmp_path / "state")


@pytest.mark.parametrize("room", [0, 100, 1000])
def test_a_disk_that_fills_keeps_the_state_before(tmp_path: Path, room: int) -> None:
    path, its = tmp_path / "state", Learning(0)
    its.step()
    write_state(path, its.tensors(), {"updates": 1})
    before = path.read_bytes()
    assert len(before) > 1000
    its.step()
    with room_for(room), pytest.raises(StoreError, match=r"could not be written.*the one before it is kept") as caught:
        write_state(path, its.tensors(), {"updates": 2})
    assert caught.value.exit_code == 5
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_found_full_only_at_the_end_keeps_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, its = tmp_path / "state", Learning(0)
    write_state(path, its.tensors(), {"updates": 1})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        write_state(path, its.tensors(), {"updates": 2})
    found = read_state(path)
    assert found is not None
    assert found[1] == {"updates": 1}
    assert list(tmp_path.iterdir()) == [path]
