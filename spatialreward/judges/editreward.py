"""EditReward: a discriminative judge, two score heads behind an added token (arXiv 2509.26346).

Each edit takes two prompts, with a rubric for the instruction and one for the quality. The last
layer's state of ``<|Reward|>`` goes through the rubric's head, which gives mean and log sigma of a
score; the reward is the mean of both means, as published ("mean" pooling). Those scores are
unbounded, in practice about -3 to 2; the logistic function maps them monotonically to 0..1.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError, SpatialRewardError
from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.interface import ClosedAtEnd, check_edits
from spatialreward.judges.questions import (
    Question,
    perceptual_question,
    refusal,
    semantic_question,
)
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.folder import CheckpointFolder
from spatialreward.judges.qwen_vl.limits import check_limits
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.judges.qwen_vl.weights import Tensors, some
from spatialreward.protocol.choice import place_of
from spatialreward.protocol.formats import AnswerFormat
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import (
    MAX_SCORE,
    AnswerForm,
    JudgeIdentity,
    Judgement,
    JudgementStatus,
    Scores,
    Streams,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

REWARD_TOKEN = "<|Reward|>"
_HEADS = "rm_heads."
_WIDTHS = (1024, 16, 2)
"""Widths of a head's layers; the last one is mean and log sigma."""
_LAYERS = (0, 3, 5)
"""Their indices among activations and dropout, as in the tensors' names."""
_EMBEDDING = "embed_tokens.weight"
_BATCH = 8
_ASK = {Streams.SEMANTIC: semantic_question, Streams.PERCEPTUAL: perceptual_question}
_HEAD_OF = {Streams.SEMANTIC: "head_0", Streams.PERCEPTUAL: "head_1"}
NOTICE = "scores of EditReward, about -3 to 2, shown by the logistic function"


class _Read(NamedTuple):
    """One head's output for an edit, on EditReward's own scale."""

    mean: float
    log_sigma: float

    def __str__(self) -> str:
        """The published figures, for the judgement's reasoning."""
        return f"mean {self.mean:.6g}, log sigma {self.log_sigma:.6g} on EditReward's scale"


