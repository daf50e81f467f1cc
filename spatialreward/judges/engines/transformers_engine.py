"""Batched generation with a transformers model on this machine's CPU or GPU.

Common parts of questions are computed once: a picture's features, even if several questions show
it, and the keys and values of the prefix before a question's last picture. So the edits of one
prompt (same source, same instruction) share everything but their own picture.
"""

# R rows (one a question), P distinct prefixes, L tokens, V words of the vocabulary

import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from PIL import Image
from torch.nn import functional
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures
from transformers.utils import ModelOutput

from spatialreward.judges.interface import Measure, ignore
from spatialreward.judges.questions import Question
from spatialreward.judges.qwen_vl.answers import Generated, More, nothing
from spatialreward.judges.qwen_vl.cache import BlockCache
from spatialreward.judges.qwen_vl.choosing import Answer, Chooser
from spatialreward.judges.qwen_vl.vocabulary import Vocabulary
from spatialreward.records import AnswerForm

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from spatialreward.judges.qwen_vl.processor import Processor

_STEPS_BETWEEN_JOINS = 16
"""Tokens generated before new questions may join, even if no row has finished: joining copies."""
_REBUILD_BELOW = 0.8
"""Drop finished rows once the share of unfinished rows falls below this."""


class _Part(NamedTuple):
    """A part of a prompt, as the model reads it."""

    tokens: list[int]
    pictures: tuple[int, ...]
    """Indices into the batch's distinct pictures."""
    positions_3L: torch.Tensor


class _Prompt(NamedTuple):
    """One question, as the model reads it."""

    tokens: list[int]
    pictures: tuple[int, ...]
    cut: int
    """Number of tokens before the last picture."""
    positions_3L: torch.Tensor

    @property
    def beginning(self) -> _Part:
        """The tokens before the last picture."""
        return _Part(self.tokens[: self.cut], self.pictures[:-1], self.positions_3L[:, : self.cut])

    @property
    def ending(self) -> _Part:
        """The last picture and the tokens after it."""
        return _Part(self.tokens[self.cut :], self.pictures[-1:], self.positions_3L[:, self.cut :])


class _Rows(NamedTuple):
    """Unfinished answers: the cached context and its last logits."""

    cache: BlockCache
    mask_RL: torch.Tensor
    next_position_R: torch.Tensor
    logits_RV: torch.Tensor


class _Read(NamedTuple):
    """Encoded prompts."""

    cache: BlockCache
    mask_RL: torch.Tensor
    next_position_R: torch.Tensor
    hidden_RH: torch.Tensor
    """Of each prompt's last token, as input to the output layer."""


