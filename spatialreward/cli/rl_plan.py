"""``spatialreward rl plan``: what RL of an editor takes of a GPU's memory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.editor_options import EDITORS, editor_folder
from spatialreward.cli.rl_settings import rl_settings
from spatialreward.cli.setting_options import changes_of
from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from spatialreward.ops.config import EditorRlStep

_INDEX_FILE = "model_index.json"
_TINY_FILE = "editor.json"


def plan(
    editor: Annotated[
        str,
        typer.Option(
            metavar="EDITOR", help=f"The editor: {EDITORS}. Its configurations are enough."
        ),
    ],
    size: Annotated[
        int, typer.Option(min=16, metavar="PX", help="Side of source pictures and edits.")
    ] = 512,
    sources: Annotated[int, typer.Option(min=0, help="Source pictures of a task.")] = 1,
    judge: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A judge's checkpoint: list its weights, too, outside the totals."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings in the tables rl and adaptation."),
    ] = None,
    overrides: Annotated[list[str] | None, changes_of("a setting", "rl.group_size=16")] = None,
) -> None:
    """Say how much memory a training takes, part by part, and what fits 24, 48 and 80 GB.

    Weights are counted from the configurations in EDITOR; nothing is loaded and no GPU is needed.

    Example: spatialreward rl plan --editor editor --size 1024 --set rl.sharding=fsdp2
    """
    settings = rl_settings(config, overrides or [])
    folder = editor_folder(editor, "--editor")
    if (folder / _TINY_FILE).is_file():
        raise InvalidInputError(
            f"--editor {editor}: the tiny editor needs no plan; a plan is of an editor in "
            f"diffusers' layout, with {_INDEX_FILE}"
        )
    typer.echo(told_of(settings, folder, size, sources, judge))


def told_of(
    settings: "EditorRlStep",
    folder: Path,
    size_px: int = 512,
    num_sources: int = 1,
    judge: Path | None = None,
) -> str:
    """The plan as text, for the command and ahead of a training.

    Raises:
        InvalidInputError: there is no editor in diffusers' layout in the folder, or no weights in
            that of the judge.
    """
    from spatialreward.rl.memory_plan import Setting, sizes_of, table

    rl, adaptation = settings.rl, settings.adaptation
    at_once = rl.group_size * rl.groups_at_a_time
    setting = Setting(
        size_px=size_px,
        num_sources=num_sources,
        edits_at_a_time=min(rl.edits_at_a_time or at_once, at_once),
        checkpointing=adaptation.gradient_checkpointing,
        precision=adaptation.precision,
        sharding=rl.sharding,
        processes=rl.processes,
        kept_steps=rl.sampling.num_denoising_steps,
        edits_a_step=-(-rl.num_prompts // rl.processes) * rl.group_size,
        copies=(rl.ema_decay is not None) + (rl.algorithm.kind == "nft"),
    )
    weights = () if judge is None else [*judge.glob("*.safetensors")]
    if judge is not None and not weights:
        raise InvalidInputError(f"--judge {judge}: expected a folder with *.safetensors")
    return table(
        sizes_of(folder, adaptation.lora), setting, sum(one.stat().st_size for one in weights)
    )


def has_plan(folder: Path) -> bool:
    """Whether an editor is of those that can be planned for; the tiny one is not."""
    return (folder / _INDEX_FILE).is_file()
