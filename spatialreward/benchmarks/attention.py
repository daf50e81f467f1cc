"""Attention of a judge during generation: on source, edited picture and text, by layer.

A judge that reads two pictures may attend to the edited one alone (*attention collapse*, arXiv
2602.07458). Every judge is measured on the same text, the known answers, so that judges are
comparable; measures the attention of the positions that generate them. A judge with a shorter form
is measured on that form of the answers.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.views import sft_conversations
from spatialreward.errors import InvalidInputError
from spatialreward.figures import Figure
from spatialreward.progress import track
from spatialreward.protocol.choice import protocol_of
from spatialreward.protocol.prompts import Protocol, Slot
from spatialreward.records import EditRegion, Streams
from spatialreward.training.collating import IGNORED, Collator

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from spatialreward.judges.qwen_vl.processor import Processor

# N layers, H heads, L tokens, Q generating positions, C targets of attention
Place = Literal["source", "edited", "text", "regions"]
PLACES: tuple[Place, ...] = get_args(Place)
"""Targets of attention; ``regions`` is a part of ``edited``, the true regions."""
PARTS = ("regions", "reasoning", "scores")


class Attention(NamedTuple):
    """The measured attention."""

    shares: dict[str, NDArray[np.float64]]
    """By part of the answer: mean share of the attention, ``[N, C]`` in the order of ``PLACES``."""
    source_tokens: float
    """Mean share of the sources in the tokens of all pictures: the value for uniform attention."""
    region_tokens: float
    """Mean share of the true regions in the edited picture's tokens."""
    num_edits: int

    def of(self, part: str, place: Place) -> NDArray[np.float64]:
        """Shares by layer, ``[N]``."""
        return self.shares[part][:, PLACES.index(place)]

    def source_of_pictures(self, part: str) -> NDArray[np.float64]:
        """Share of the source in the attention on pictures, ``[N]``."""
        source, edited = self.of(part, "source"), self.of(part, "edited")
        return source / (source + edited)


def measure_attention(
    folder: Path,
    edits: Iterable[LabelledEdit],
    num_edits: int,
    protocol: str | Path | None = None,
) -> Attention:
    """Run a checkpoint over known answers of the SC stream.

    Args:
        folder: any checkpoint that can judge.
        edits: uses the first ones with a label and one source picture or more.
        num_edits: number of edits.
        protocol: for a checkpoint without one.

    Raises:
        InvalidInputError: the folder holds no such checkpoint, there is no such edit, or a picture
            cannot be decoded.
    """
    import torch

    from spatialreward.judges.qwen_vl import checkpoint

    followed = protocol_of(folder, protocol)
    model, processor = checkpoint.load(folder, followed.square_side)
    processor = processor.following(followed)
    model.eval()
    # Fused attention exposes no weights.
    model.model.language_model.set_attn_implementation("eager")
    chosen = list(_answered(edits, num_edits))
    if not chosen:
        raise InvalidInputError(f"{edits}: no edit with a source picture and a label of SC")
    sums: dict[str, NDArray[np.float64]] = {}
    counts, evens = dict.fromkeys(PARTS, 0), []
    with torch.inference_mode():
        for edit in track(chosen, total=len(chosen), description="attention"):
            looked = _look(model, processor, followed, edit)
            evens.append((looked.source_tokens, looked.region_tokens))
            for part, shares_NC in looked.shares.items():
                sums[part] = sums.get(part, 0.0) + shares_NC
                counts[part] += 1
    means = {part: sums[part] / counts[part] for part in PARTS if part in sums}
    source_tokens, region_tokens = np.mean(evens, axis=0).tolist()
    return Attention(means, source_tokens, region_tokens, len(chosen))


def attention_figures(measured: Attention) -> list[Figure]:
    """Means over layers; the headline is ``attention/source_share``."""
    source = float(measured.source_of_pictures("scores").mean())
    even = measured.source_tokens
    figures = [Figure(name="attention/source_share", value=source, baseline=even)]
    for part in measured.shares:
        figures += [
            Figure(name=f"attention/{part}/{place}", value=float(measured.of(part, place).mean()))
            for place in PLACES
        ]
        edited = measured.of(part, "edited").mean()
        figures.append(
            Figure(
                name=f"attention/{part}/regions_of_edited",
                value=float(measured.of(part, "regions").mean() / edited),
                baseline=measured.region_tokens,
            )
        )
    return figures