class TransformersEngine:
    """Greedy or sampled answers of a Qwen-VL model; safe to use from several threads."""

    def __init__(
        self,
        model: "PreTrainedModel",
        processor: "Processor",
        *,
        max_answer_tokens: int,
        share_prefixes: bool = True,
        guided: bool = True,
    ) -> None:
        """Use loaded parts.

        Args:
            model: the weights, on their final device.
            processor: follows the protocol of the checkpoint.
            max_answer_tokens: truncate longer answers.
            share_prefixes: compute common prefixes of questions once; otherwise each in full.
            guided: constrain judgements to their form.
        """
        self._model = model.eval()
        self._processor = processor
        self._max_answer_tokens = max_answer_tokens
        self._share_prefixes = share_prefixes
        self._thinks = processor.begins_thought
        self._chooser = Chooser(
            Vocabulary(processor.tokenizer),
            processor.tokenizer.eos_token_id,
            model.lm_head.weight.shape[0],
            model.device,
            guided=guided,
        )

    def prepare(self, form: AnswerForm) -> None:
        """Compile the forms of judgements, to spare the first questions the wait."""
        self._chooser.prepare(form, thinking=self._thinks)

    @torch.inference_mode()
    def answer(
        self, questions: Sequence[Question], measure: Measure = ignore, more: More = nothing
    ) -> Iterator[tuple[int, Generated]]:
        """Yield each question's number and answer as it finishes, all in one batch.

        Args:
            questions: at least one.
            measure: receives the seconds of each phase, and how much was shared.
            more: called now and then for questions to replace finished ones.
        """
        rows, writing = self._begin(questions, 0, measure)
        num_asked, steps = len(questions), 0
        while writing:
            with _timed(measure, "seconds/generate"):
                tokens_R = self._chooser.choose(
                    rows.logits_RV, writing, functools.partial(self._behind, rows)
                )
            yield from ((one.number, one.generated()) for one in writing if one.ends_now())
            with _timed(measure, "seconds/generate"):
                shrunk, rows, writing, tokens_R = self._drop_finished(rows, writing, tokens_R)
                if writing:
                    rows = self._step(rows, tokens_R)
            steps += 1
            if not (shrunk or steps % _STEPS_BETWEEN_JOINS == 0):
                continue
            if joining := more(len(writing)):
                new_rows, new_writing = self._begin(joining, num_asked, measure)
                num_asked += len(joining)
                rows = _join(rows, new_rows) if writing else new_rows
                writing = [*writing, *new_writing]

    @torch.inference_mode()
    def last_hidden(self, questions: Sequence[Question], measure: Measure = ignore) -> torch.Tensor:
        """The hidden state of the last token of each question's prompt, ``[R, H]``.

        Generates nothing. It is the input of the output layer, after the last norm.

        Args:
            questions: at least one; encoded in one batch.
            measure: as for ``answer``.
        """
        return self._read_questions(questions, measure).hidden_RH

    def _read_questions(self, questions: Sequence[Question], measure: Measure) -> _Read:
        with _timed(measure, "seconds/encode"):
            prompts, features = self._encode(questions, measure)
        with _timed(measure, "seconds/prefill"):
            return self._read_prompts(prompts, features, measure)

    def _begin(
        self, questions: Sequence[Question], first_number: int, measure: Measure
    ) -> tuple[_Rows, list[Answer]]:
        """Encode questions' prompts."""
        read = self._read_questions(questions, measure)
        with _timed(measure, "seconds/prefill"):
            logits_RV = self._model.lm_head(read.hidden_RH)
        rows = _Rows(read.cache, read.mask_RL, read.next_position_R, logits_RV)
        limit = self._max_answer_tokens
        return rows, [
            self._chooser.begin(question, first_number + number, limit, thinking=self._thinks)
            for number, question in enumerate(questions)
        ]

    def _encode(
        self, questions: Sequence[Question], measure: Measure
    ) -> tuple[list[_Prompt], ModelOutput]:
        shown = [one for question in questions for one in question.pictures]
        distinct, numbers = _distinct(shown)
        numbered = iter(numbers)
        measure("pictures/shown", len(shown))
        measure("pictures/encoded", len(distinct))
        visual = self._processor.encode_pictures(distinct)
        pixels = visual["pixel_values"].to(self._model.device, self._model.dtype)
        grids_N3 = visual["image_grid_thw"]
        features = self._model.model.get_image_features(
            pixels, grids_N3.to(self._model.device), return_dict=True
        )
        counts = self._processor.visual_tokens(grids_N3)
        image_token = self._processor.image_token
        known_positions: dict[tuple, torch.Tensor] = {}
        prompts = []
        for question in questions:
            pictures = tuple(next(numbered) for _ in question.pictures)
            tokens = self._processor.prompt_tokens(question, iter([counts[n] for n in pictures]))
            is_picture = [int(token == image_token) for token in tokens]
            layout = (tuple(is_picture), tuple(tuple(grids_N3[n].tolist()) for n in pictures))
            if layout not in known_positions:
                known_positions[layout] = self._positions(tokens, is_picture, grids_N3[[*pictures]])
            # The last picture's run of tokens ends where the last run of all ends.
            cut = len(tokens) - is_picture[::-1].index(1) - counts[pictures[-1]]
            prompts.append(_Prompt(tokens, pictures, cut, known_positions[layout]))
        return prompts, features

    def _positions(
        self, tokens: list[int], is_picture: list[int], grids_N3: torch.Tensor
    ) -> torch.Tensor:
        positions_3BL, _ = self._model.model.get_rope_index(
            torch.tensor([tokens]), torch.tensor([is_picture]), image_grid_thw=grids_N3
        )
        return positions_3BL[:, 0]

    def _read_prompts(
        self,
        prompts: Sequence[_Prompt],
        features: ModelOutput,
        measure: Measure,
    ) -> _Read:
        prefixes: dict[tuple, int] = {}
        prefix_of = []
        beginnings = []
        for number, prompt in enumerate(prompts):
            alone = None if self._share_prefixes else number
            key = (alone, prompt.pictures[:-1], *prompt.tokens[: prompt.cut])
            if key not in prefixes:
                prefixes[key] = len(prefixes)
                beginnings.append(prompt.beginning)
            prefix_of.append(prefixes[key])
        endings = [prompt.ending for prompt in prompts]
        computed = sum(len(one.tokens) for one in (*beginnings, *endings))
        measure("prompt_tokens/asked", sum(len(prompt.tokens) for prompt in prompts))
        measure("prompt_tokens/computed", computed)
        cache = BlockCache()
        mask_PL, _ = self._read(beginnings, features, cache)
        rows_R = torch.tensor(prefix_of, device=self._model.device)
        cache.select(rows_R)
        mask_RL, hidden_RH = self._read(endings, features, cache, mask_PL[rows_R])
        last = [int(prompt.positions_3L.max()) + 1 for prompt in prompts]
        next_position_R = torch.tensor(last, device=self._model.device)
        return _Read(cache, mask_RL, next_position_R, hidden_RH)

    def _read(
        self,
        prompts: Sequence[_Part],
        features: ModelOutput,
        cache: BlockCache,
        mask_before_RL: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode a part of each prompt; returns the mask and the last hidden state."""
        length = max(len(prompt.tokens) for prompt in prompts)
        ids_RL = torch.full((len(prompts), length), self._processor.tokenizer.pad_token_id)
        mask_RL = torch.zeros((len(prompts), length), dtype=torch.long)
        positions_3RL = torch.zeros((3, len(prompts), length), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            start = length - len(prompt.tokens)
            ids_RL[row, start:] = torch.tensor(prompt.tokens)
            mask_RL[row, start:] = 1
            positions_3RL[:, row, start:] = prompt.positions_3L
        device = self._model.device
        mask_RL = mask_RL.to(device)
        if mask_before_RL is not None:
            mask_RL = torch.cat([mask_before_RL, mask_RL], dim=1)
        shown = [number for prompt in prompts for number in prompt.pictures]
        hidden_RLH = self._model.model(
            input_ids=ids_RL.to(device),
            attention_mask=mask_RL,
            position_ids=positions_3RL.to(device),
            past_key_values=cache,
            mm_encoder_outputs={"image": _features_of(features, shown)} if shown else None,
        ).last_hidden_state
        return mask_RL, hidden_RLH[:, -1]

    def _drop_finished(
        self, rows: _Rows, writing: list[Answer], tokens_R: torch.Tensor
    ) -> tuple[bool, _Rows, list[Answer], torch.Tensor]:
        """Drop finished rows if many; returns whether it did."""
        left = [row for row, one in enumerate(writing) if not one.has_ended]
        if left and len(left) >= _REBUILD_BELOW * len(writing):
            return False, rows, writing, tokens_R
        kept_R = torch.tensor(left, device=self._model.device, dtype=torch.long)
        if left:
            rows = _select(rows, kept_R)
        return True, rows, [writing[row] for row in left], tokens_R[kept_R]

    def _behind(self, rows: _Rows, numbers: Sequence[int], tokens: Sequence[int]) -> torch.Tensor:
        """The logits after tokens that do not stay in the rows, ``[B, V]``."""
        at_B = torch.tensor(numbers, device=self._model.device)
        picked = _Rows(
            rows.cache.picked(at_B),
            rows.mask_RL[at_B],
            rows.next_position_R[at_B],
            rows.logits_RV[at_B],
        )
        return self._step(picked, torch.tensor(tokens, device=self._model.device)).logits_RV

    def _step(self, rows: _Rows, tokens_R: torch.Tensor) -> _Rows:
        mask_RL = torch.cat([rows.mask_RL, torch.ones_like(rows.mask_RL[:, :1])], dim=1)
        capacity = rows.cache.reserve_one()
        seen_RL = functional.pad(mask_RL, (0, capacity - mask_RL.shape[1])).bool()
        bias_R11L = torch.zeros_like(seen_RL, dtype=self._model.dtype)[:, None, None]
        bias_R11L.masked_fill_(~seen_RL[:, None, None], float("-inf"))
        hidden_RLH = self._model.model.language_model(
            inputs_embeds=self._model.get_input_embeddings()(tokens_R[:, None]),
            attention_mask=bias_R11L,
            position_ids=rows.next_position_R[None, :, None].expand(3, -1, -1),
            past_key_values=rows.cache,
        ).last_hidden_state
        logits_RV = self._model.lm_head(hidden_RLH[:, -1])
        return _Rows(rows.cache, mask_RL, rows.next_position_R + 1, logits_RV)


def _select(rows: _Rows, kept_R: torch.Tensor) -> _Rows:
    """Select rows, and drop columns that none of them uses."""
    mask_RL = rows.mask_RL[kept_R]
    start = int(mask_RL.argmax(dim=1).min())
    rows.cache.select(kept_R, start)
    return _Rows(
        rows.cache, mask_RL[:, start:], rows.next_position_R[kept_R], rows.logits_RV[kept_R]
    )


def _join(rows: _Rows, others: _Rows) -> _Rows:
    """Append rows in the first batch's memory; all rows end in the same column."""
    rows.cache.join(others.cache)
    length = max(rows.mask_RL.shape[1], others.mask_RL.shape[1])
    masks = [
        functional.pad(one.mask_RL, (length - one.mask_RL.shape[1], 0)) for one in (rows, others)
    ]
    return _Rows(
        rows.cache,
        torch.cat(masks),
        torch.cat([rows.next_position_R, others.next_position_R]),
        torch.cat([rows.logits_RV, others.logits_RV]),
    )


def _distinct(pictures: Sequence[Image.Image]) -> tuple[list[Image.Image], list[int]]:
    """Distinct pictures, and the index of each given picture among them."""
    objects = {id(picture): picture for picture in pictures}
    contents = {key: (one.mode, one.size, one.tobytes()) for key, one in objects.items()}
    distinct = {contents[key]: picture for key, picture in objects.items()}
    numbers = {content: number for number, content in enumerate(distinct)}
    return list(distinct.values()), [numbers[contents[id(picture)]] for picture in pictures]


def _features_of(features: ModelOutput, numbers: Sequence[int]) -> ModelOutput:
    """Features of selected pictures; Qwen2.5-VL has none for deeper layers."""
    return BaseModelOutputWithDeepstackFeatures(
        pooler_output=[features.pooler_output[number] for number in numbers],
        deepstack_features=[
            [layer[number] for number in numbers]
            for layer in features.get("deepstack_features") or ()
        ],
    )


@contextmanager
def _timed(measure: Measure, name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    measure(name, time.perf_counter() - start)
