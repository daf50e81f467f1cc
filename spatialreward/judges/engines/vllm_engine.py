"""Batched generation with vLLM in this process.

vLLM's own caches compute common parts of questions once: features by a picture's content, keys and
values by the tokens and pictures before them. Answers cannot leave the form of their stream. Left
out: streaming of answers, because the caller waits for the whole batch.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, Self

from spatialreward.judges.interface import Measure, ignore
from spatialreward.judges.questions import Question
from spatialreward.judges.qwen_vl.answer_schema import answer_form, answer_forms
from spatialreward.judges.qwen_vl.answers import Generated, GrowingAnswer, More, nothing
from spatialreward.judges.qwen_vl.folder import HEAD_FILE, head_home
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.judges.qwen_vl.soft_scores import (
    LogChances,
    candidates,
    mean_of_digits,
    mean_of_whole,
)
from spatialreward.judges.qwen_vl.vocabulary import Digits, Vocabulary
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import AnswerForm

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt
    from vllm.logprobs import Logprob
    from vllm.outputs import CompletionOutput, RequestOutput


class _Written(NamedTuple):
    """A generated answer."""

    text: str
    complete: bool
    chances: Sequence[LogChances]
    """For each token, the log-probabilities of all tokens that can spell a score."""
    tokens: Sequence[int]
    places: Sequence[int]
    """Indices of the tokens that begin a score."""


@contextmanager
def without_head(folder: Path) -> Iterator[Path]:
    """A checkpoint's folder, or a folder of links to all its files except a scalar head.

    Without an index, vLLM loads every safetensors file of a folder as weights of the model.
    """
    if head_home(folder) is None:
        yield folder
        return
    with TemporaryDirectory() as others:
        for path in folder.iterdir():
            if path.name != HEAD_FILE:
                (Path(others) / path.name).symlink_to(path.resolve())
        yield Path(others)


class VllmEngine:
    """Greedy or sampled answers; safe to use from several threads, which take turns."""

    def __init__(
        self, llm: "LLM", processor: Processor, *, max_answer_tokens: int, guided: bool = True
    ) -> None:
        """Use loaded parts.

        Args:
            llm: the model, with prefix caching on.
            processor: follows the protocol of the checkpoint.
            max_answer_tokens: truncate longer answers.
            guided: constrain answers to their form.
        """
        self._llm = llm
        self._guided = guided
        self._processor = processor
        self._max_answer_tokens = max_answer_tokens
        self._thinks = processor.begins_thought
        self._vocabulary = Vocabulary(processor.tokenizer)
        self._turn = threading.Lock()

    @classmethod
    def load(
        cls,
        folder: Path,
        processor: Processor,
        protocol: Protocol,
        *,
        guided: bool = True,
        num_gpus: int = 1,
        gpu_memory_share: float = 0.9,
    ) -> Self:
        """Start vLLM on a judge's checkpoint, in 16 bits.

        Args:
            folder: the checkpoint.
            processor: of the checkpoint.
            protocol: the checkpoint's training protocol.
            guided: constrain answers to their form.
            num_gpus: split each layer over this number of GPUs.
            gpu_memory_share: share of each GPU's memory for weights and caches together.
        """
        from vllm import LLM

        with without_head(folder) as weights:
            llm = LLM(
                model=str(weights),
                dtype="bfloat16",
                enable_prefix_caching=True,
                gpu_memory_utilization=gpu_memory_share,
                limit_mm_per_prompt={"video": 0},
                max_model_len=-1,  # the longest that fits into memory
                tensor_parallel_size=num_gpus,
            )
        return cls(
            llm,
            processor.following(protocol),
            max_answer_tokens=protocol.max_answer_tokens,
            guided=guided,
        )

    def prepare(self, form: AnswerForm) -> None:
        """Make vLLM compile the forms of judgements, by generating one token of each."""
        if not self._guided:
            return
        patterns = answer_forms(form, thinking=self._thinks)
        sampling = [self._held_to(pattern, None, 1) for pattern in patterns]
        prompt = {"prompt_token_ids": self._processor.tokenizer("judge")["input_ids"]}
        with self._turn:
            self._llm.generate([prompt] * len(sampling), sampling, use_tqdm=False)

    def answer(
        self, questions: Sequence[Question], measure: Measure = ignore, more: More = nothing
    ) -> Iterator[tuple[int, Generated]]:
        """Each question's number and its answer, all in one batch.

        Args:
            questions: at least one.
            measure: receives the seconds of the whole batch, and how much was shared.
            more: unused; vLLM takes a batch as a whole here.

        Raises:
            vllm.exceptions.VLLMValidationError: a question is longer than the model can read.
            RuntimeError: vLLM aborted an answer; its log gives the reason.
        """
        prompts = [self._prompt(question) for question in questions]
        sampling = [self._sampling(question) for question in questions]
        with self._turn:
            start = time.perf_counter()
            outputs = self._llm.generate(prompts, sampling, use_tqdm=False)
            written = [
                self._read(output.outputs[0], in_words=question.in_words)
                for question, output in zip(questions, outputs, strict=True)
            ]
            means = self._soft_scores(prompts, written)
            measure("seconds/generate", time.perf_counter() - start)
        _measure_sharing(outputs, measure)
        for number, (one, soft_scores) in enumerate(zip(written, means, strict=True)):
            yield number, Generated(one.text, one.complete, tuple(soft_scores))

    def _prompt(self, question: Question) -> "TokensPrompt":
        return {
            # One token a picture: vLLM expands it to the picture's length.
            "prompt_token_ids": self._processor.prompt_tokens(question, repeat(1)),
            "multi_modal_data": {
                "image": [self._processor.resized(picture) for picture in question.pictures]
            },
        }

    def _sampling(self, question: Question) -> "SamplingParams":
        form = answer_form(question, thinking=self._thinks) if question.is_judged else None
        return self._held_to(form, question.seed, self._max_answer_tokens)

    def _held_to(self, form: str | None, seed: int | None, max_tokens: int) -> "SamplingParams":
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        is_held = self._guided and form is not None
        return SamplingParams(
            temperature=0.0 if seed is None else 1.0,
            seed=seed,
            max_tokens=max_tokens,
            structured_outputs=StructuredOutputsParams(regex=form) if is_held else None,
            **self._score_chances(),
        )

    def _one_more_token(self) -> "SamplingParams":
        from vllm import SamplingParams

        return SamplingParams(temperature=0.0, max_tokens=1, **self._score_chances())

    def _score_chances(self) -> dict[str, object]:
        tokens = self._vocabulary.scores
        return {
            "logprob_token_ids": None if tokens is None else list(candidates(tokens)),
            "flat_logprobs": True,
            # Without this, vLLM detokenizes the candidates again at every token.
            "detokenize": False,
        }

    def _read(self, output: "CompletionOutput", *, in_words: bool) -> _Written:
        if output.finish_reason not in ("stop", "length"):
            raise RuntimeError(f"vLLM ended an answer with {output.finish_reason!r}")
        text = GrowingAnswer(self._vocabulary.bytes_of, thinking=self._thinks, in_words=in_words)
        firsts = self._vocabulary.first_tokens
        places = []
        for position, token in enumerate(output.token_ids):
            if text.at_score and token in firsts:
                places.append(position)
            text.write(token)
        is_complete = text.is_complete or output.finish_reason == "stop"
        return _Written(text.text, is_complete, output.logprobs or (), output.token_ids, places)

    def _soft_scores(
        self, prompts: Sequence["TokensPrompt"], written: Sequence[_Written]
    ) -> list[list[float]]:
        tokens = self._vocabulary.scores
        if isinstance(tokens, Digits):
            behind = self._look_behind(tokens, prompts, written)
            return [
                [
                    mean_of_digits(tokens, _known(one.chances[place]), behind[number, place])
                    for place in one.places
                ]
                for number, one in enumerate(written)
            ]
        if tokens is None:
            return [[] for _ in written]
        return [
            [mean_of_whole(tokens, _known(one.chances[place])) for place in one.places]
            for one in written
        ]

    def _look_behind(
        self, tokens: Digits, prompts: Sequence["TokensPrompt"], written: Sequence[_Written]
    ) -> Mapping[tuple[int, int], Mapping[int, LogChances]]:
        """Candidates after a first digit, at each place of each answer.

        Where the model generated the digit, their log-probabilities are known; elsewhere generate
        one more token, with the prefix in vLLM's cache.
        """
        behind: dict[tuple[int, int], dict[int, LogChances]] = defaultdict(dict)
        asked, keys = [], []
        for number, one in enumerate(written):
            for place in one.places:
                for digit, token in tokens.branches().items():
                    if one.tokens[place] == token and place + 1 < len(one.tokens):
                        behind[number, place][digit] = _known(one.chances[place + 1])
                        continue
                    prompt = prompts[number]
                    read = [*prompt["prompt_token_ids"], *one.tokens[:place], token]
                    asked.append({**prompt, "prompt_token_ids": read})
                    keys.append((number, place, digit))
        if asked:
            outputs = self._llm.generate(asked, self._one_more_token(), use_tqdm=False)
            for (number, place, digit), output in zip(keys, outputs, strict=True):
                behind[number, place][digit] = _known(output.outputs[0].logprobs[0])
        return behind


def _known(logprobs: Mapping[int, "Logprob"]) -> LogChances:
    return {token: one.logprob for token, one in logprobs.items()}


def _measure_sharing(outputs: Sequence["RequestOutput"], measure: Measure) -> None:
    asked = sum(len(output.prompt_token_ids) for output in outputs)
    measure("prompt_tokens/asked", asked)
    measure("prompt_tokens/computed", asked - sum(output.num_cached_tokens for output in outputs))