def _answered(edits: Iterable[LabelledEdit], num_edits: int) -> Iterator[LabelledEdit]:
    found = 0
    for edit in edits:
        scores = None if edit.label is None else edit.label.scores
        is_answered = scores and None not in (scores.editing_success, scores.over_editing)
        if not is_answered or edit.edited is None or not edit.sources:
            continue
        yield edit
        found += 1
        if found == num_edits:
            return


def _look(
    model: "PreTrainedModel", processor: "Processor", protocol: Protocol, edit: LabelledEdit
) -> Attention:
    """The attention of one answer."""
    (conversation,) = (
        one for one in sft_conversations(edit, protocol) if one.stream == Streams.SEMANTIC
    )
    batch = Collator(processor)([conversation])
    parts_K = batch.pop("parts")[0].numpy()
    labels_K = batch.pop("labels")[0].numpy()
    del batch["shift_labels"], batch["ids"]
    slots = _slots(protocol, edit)
    places_LC = _places(processor, batch, slots, edit.label.regions)
    length, known = len(places_LC), labels_K != IGNORED
    # The position before a token generates it.
    writers = np.arange(length - len(labels_K), length) - 1
    shares: dict[str, list[NDArray[np.float64]]] = {part: [] for part in PARTS}
    rows = {part: writers[known & (parts_K == number)] for number, part in enumerate(PARTS)}
    with _watched(model, rows, places_LC, shares):
        inputs = {name: tensor.to(model.device) for name, tensor in batch.items()}
        model(**inputs, use_cache=False, logits_to_keep=1)
    source, edited, _, inside = places_LC.sum(axis=0)
    means = {part: np.stack(layers) for part, layers in shares.items() if layers}
    return Attention(means, float(source / (source + edited)), float(inside / edited), 1)


def _slots(protocol: Protocol, edit: LabelledEdit) -> list[Slot]:
    """The kind of each picture in the prompt, in order."""
    slots: list[Slot] = []
    for part in protocol.semantic_parts(edit.instruction):
        if part == Slot.SOURCE:
            slots += [Slot.SOURCE] * len(edit.sources)
        elif part == Slot.EDITED:
            slots.append(Slot.EDITED)
    return slots


def _places(
    processor: "Processor",
    batch: dict[str, "torch.Tensor"],
    slots: Sequence[Slot],
    regions: Sequence[EditRegion],
) -> NDArray[np.float64]:
    """Position of the tokens, ``[L, C]`` of 0 and 1 in the order of ``PLACES``."""
    is_picture_L = (batch["input_ids"][0] == processor.image_token).numpy()
    places_LC = np.zeros((len(is_picture_L), len(PLACES)))
    places_LC[:, 2] = ~is_picture_L
    at = np.flatnonzero(is_picture_L)
    merge = processor.image_processor.merge_size
    for slot, (frames, height, width) in zip(slots, batch["image_grid_thw"].tolist(), strict=True):
        rows, columns = height // merge, width // merge
        own, at = np.split(at, [frames * rows * columns])
        places_LC[own, 0 if slot is Slot.SOURCE else 1] = 1
        if slot is Slot.EDITED:
            places_LC[own, 3] = np.tile(_inside(regions, rows, columns).ravel(), frames)
    return places_LC


def _inside(regions: Sequence[EditRegion], rows: int, columns: int) -> NDArray[np.bool_]:
    """Patches whose centre is in a box, ``[rows, columns]``."""
    y = (np.arange(rows)[:, None] + 0.5) / rows * 1000
    x = (np.arange(columns)[None, :] + 0.5) / columns * 1000
    inside = np.zeros((rows, columns), dtype=bool)
    for region in regions:
        x1, y1, x2, y2 = region.bbox_2d
        inside |= (x1 <= x) & (x < x2) & (y1 <= y) & (y < y2)
    return inside


@contextmanager
def _watched(
    model: "PreTrainedModel",
    rows: dict[str, NDArray[np.int64]],
    places_LC: NDArray[np.float64],
    shares: dict[str, list[NDArray[np.float64]]],
) -> Iterator[None]:
    """Aggregate the attention of each layer while it is computed: all of it is gigabytes."""
    import torch

    places = torch.from_numpy(places_LC).to(model.device, torch.float32)

    def look(module: object, given: object, answer: tuple["torch.Tensor", "torch.Tensor"]) -> None:
        weights_LL = answer[1][0].float().mean(dim=0)
        for part, writers in rows.items():
            if len(writers):
                chosen = torch.from_numpy(writers).to(weights_LL.device)
                mean_C = (weights_LL[chosen] @ places).mean(dim=0)
                shares[part].append(mean_C.double().cpu().numpy())

    layers = model.model.language_model.layers
    hooks = [layer.self_attn.register_forward_hook(look) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
