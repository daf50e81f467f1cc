"""``python -m serving.bench.rl``: does drawing wait for the judge, and how fast is an update?

A tiny editor of random weights is trained by the loop with and without scoring in the background,
in turn, so that a neighbour's load cancels. Its judge waits for as long as the sampler takes to draw
what it is asked about, as a served one does that keeps pace, and takes brightness for a reward. The
update stands beside a plain loop of torch with the same editor, edits and arithmetic.
"""

import time
from collections.abc import Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from spatialreward.cli.command import SingleCommand, configure_logging

if TYPE_CHECKING:
    from torch import Tensor

    from spatialreward.edits import Edit
    from spatialreward.figures import Figure
    from spatialreward.rl.config import RlConfig
    from spatialreward.rl.types import Scored
    from spatialreward.world.prompts import WorldPrompts
    from spatialreward.world.tiny_editor import TinyCondition, TinyEditor

SEED = 6
_TARGET = 0.6
_LIMIT = 0.5

app = typer.Typer(pretty_exceptions_enable=False)


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int = 5
    num_prompts: int = 8
    group_size: int = 8
    denoising_steps: int = 20
    window: int = 2
    """Steps that are trained, as Flow-GRPO-Fast has it."""
    width: int = 128
    layers: int = 4


class Step(NamedTuple):
    """Seconds of one step of the loop."""

    whole: float
    drawing: float
    judging: float
    updating: float


