"""Two pieces of work run at once where that helps, give the same results, and leave the threads as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from evalkit.training.core_split import on_split_cores


def machine(device: str = "cpu", processes: int = 1) -> Any:
    return SimpleNamespace(device=torch.device(device), num_processes=processes)


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def who() -> tuple[int, int]:
    return threading.get_ident(), torch.get_num_threads()


def test_the_threads_are_shared_out_and_given_back(threads: int) -> None:
    (first, its), (second, others) = on_split_cores(who, who, machine())
    if threads == 1:
        assert first == second
    else:
        assert first != second
        assert (its, others) == (threads - threads // 2, threads // 2)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("where", [machine(processes=2), machine("meta")])
def test_in_one_of_several_processes_and_off_the_cpu_one_goes_after_the_other(where: Any) -> None:
    (first, _), (second, _) = on_split_cores(who, who, where)
    assert first == second == threading.get_ident()


def fails() -> None:
    raise ValueError("this one")


@pytest.mark.parametrize(("first", "second"), [(fails, who), (who, fails)])
def test_an_error_of_either_is_raised_when_both_are_done(
    first: Callable[[], Any], second: Callable[[], Any], threads: int
) -> None:
    with pytest.raises(ValueError, match="this one"):
        on_split_cores(first, second, machine())
    assert torch.get_num_threads() == threads


def test_gradients_of_two_networks_are_those_of_one_after_the_other(threads: int) -> None:
    torch.manual_seed(0)
    networks = [torch.nn.Linear(64, 64), torch.nn.Linear(64, 64)]
    inputs = torch.randn(256, 64)

    def descend(network: torch.nn.Module) -> None:
        network.zero_grad()
        network(inputs).square().sum().backward()

    for network in networks:
        descend(network)
    alone = [network.weight.grad.clone() for network in networks if network.weight.grad is not None]
    on_split_cores(lambda: descend(networks[0]), lambda: descend(networks[1]), machine())
    for network, expected in zip(networks, alone, strict=True):
        torch.testing.assert_close(network.weight.grad, expected)
