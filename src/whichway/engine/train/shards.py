"""What the processes of one training do together: each holds a part of the base's weights, and trains on some rows.

The frozen base is sharded by PyTorch's `fully_shard` (FSDP2), a unit for each layer: before a layer computes, forward
or backward, the processes send each other their parts, and drop them afterwards. The trained weights are whole in every
process, so their gradients are summed and each process takes the same step. With LoRA they are a hundredth of the base;
in return a checkpoint is what one process alone would save, and a saved state fits any number of processes.

Why not through accelerate's `FullyShardedDataParallelPlugin`, which calls the same `fully_shard`: it does so on
accelerators only (in accelerate 1.15 a group of processors stays data-parallel), so none of it could be tested where
there is no card; it shards the trained weights too, unless told otherwise; and each process has all of the base first.
Why not FSDP1: its flat parameters want all weights of a unit to be trained, or none. Accelerate's `PartialState` makes
the group of processes: a card for each with NCCL, or processors with Gloo.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

T = TypeVar("T")
_LOADING = timedelta(hours=2)  # that the others wait while the first process reads the weights from disk


@dataclass(frozen=True, slots=True)
class Shards:
    """This process's place among those of a training."""

    rank: int
    count: int
    device: torch.device
    mesh: Any  # PyTorch's name for the group and its device

    @staticmethod
    def join(rank: int, count: int, device: str, meeting: Path) -> Shards:
        """Wait for the other processes, and be one of them.

        Args:
            rank: number of this process; the first, 0, has the weights at the start and writes what is saved.
            count: of processes.
            device: "cuda", a card for each, or "cpu".
            meeting: a file that is not there yet, by which they find each other on this machine.
        """
        from accelerate import PartialState
        from torch.distributed.device_mesh import init_device_mesh

        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        os.environ.update({name: str(number) for name, number in places.items()})
        os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))  # else accelerate sets its own
        if device == "cpu" and sys.platform == "linux":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the name of a machine may lead nowhere
        state = PartialState(
            cpu=device == "cpu", init_method=meeting.as_uri(), rank=rank, world_size=count, timeout=_LOADING
        )
        return Shards(rank, count, state.device, init_device_mesh(state.device.type, (count,)))

    def spread(self, module: nn.Module, layers: Sequence[nn.Module]) -> None:
        """Leave this process its part of each frozen weight of `module`; trained ones become whole and equal in all.

        The first process has all weights, in the memory of the processor; the others need shapes alone. Parameters are
        replaced by new ones. What lies in no layer is one more unit: embeddings, the last norm, the head.
        """
        from torch.distributed.fsdp import fully_shard

        seen: set[nn.Module] = set()
        for unit in (*layers, module):
            self._fetch([part for part in unit.modules() if part not in seen])
            seen.update(unit.modules())
            trained = {parameter for parameter in unit.parameters() if parameter.requires_grad}
            fully_shard(unit, mesh=self.mesh, ignored_params=trained)

    def _fetch(self, parts: Sequence[nn.Module]) -> None:
        """Have these modules' own weights whole on this device, as the first process has them."""
        tensors = dict.fromkeys(  # tied ones once
            tensor for part in parts for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False))
        )
        forms: list[Any] = [[(tensor.shape, tensor.dtype) for tensor in tensors]]
        distributed.broadcast_object_list(forms, src=0)  # another process may have guessed another format
        whole = {
            tensor: self._whole(tensor, shape, dtype) for tensor, (shape, dtype) in zip(tensors, forms[0], strict=True)
        }
        for part in parts:
            for held in (part._parameters, part._buffers):
                for name, tensor in held.items():
                    if tensor is not None:
                        held[name] = whole[tensor]  # type: ignore[assignment]

    def _whole(self, tensor: Tensor, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        data = torch.empty(shape, dtype=dtype, device=self.device)
        if self.rank == 0:
            data.copy_(tensor.detach())
        distributed.broadcast(data, src=0)
        return nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data

    def sum_gradients(self, trained: Sequence[nn.Parameter], loss: float) -> float:
        """Put the sum over all processes into each gradient; returns the sum of the losses."""
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        flat = torch.cat([torch.tensor([loss], device=self.device), *(grad.flatten().float() for grad in grads)])
        distributed.all_reduce(flat)
        for parameter, part in zip(trained, torch.split(flat[1:], [grad.numel() for grad in grads]), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)
        return float(flat[0])

    def wait(self) -> None:
        """Until all processes are here."""
        distributed.barrier()

    def leave(self) -> None:
        """Be none of them any more."""
        distributed.destroy_process_group()


def deal(items: Iterable[T], count: int, size: Callable[[T], int]) -> list[list[T]]:
    """Deal items to so many hands of about equal size: the largest first, to the hand that has least."""
    hands: list[list[T]] = [[] for _ in range(count)]
    sizes = [0] * count
    for item in sorted(items, key=size, reverse=True):
        least = sizes.index(min(sizes))
        hands[least].append(item)
        sizes[least] += size(item)
    return hands
