import io

import torch

from spatialreward.training.optimisers import muon_and_adamw


def small():
    torch.manual_seed(1)
    return torch.nn.ModuleDict(
        {
            "embed": torch.nn.Linear(4, 6),
            "layer": torch.nn.Linear(6, 6),
            "norm": torch.nn.LayerNorm(6),
        }
    )


def loss_of(model, step):
    torch.manual_seed(step)
    return model["norm"](model["layer"](model["embed"](torch.randn(3, 4)))).pow(3).sum()


def run(model, optimiser, schedule, steps):
    for step in steps:
        optimiser.zero_grad()
        loss_of(model, step).backward()
        optimiser.step()
        schedule.step()


def optimiser_of(model):
    optimiser = muon_and_adamw(model, 0.01, 0.1)
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 / (1 + step))


def test_a_state_that_was_written_goes_on_where_it_was():
    whole = small()
    optimiser, schedule = optimiser_of(whole)
    run(whole, optimiser, schedule, range(6))

    first = small()
    optimiser, schedule = optimiser_of(first)
    run(first, optimiser, schedule, range(3))
    file = io.BytesIO()
    torch.save([first.state_dict(), optimiser.state_dict(), schedule.state_dict()], file)
    file.seek(0)
    kept = torch.load(file, weights_only=True)

    second = small()
    optimiser, schedule = optimiser_of(second)
    for part, state in zip((second, optimiser, schedule), kept, strict=True):
        part.load_state_dict(state)
    run(second, optimiser, schedule, range(3, 6))
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name]), name


def test_a_schedule_moves_the_rates_of_all_parts():
    model = small()
    optimiser, schedule = optimiser_of(model)
    run(model, optimiser, schedule, range(1))
    rates = {group["lr"] for group in optimiser.param_groups}
    assert len(optimiser.param_groups) == 2
    assert rates == {0.005}


def test_what_is_frozen_is_nobodys():
    model = small()
    model["layer"].requires_grad_(False)
    optimiser = muon_and_adamw(model, 0.01, 0.1)
    mine = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    assert mine == {id(one) for one in model.parameters() if one.requires_grad}
