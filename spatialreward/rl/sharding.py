"""Divides the frozen base of an editor among processes: DeepSpeed's ZeRO-3, or torch's FSDP2.

Each process keeps a part of every weight that is not trained, and brings a block's other parts in
just before it is run, forwards and backwards. The trained weights, a LoRA's, stay whole in every
process: they are about a hundredth of the base, and the moving average, the old policy, the switch
to the reference and the checkpoint see them as in one process. Neither way wraps the module: both
work by hooks, which also see an editor's calls of its own module.

Every process has to call the base equally often, since a call of one waits for the others.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import distributed, nn

from spatialreward.errors import InvalidInputError


def divide_base(module: nn.Module, trained: Sequence[nn.Parameter], sharding: str) -> None:
    """Divide the weights of a module that are not trained, in place; all processes call it.

    Args:
        module: of the editor.
        trained: those of its weights that stay whole.
        sharding: ``zero3`` or ``fsdp2``.

    Raises:
        InvalidInputError: all weights are trained, so there is nothing to divide.
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
    """What is brought in as one: the entries of the lists that transformers are made of."""
    lists = [one for one in module.children() if isinstance(one, nn.ModuleList)]
    return [block for one in lists for block in one]


def _by_deepspeed(module: nn.Module, trained: Sequence[nn.Parameter]) -> None:
    import deepspeed

    settings: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": {
            "stage": 3,
            "overlap_comm": False,
            # Small weights, such as norms and biases, stay whole too.
            "stage3_param_persistence_threshold": 1_000,
        },
    }
    # Ahead of the engine, which would put the whole base on the GPU before it divides it.
    deepspeed.zero.Init(module=module, config_dict_or_path=settings)
    # Without an optimiser the engine is hooks alone, and takes no part in gradients.
    deepspeed.initialize(model=module, config=settings)
    for weight in trained:
        weight.ds_persist = True
        # Until DeepSpeed has seen a whole pass it lets go of all others, persistent ones as well.
        weight.is_external_param = True
        weight.all_gather()
