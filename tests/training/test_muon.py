import pytest
import torch

from spatialreward.training.muon import Muon, orthogonalised

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (1, 5, 5)])
def test_singular_values_are_moved_to_about_one(shape):
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(shape), COEFFICIENTS, 5))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_a_matrix_is_orthogonalised_alike_alone_and_among_others():
    torch.manual_seed(1)
    matrices = torch.randn(3, 6, 9)
    together = orthogonalised(matrices, COEFFICIENTS, 5)
    alone = orthogonalised(matrices[1:2], COEFFICIENTS, 5)
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=0.02)


def test_it_goes_where_pytorchs_muon_goes_up_to_the_precision_of_bfloat16():
    torch.manual_seed(1)
    start = [torch.randn(8, 12), torch.randn(12, 8), torch.randn(8, 12)]
    ours, theirs = ([one.clone().requires_grad_() for one in start] for _ in range(2))
    optimisers = (
        Muon(ours, lr=0.01, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        for optimiser, weights in zip(optimisers, (ours, theirs), strict=True):
            optimiser.zero_grad()
            sum((one**3).sum() for one in weights).backward()
            optimiser.step()
    for mine, other, before in zip(ours, theirs, start, strict=True):
        moved = (other - before).norm()
        assert moved > 0.05
        assert (mine - other).norm() < 0.03 * moved
    state = optimisers[1].state_dict()
    optimisers[0].load_state_dict(state)


def test_a_matrix_without_a_gradient_stays():
    weight = torch.ones(3, 4, requires_grad=True)
    Muon([weight], lr=0.1).step()
    assert weight.tolist() == torch.ones(3, 4).tolist()