class EditReward(ClosedAtEnd):
    """A published checkpoint in this process: it generates no text, so it has no sampling."""

    def __init__(
        self,
        model: "PreTrainedModel",
        heads: "Mapping[str, torch.nn.Module]",
        processor: Processor,
        protocol: Protocol,
        identity: JudgeIdentity,
    ) -> None:
        """Use loaded parts; see ``load``."""
        self._model: PreTrainedModel | None = model.eval()
        self._heads = heads
        self._processor = processor.following(protocol)
        self._protocol = protocol
        self._token = processor.tokenizer.convert_tokens_to_ids(REWARD_TOKEN)
        self.identity = identity
        self.notice = "; ".join((NOTICE, protocol.notice))

    @classmethod
    def load(
        cls, folder: Path, protocol: Protocol, *, name: str = "", version: str = "", place: str = ""
    ) -> Self:
        """Load a checkpoint: the backbone's folder with EditReward's published weights.

        Args:
            folder: ``config.json``, tokenizer and image processor of the backbone, and weights with
                ``rm_heads.head_0`` and ``head_1`` in them.
            protocol: of the format ``heads``, as ``spatialreward protocol import`` makes it.
            name: as for ``JudgeIdentity``; default: the folder's.
            version: as for ``JudgeIdentity``.
            place: origin of the protocol; messages begin with it.

        Raises:
            InvalidInputError: it is missing or damaged, a head is missing or has another shape, or
                its prompts do not end in the token at which the heads read.
        """
        import torch

        _check_prompts(protocol, place or place_of(folder))
        cuda = torch.cuda.is_available()
        found = CheckpointFolder.read(folder)
        model, processor = checkpoint.load_found(
            _backbone(found), torch.bfloat16 if cuda else torch.float32
        )
        heads = _read_heads(found, model.config.get_text_config().hidden_size)
        _add_token(processor, model, folder)
        check_limits(protocol, place or place_of(folder), model.config, processor)
        for part in (model, *heads.values()):
            part.to("cuda" if cuda else "cpu")
        identity = JudgeIdentity(
            name=name or folder.resolve().name,
            version=version,
            weights=digest_folder(folder),
            protocol=protocol.reference,
            aggregation=protocol.reward_of,
        )
        return cls(model, heads, processor, protocol, identity)

    def judge(self, edits: Iterable[Edit]) -> list[Judgement]:
        """One judgement an edit, in order; see ``Judging``.

        Raises:
            InvalidInputError: an element of ``edits`` is not an edit.
            SpatialRewardError: the judge has been closed.
        """
        edits = check_edits(edits)
        if self._model is None:
            raise SpatialRewardError("this judge has been closed")
        judged = {number: self._refusal(edit) for number, edit in enumerate(edits)}
        asked = [number for number, failed in judged.items() if failed is None]
        read: dict[int, dict[Streams, _Read]] = {number: {} for number in asked}
        for stream, ask in _ASK.items():
            numbers = [
                number
                for number in asked
                if stream in self._protocol.format.questions(edits[number].options.streams)
            ]
            questions = [ask(self._protocol, edits[number]) for number in numbers]
            for number, one in zip(numbers, self._read(questions, stream), strict=True):
                read[number][stream] = one
        by = {"judged_by": str(self.identity)}
        return [
            (failed or _judgement(read[number])).model_copy(update=by)
            for number, failed in judged.items()
        ]

    def close(self) -> None:
        """Release the model; its memory is free once nothing else references it."""
        self._model = None

    def _refusal(self, edit: Edit) -> Judgement | None:
        if edit.options.names_soft_scores:
            reason = "score heads have no soft scores; request hard scores"
            return Judgement.failed(reason, Failure.NO_SOFT_SCORE)
        return refusal(self._protocol, edit)

    def _read(self, questions: Sequence[Question], stream: Streams) -> Iterator[_Read]:
        import torch

        head = self._heads[_HEAD_OF[stream]]
        for start in range(0, len(questions), _BATCH):
            with torch.inference_mode():
                states_BH = self._states(questions[start : start + _BATCH])
                for mean, log_sigma in head(states_BH.float()).tolist():
                    yield _Read(mean, log_sigma)

    def _states(self, questions: Sequence[Question]) -> "torch.Tensor":
        """The last layer's state of each question's reward token."""
        inputs = self._processor.encode(questions)
        inputs = {key: one.to(self._model.device) for key, one in inputs.items()}
        inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        if self._model.config.model_type == "qwen2_5_vl":
            inputs["position_ids"] = _one_after_another(inputs["attention_mask"])
        states_BLH = self._model.model(**inputs).last_hidden_state
        return states_BLH[inputs["input_ids"] == self._token]


def _one_after_another(mask_BL: "torch.Tensor") -> "torch.Tensor":
    """Positions ``[3, B, L]`` as for a text without pictures.

    The published code of this backbone passes embeddings instead of tokens, from which the model
    cannot locate pictures (transformers 4.57, in training as in use).
    """
    positions_BL = (mask_BL.cumsum(dim=-1) - 1).masked_fill(mask_BL == 0, 1)
    return positions_BL[None].expand(3, -1, -1)


def _judgement(read: Mapping[Streams, _Read]) -> Judgement:
    """A judgement from one number a head, used for both scores of its stream."""
    import math

    def shown(mean: float) -> float:
        return 1.0 / (1.0 + math.exp(-mean)) if mean >= 0 else math.exp(mean) / (1 + math.exp(mean))

    if not all(math.isfinite(value) for one in read.values() for value in one):
        return Judgement.failed("a head read no finite score", Failure.JUDGE_FAILED)
    following, quality = (read.get(one) for one in (Streams.SEMANTIC, Streams.PERCEPTUAL))
    success = None if following is None else MAX_SCORE * shown(following.mean)
    natural = None if quality is None else MAX_SCORE * shown(quality.mean)
    return Judgement(
        status=JudgementStatus.OK,
        answer=AnswerForm.SCORES,
        sc_reasoning=str(following or ""),
        pq_reasoning=str(quality or ""),
        scores=Scores(
            editing_success=success,
            over_editing=success,
            naturalness=natural,
            artifact_freedom=natural,
        ),
        reward=shown(sum(one.mean for one in read.values()) / len(read)),
    )


