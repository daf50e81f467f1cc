"""``spatialreward train base``: make the grounded base that judges are fine-tuned from."""

import logging
import shutil
from pathlib import Path
from typing import Annotated

import typer

from spatialreward.errors import InvalidInputError

logger = logging.getLogger(__name__)


def base(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the new checkpoint; must not exist.")
    ],
    seed: Annotated[int, typer.Option(help="Seed of the model and of the order of tasks.")] = 7,
    world_seed: Annotated[int, typer.Option(help="Seed of the generated world.")] = 1000,
    num_scene_samples: Annotated[
        int | None,
        typer.Option(min=32, show_default="24000", help="Samples of scenes to describe, first."),
    ] = None,
    num_difference_samples: Annotated[
        int | None,
        typer.Option(
            min=32, show_default="72000", help="Samples of differences, artifacts and scenes, next."
        ),
    ] = None,
    num_request_samples: Annotated[
        int | None,
        typer.Option(
            min=32, show_default="72000", help="Samples of requests and of the rest, at the end."
        ),
    ] = None,
    num_heldout: Annotated[
        int, typer.Option(min=1, help="Held-out edits for the figures in the card.")
    ] = 256,
) -> None:
    """Train a grounded base from random weights: a small model that describes edits, no judge yet.

    About an hour on two cores. States are kept in DIR.states: the same command goes on after a
    kill.

    Example: spatialreward train base --out base
    """
    if out.exists():
        raise InvalidInputError(f"--out {out}: is there already")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"--out {out}: {error.strerror}") from error
    from spatialreward.world.base_evaluation import base_figures
    from spatialreward.world.config import DataConfig
    from spatialreward.world.drawing import draw_samples
    from spatialreward.world.grounding import build_base
    from spatialreward.world.tiny_config import GroundingConfig

    given = {
        "num_scene_samples": num_scene_samples,
        "num_difference_samples": num_difference_samples,
        "num_request_samples": num_request_samples,
    }
    config = GroundingConfig(
        seed=seed, **{name: value for name, value in given.items() if value is not None}
    )
    world = DataConfig(seed=world_seed)
    heldout = list(draw_samples(world, "heldout", num_heldout))
    states = out.with_name(f"{out.name}.states")
    build_base(
        config,
        world,
        out,
        lambda metrics, step: logger.info(
            "step %d: %s", step, ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        ),
        evaluate=lambda model, processor: base_figures(model, processor, heldout)._asdict(),
        state_folder=states,
    )
    shutil.rmtree(states)
    typer.echo(f"the base and its card are in {out}")
