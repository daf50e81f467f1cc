"""PyTorch's Muon with matrix products in a precision that is fast on the processor.

``torch.optim.Muon`` always orthogonalises in bfloat16. On a processor without instructions for it
that took nine tenths of a training step of the tiny judge, so there it uses float32.
"""

from collections import defaultdict

import torch


def has_bfloat16(device_type: str) -> bool:
    """Whether matrix products in bfloat16 are fast on this machine."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported()
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


class Muon(torch.optim.Muon):
    """Same arguments and state; matrices of one shape share products."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update all matrices that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            alike: defaultdict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for shape, matrices in alike.items():
                directions = [self._direction(matrix, group["momentum"]) for matrix in matrices]
                steps = orthogonalised(
                    torch.stack(directions), group["ns_coefficients"], group["ns_steps"]
                )
                # Matched to AdamW's step size: "Muon is Scalable for LLM Training", section 2.2.
                rate = 0.2 * max(shape) ** 0.5 * group["lr"]
                for matrix, step in zip(matrices, steps, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(step, alpha=-rate)

    def _direction(self, matrix: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        """The gradient with Nesterov momentum."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix.grad)
        state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(state["momentum_buffer"], momentum)


def orthogonalised(
    matrices_BMN: torch.Tensor, coefficients: tuple[float, float, float], steps: int
) -> torch.Tensor:
    """Move each matrix's singular values to about 1, by Newton-Schulz iteration.

    The quintic polynomial is Keller Jordan's (https://kellerjordan.github.io/posts/muon/); singular
    values end between about 0.7 and 1.2.
    """
    is_tall = matrices_BMN.shape[1] > matrices_BMN.shape[2]
    x_BMN = matrices_BMN.mT if is_tall else matrices_BMN
    dtype = torch.bfloat16 if has_bfloat16(matrices_BMN.device.type) else torch.float32
    x_BMN = (x_BMN / x_BMN.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)).to(dtype)
    linear, cubic, quintic = coefficients
    for _ in range(steps):
        gram_BMM = x_BMN @ x_BMN.mT
        polynomial_BMM = torch.baddbmm(gram_BMM, gram_BMM, gram_BMM, beta=cubic, alpha=quintic)
        x_BMN = torch.baddbmm(x_BMN, polynomial_BMM, x_BMN, beta=linear)
    return (x_BMN.mT if is_tall else x_BMN).to(matrices_BMN.dtype)