def _check_prompts(protocol: Protocol, place: str) -> None:
    if protocol.format is not AnswerFormat.HEADS:
        raise InvalidInputError(f"{place}: format: expected {AnswerFormat.HEADS} for score heads")
    for field in ("semantic", "perceptual"):
        count = getattr(protocol, field).count(REWARD_TOKEN)
        if count != 1:
            raise InvalidInputError(
                f"{place}: {field}: expected {REWARD_TOKEN} once in the prompt, got it "
                f"{count} times"
            )


def _backbone(found: CheckpointFolder) -> CheckpointFolder:
    """The folder without its heads, and with as many tokens as its embedding has.

    The published code resizes the embedding to the tokenizer, but ``config.json`` beside the
    weights keeps the backbone's number of tokens.
    """
    files = {
        path: {name: one for name, one in tensors.items() if not name.startswith(_HEADS)}
        for path, tensors in found.files.items()
    }
    config: dict[str, Any] = dict(found.config)
    embedding = [one for name, one in found.tensors.items() if name.endswith(_EMBEDDING)]
    if embedding:
        rows = {"vocab_size": embedding[0].shape[0]}
        if isinstance(config.get("text_config"), dict):
            config["text_config"] = config["text_config"] | rows
        else:
            config |= rows
    return replace(found, config=config, files=files)


def _read_heads(found: CheckpointFolder, hidden_size: int) -> "dict[str, torch.nn.Module]":
    from safetensors import safe_open

    expected = _head_shapes(hidden_size)
    heads: Tensors = {n: one for n, one in found.tensors.items() if n.startswith(_HEADS)}
    if missing := set(expected) - set(heads):
        raise InvalidInputError(f"{found.path}: score heads: {some(missing)} missing")
    if unexpected := set(heads) - set(expected):
        raise InvalidInputError(f"{found.path}: score heads: {some(unexpected)} unknown")
    for name, shape in expected.items():
        if heads[name].shape != shape:
            raise InvalidInputError(
                f"{found.path}: {name}: expected {list(shape)}, got {list(heads[name].shape)}"
            )
    tensors = {}
    for path, names in found.files.items():
        with safe_open(path, framework="pt") as file:
            tensors.update({n: file.get_tensor(n) for n in names if n.startswith(_HEADS)})
    return {name: _head(name, hidden_size, tensors) for name in _HEAD_OF.values()}


def _head_shapes(hidden_size: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for head in _HEAD_OF.values():
        for layer, before, after in zip(_LAYERS, (hidden_size, *_WIDTHS), _WIDTHS, strict=False):
            shapes[f"{_HEADS}{head}.{layer}.weight"] = (after, before)
            shapes[f"{_HEADS}{head}.{layer}.bias"] = (after,)
    return shapes


def _head(name: str, hidden_size: int, tensors: "Mapping[str, torch.Tensor]") -> Any:
    from torch import nn

    first, second, last = _WIDTHS
    head = nn.Sequential(
        nn.Linear(hidden_size, first),
        nn.ReLU(),
        nn.Dropout(0.05),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, last),
    )
    beginning = f"{_HEADS}{name}."
    own = {n.removeprefix(beginning): t for n, t in tensors.items() if n.startswith(beginning)}
    head.load_state_dict({key: one.float() for key, one in own.items()})
    return head.float().eval()


def _add_token(processor: Processor, model: "PreTrainedModel", folder: Path) -> None:
    """Check that the reward token is one token; adds it as the published code does if missing."""
    tokenizer = processor.tokenizer
    if REWARD_TOKEN not in tokenizer.get_vocab():
        tokenizer.add_tokens([REWARD_TOKEN], special_tokens=True)
    number = tokenizer.convert_tokens_to_ids(REWARD_TOKEN)
    rows = model.get_input_embeddings().weight.shape[0]
    if number >= rows:
        raise InvalidInputError(
            f"{folder}: the weights have {rows:,} tokens and none for {REWARD_TOKEN}, which is "
            f"number {number:,} of the tokenizer"
        )
