"""``python -m serving.bench.rl``: does sampling wait for the judge, and how fast is an update?

The loop trains a tiny random editor with and without scoring in the background, in turn, so that
other load cancels. Its judge takes as long as the sampler takes to draw the edits, like a served
one that keeps pace, and rewards brightness. The update, of a LoRA on FLUX.1-Kontext's classes, is
compared with a plain loop of diffusers and peft with the same sizes, edits and arithmetic.
"""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from serving.bench.brightness import Brightness
from serving.bench.rl_update import UpdateEffort, our_update, plain_update
from spatialreward.cli.command import SingleCommand, configure_logging

if TYPE_CHECKING:
    from spatialreward.figures import Figure
    from spatialreward.rl.config import RlConfig
    from spatialreward.world.prompts import WorldPrompts
    from spatialreward.world.tiny_editor import TinyEditor

SEED = 6
_TARGET = 0.6
_LIMIT = 0.5

app = typer.Typer(pretty_exceptions_enable=False)


class Effort(NamedTuple):
    """Size of the measurement."""

    rounds: int = 5
    num_prompts: int = 8
    group_size: int = 8
    denoising_steps: int = 20
    window: int = 2
    """Trained steps, as in Flow-GRPO-Fast."""
    width: int = 128
    layers: int = 4
    update: UpdateEffort = UpdateEffort()


class Updates(NamedTuple):
    """Seconds of the same update."""

    ours: float
    plain: float


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
    from spatialreward.world.random_editors import write_kontext

    # The first step of a process is slower than the others.
    _, drawn = (_step(effort, 0.0, in_background=False) for _ in range(2))
    seconds_an_edit = drawn.drawing / (effort.num_prompts * effort.group_size)
    steps: dict[str, list[Step]] = {"sequential": [], "in_background": []}
    updates: list[Updates] = []
    with TemporaryDirectory() as folder:
        kontext = Path(folder) / "kontext"
        write_kontext(kontext)
        our_update(effort.update, kontext)
        for number in range(effort.rounds):
            # Alternate the order between rounds.
            turn = -1 if number % 2 else 1
            for name in [*steps][::turn]:
                in_background = name != "sequential"
                steps[name].append(_step(effort, seconds_an_edit, in_background=in_background))
            seconds = {
                work: work(effort.update, kontext) for work in (our_update, plain_update)[::turn]
            }
            updates.append(Updates(seconds[our_update], seconds[plain_update]))
    more = {name: [one._asdict() for one in some] for name, some in steps.items()}
    more |= {"updates": [one._asdict() for one in updates]}
    return _figures(effort, steps["sequential"], steps["in_background"], updates), more


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
    """A tiny editor with fixed random weights."""
    import torch

    from spatialreward.world.tiny_config import EditorNetworkConfig
    from spatialreward.world.tiny_editor import TinyEditor

    network = EditorNetworkConfig(width=effort.width, num_layers=effort.layers)
    made = TinyEditor.untrained(network, ["change the colour of a thing"] * 2, SEED)
    generator = torch.Generator().manual_seed(SEED)
    torch.nn.init.normal_(made.network.change.weight, std=0.02, generator=generator)
    return made


def prompts(effort: Effort) -> "WorldPrompts":
    """Tasks of the generated world."""
    from spatialreward.world.config import DataConfig
    from spatialreward.world.prompts import WorldPrompts

    return WorldPrompts(DataConfig(seed=SEED), effort.num_prompts)


def _step(effort: Effort, seconds_an_edit: float, *, in_background: bool) -> Step:
    """The first step of a training."""
    from spatialreward.rl.loop import Trainer

    last: dict[str, float] = {}
    settings = config(effort, in_background=in_background)
    reward = Brightness(lambda edits: time.sleep(seconds_an_edit * len(edits)))
    trainer = Trainer(settings, editor(effort), reward, prompts(effort))
    trainer.run(lambda metrics, step: last.update(metrics))
    return Step(*(last[f"time/{name}_s"] for name in ("step", "rollout", "judging", "update")))


def _figures(
    effort: Effort,
    sequential: Sequence[Step],
    overlapped: Sequence[Step],
    updates: Sequence[Updates],
) -> "list[Figure]":
    from spatialreward.figures import Figure

    of_pair = [
        ours.whole / theirs.whole for ours, theirs in zip(overlapped, sequential, strict=True)
    ]
    needed = [one.drawing + one.updating for one in sequential]
    wholes = [one.whole for one in sequential]
    speeds = [effort.update.num_pixels / one.ours for one in updates]
    plain_speeds = [effort.update.num_pixels / one.plain for one in updates]
    ratios = [one.plain / one.ours for one in updates]
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
            name="update/pixels_per_s",
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
