"""Shards an editor's frozen base among processes: DeepSpeed's ZeRO-3, or torch's FSDP2.

Each process keeps a part of every frozen weight, and gathers a block's other parts just before
running it, forwards and backwards. The trained weights, a LoRA's, stay whole in every process: they
are about a hundredth of the base, and the moving average, the old policy, the switch to the
reference and the checkpoint then work as in one process. Neither way wraps the module: both use
hooks, which also cover an editor's calls of its own module.

Every process must call the base equally often, because each call synchronises all of them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import distributed, nn

from spatialreward.errors import InvalidInputError


def divide_base(module: nn.Module, trained: Sequence[nn.Parameter], sharding: str) -> None:
    """Shard a module's frozen weights in place; all processes call it.

    Args:
        module: of the editor.
        trained: the weights that stay whole.
        sharding: ``zero3`` or ``fsdp2``.

    Raises:
        InvalidInputError: all weights are trained, so there is nothing to shard.
    """
    whole = set(trained)
    if all(weight in whole for weight in module.parameters()):
        raise InvalidInputError(
            f"sharding {sharding}: divides the frozen weights, and this editor trains all of its "
            "own; expected zero2"
        )
    if sharding == "zero3":
        _by_deepspeed(module, trained)
    else:
        _by_torch(module, whole)


def _by_torch(module: nn.Module, whole: set[nn.Parameter]) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = init_device_mesh(device, (distributed.get_world_size(),))
    for block in (*_blocks(module), module):
        fully_shard(block, mesh=mesh, reshard_after_forward=True, ignored_params=whole)


def _blocks(module: nn.Module) -> list[nn.Module]:
    """Modules to gather as one: the entries of a transformer's lists."""
    lists = [one for one in module.children() if isinstance(one, nn.ModuleList)]
    return [block for one in lists for block in one]


def _by_deepspeed(module: nn.Module, trained: Sequence[nn.Parameter]) -> None:
    import deepspeed

    settings: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": {
            "stage": 3,
            "overlap_comm": False,
            # Small weights, such as norms and biases, also stay whole.
            "stage3_param_persistence_threshold": 1_000,
        },
    }
    # Before the engine, which would otherwise move the whole base to the GPU first.
    deepspeed.zero.Init(module=module, config_dict_or_path=settings)
    # Without an optimiser the engine only installs hooks, and ignores gradients.
    deepspeed.initialize(model=module, config=settings)
    for weight in trained:
        weight.ds_persist = True
        # Before its first whole pass DeepSpeed releases all others, even persistent ones.
        weight.is_external_param = True
        weight.all_gather()