@app.command(cls=SingleCommand)
def main(
    rounds: Annotated[
        int, typer.Option(min=1, help="Steps of each loop, taken in turn.")
    ] = Effort().rounds,
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Measure and write rl.json; some five minutes on two idle cores."""
    configure_logging(verbose=verbose)
    from spatialreward.figures import figures_console, figures_table, write_figures

    figures, more = measure(Effort(rounds=rounds))
    path = write_figures("rl", figures, seeds={"editor": SEED}, more=more)
    figures_console().print(figures_table("RL of an editor", figures))
    typer.echo(f"written to {path}")


def measure(effort: Effort) -> "tuple[list[Figure], dict[str, object]]":
    """All figures, and the seconds of the single steps."""
    # The first step of a process is slower than the others.
    _, drawn = (_step(effort, 0.0, in_background=False) for _ in range(2))
    seconds_an_edit = drawn.drawing / (effort.num_prompts * effort.group_size)
    steps: dict[str, list[Step]] = {"sequential": [], "in_background": []}
    plain: list[float] = []
    for number in range(effort.rounds):
        # Whoever is first in one round is second in the next.
        for name in sorted(steps, reverse=bool(number % 2)):
            steps[name].append(_step(effort, seconds_an_edit, in_background=name != "sequential"))
        plain.append(plain_update(effort))
    more = {name: [one._asdict() for one in some] for name, some in steps.items()}
    more |= {"plain_update_s": plain}
    return _figures(effort, steps["sequential"], steps["in_background"], plain), more


def config(effort: Effort, *, in_background: bool = True) -> "RlConfig":
    """Flow-GRPO-Fast, one group at a time."""
    from spatialreward.editors.config import SamplingConfig, StepWindow
    from spatialreward.rl.config import RlConfig

    return RlConfig(
        seed=SEED,
        num_steps=1,
        num_prompts=effort.num_prompts,
        group_size=effort.group_size,
        groups_at_a_time=1,
        scores_in_background=in_background,
        sampling=SamplingConfig(
            num_denoising_steps=effort.denoising_steps, window=StepWindow(num_steps=effort.window)
        ),
    )


def editor(effort: Effort) -> "TinyEditor":
    """A tiny editor of random weights, the same one each time."""
    import torch

    from spatialreward.world.tiny_config import EditorNetworkConfig
    from spatialreward.world.tiny_editor import TinyEditor

    network = EditorNetworkConfig(width=effort.width, num_layers=effort.layers)
    made = TinyEditor.untrained(network, ["change the colour of a thing"] * 2, SEED)
    generator = torch.Generator().manual_seed(SEED)
    torch.nn.init.normal_(made.network.change.weight, std=0.02, generator=generator)
    return made


class SlowReward:
    """Brightness, said after as many seconds an edit as a slow judge takes; a ``types.Reward``."""

    names = ("brightness",)
    weights = {"brightness": 1.0}  # noqa: RUF012 - nobody changes it
    card = {}  # noqa: RUF012 - nobody changes it

    def __init__(self, seconds_an_edit: float) -> None:
        """Wait so long for each."""
        self._seconds = seconds_an_edit

    def score(self, edits: "Sequence[Edit]") -> "Scored":
        """The mean of all bytes."""
        import numpy as np
        import torch

        from spatialreward.rl.types import Scored

        time.sleep(self._seconds * len(edits))
        means = [float(np.asarray(edit.edited).mean()) / 255 for edit in edits]
        return Scored({"brightness": torch.tensor(means)}, None)

    def state_dict(self) -> dict[str, object]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, object], /) -> None:
        """Nothing to take up."""


def prompts(effort: Effort) -> "WorldPrompts":
    """Tasks of the generated world."""
    from spatialreward.world.config import DataConfig
    from spatialreward.world.prompts import WorldPrompts

    return WorldPrompts(DataConfig(seed=SEED), effort.num_prompts)


def _step(effort: Effort, seconds_an_edit: float, *, in_background: bool) -> Step:
    """The first step of a training."""
    from spatialreward.rl.loop import Trainer

    told: dict[str, float] = {}
    settings = config(effort, in_background=in_background)
    trainer = Trainer(settings, editor(effort), SlowReward(seconds_an_edit), prompts(effort))
    trainer.run(lambda metrics, step: told.update(metrics))
    return Step(*(told[f"time/{name}_s"] for name in ("step", "rollout", "judging", "update")))


def plain_update(effort: Effort) -> float:
    """Seconds of an update of as many edits, written as a loop of torch without this library's."""
    import torch

    policy = editor(effort)
    reference = policy.reference().network
    optimiser = torch.optim.AdamW(policy.network.parameters(), lr=2e-4)
    condition, latents, following = _remembered(policy, effort)
    eta, length = 0.7, 1 / effort.denoising_steps
    advantages_B = torch.linspace(-1, 1, effort.group_size)[:, None, None, None]
    start = time.perf_counter()
    for group in range(effort.num_prompts):
        rows = slice(group * effort.group_size, (group + 1) * effort.group_size)
        sources = condition.rows(rows)
        for number in range(effort.window):
            t = number * length
            sigma = eta * ((1 - t) / (t or length)) ** 0.5
            pull = sigma**2 / (2 * (1 - t))
            x, times_B = latents[rows], torch.full((effort.group_size,), t)

            def mean(network, x=x, t=t, times_B=times_B, pull=pull, sources=sources):
                # The tiny editor's network predicts the finished latent.
                velocity = (network(x, times_B, *sources) - x) / (1 - t)
                return x * (1 - pull * length) + velocity * (1 + pull * t) * length

            now = mean(policy.network)
            with torch.no_grad():
                anchor = mean(reference)
            deviation = sigma * length**0.5
            log_prob = -0.5 * ((following[rows] - now) / deviation).square().mean((1, 2, 3))
            ratio = (log_prob - log_prob.detach()).exp()[:, None, None, None]
            clipped = ratio.clamp(1 - 1e-5, 1 + 1e-5)
            loss = torch.maximum(-advantages_B * ratio, -advantages_B * clipped).mean()
            loss = loss + 0.04 * (now - anchor).square().mean() / (2 * sigma**2)
            (loss / (effort.num_prompts * effort.window)).backward()
    torch.nn.utils.clip_grad_norm_(policy.network.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()
    return time.perf_counter() - start


def _remembered(policy: "TinyEditor", effort: Effort) -> "tuple[TinyCondition, Tensor, Tensor]":
    """A condition of all edits, and latents before and behind a step."""
    import torch

    tasks = prompts(effort).batch(0)
    condition = policy.encode(tasks).repeat(effort.group_size)
    generator = torch.Generator().manual_seed(SEED)
    before, after = (policy.noise(condition, generator) for _ in range(2))
    return condition, before, after


def _figures(
    effort: Effort, sequential: Sequence[Step], overlapped: Sequence[Step], plain: Sequence[float]
) -> "list[Figure]":
    from spatialreward.figures import Figure

    of_pair = [
        ours.whole / theirs.whole for ours, theirs in zip(overlapped, sequential, strict=True)
    ]
    needed = [one.drawing + one.updating for one in sequential]
    wholes = [one.whole for one in sequential]
    edits = effort.num_prompts * effort.group_size * effort.window
    speeds = [edits / one.updating for one in sequential]
    plain_speeds = [edits / one for one in plain]
    ratios = [ours / theirs for ours, theirs in zip(speeds, plain_speeds, strict=True)]
    return [
        Figure.at_most(
            "step/share_of_sequential",
            median(of_pair),
            _TARGET,
            baseline=1.0,
            spread=_ends(of_pair),
        ),
        Figure(name="step/limit_without_an_update", value=_LIMIT),
        Figure(
            name="step/limit_with_this_update",
            value=median(mine / whole for mine, whole in zip(needed, wholes, strict=True)),
        ),
        Figure(
            name="seconds/step",
            value=median(one.whole for one in overlapped),
            unit="s",
            baseline=median(wholes),
            spread=_ends(one.whole for one in overlapped),
        ),
        *(
            Figure(name=f"seconds/{name}", value=median(values), unit="s", spread=_ends(values))
            for name, values in {
                "drawing": [one.drawing for one in overlapped],
                "judging": [one.judging for one in overlapped],
                "updating": [one.updating for one in overlapped],
            }.items()
        ),
        Figure(
            name="update/edit_steps_per_s",
            value=median(speeds),
            unit="1/s",
            baseline=median(plain_speeds),
            spread=_ends(speeds),
        ),
        Figure.at_least(
            "update/speed_over_plain_loop",
            median(ratios),
            1.0,
            baseline=1.0,
            spread=_ends(ratios),
        ),
    ]


def _ends(values: Iterable[float]) -> tuple[float, float]:
    known = list(values)
    return min(known), max(known)


if __name__ == "__main__":
    app()
