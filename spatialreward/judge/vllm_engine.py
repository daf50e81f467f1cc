"""Answers of a model that vLLM runs in this process, many questions in few passes.

What questions have in common is computed once by vLLM's own caches: features by a picture's
content, keys and values by the tokens and pictures before them. An answer cannot leave the form
that its stream has. Left out: answers that arrive one by one, since whoever asks waits for all.
"""

import math
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Self

from spatialreward.judge.answer_schema import answer_form, score_tokens
from spatialreward.judge.answers import Generated, GrowingAnswer, More, nothing
from spatialreward.judge.interface import Measure, ignore
from spatialreward.judge.processor import Processor
from spatialreward.judge.questions import Question
from spatialreward.protocol.prompts import Protocol

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt
    from vllm.outputs import CompletionOutput, RequestOutput


class VllmEngine:
    """Greedy or sampled answers; safe to use from several threads, which then take turns."""

    def __init__(self, llm: "LLM", processor: Processor, *, max_answer_tokens: int) -> None:
        """Take the parts.

        Args:
            llm: the model, with prefix caching on.
            processor: follows the protocol of the checkpoint.
            max_answer_tokens: a longer answer is cut off there.
        """
        self._llm = llm
        self._processor = processor
        self._max_answer_tokens = max_answer_tokens
        self._score_tokens = score_tokens(processor.tokenizer)
        self._piece = cache(self._text_of)
        self._turn = threading.Lock()

    @classmethod
    def load(
        cls, folder: Path, protocol: Protocol, *, num_gpus: int = 1, gpu_memory_share: float = 0.9
    ) -> Self:
        """Start vLLM on a judge's checkpoint, in 16 bits.

        Args:
            folder: the checkpoint.
            protocol: what the checkpoint was trained with.
            num_gpus: each layer is split over so many.
            gpu_memory_share: of each GPU's memory, for weights and caches together.
        """
        from vllm import LLM

        processor = Processor.load(folder, protocol.square_side).following(protocol)
        llm = LLM(
            model=str(folder),
            dtype="bfloat16",
            enable_prefix_caching=True,
            gpu_memory_utilization=gpu_memory_share,
            limit_mm_per_prompt={"video": 0},
            max_model_len=-1,  # the longest that fits the memory
            tensor_parallel_size=num_gpus,
        )
        return cls(llm, processor, max_answer_tokens=protocol.max_answer_tokens)

    def answer(
        self, questions: Sequence[Question], measure: Measure = ignore, more: More = nothing
    ) -> Iterator[tuple[int, Generated]]:
        """Each question's number and its answer, all in one batch.

        Args:
            questions: at least one.
            measure: is told the seconds from asking to answering, and how much was shared.
            more: is not asked; vLLM takes a batch as a whole here.

        Raises:
            vllm.exceptions.VLLMValidationError: a question is longer than the model can read.
            RuntimeError: vLLM gave an answer up; its log says why.
        """
        prompts = [self._prompt(question) for question in questions]
        sampling = [self._sampling(question) for question in questions]
        with self._turn:
            start = time.perf_counter()
            outputs = self._llm.generate(prompts, sampling, use_tqdm=False)
            measure("seconds/generate", time.perf_counter() - start)
        _measure_sharing(outputs, measure)
        yield from enumerate(self._read(output.outputs[0]) for output in outputs)

    def _prompt(self, question: Question) -> "TokensPrompt":
        return {
            # One token a picture: vLLM puts as many in its place as the picture takes.
            "prompt_token_ids": self._processor.prompt_tokens(question, repeat(1)),
            "multi_modal_data": {
                "image": [self._processor.resized(picture) for picture in question.pictures]
            },
        }

    def _sampling(self, question: Question) -> "SamplingParams":
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        return SamplingParams(
            temperature=0.0 if question.seed is None else 1.0,
            seed=question.seed,
            max_tokens=self._max_answer_tokens,
            structured_outputs=StructuredOutputsParams(regex=answer_form(question)),
            logprob_token_ids=self._score_tokens,
            flat_logprobs=True,
            # Else vLLM decodes all scores' tokens anew at every token.
            detokenize=False,
        )

    def _read(self, output: "CompletionOutput") -> Generated:
        if output.finish_reason not in ("stop", "length"):
            raise RuntimeError(f"vLLM ended an answer with {output.finish_reason!r}")
        text = self._text_of(*output.token_ids)
        return Generated(text, output.finish_reason == "stop", tuple(self._soft_scores(output)))

    def _soft_scores(self, output: "CompletionOutput") -> Iterator[float]:
        if self._score_tokens is None:
            return
        answer = GrowingAnswer()
        for position, token in enumerate(output.token_ids):
            if answer.at_score:
                known = output.logprobs[position]
                yield _mean([known[score].logprob for score in self._score_tokens])
            answer.write(self._piece(token))

    def _text_of(self, *tokens: int) -> str:
        return self._processor.tokenizer.decode(list(tokens), skip_special_tokens=True)


def _mean(log_probabilities: Sequence[float]) -> float:
    """Mean of the scores 0, 1, 2, ..., weighted by their probabilities among themselves."""
    largest = max(log_probabilities)
    weights = [math.exp(one - largest) for one in log_probabilities]
    return sum(score * weight for score, weight in enumerate(weights)) / sum(weights)


def _measure_sharing(outputs: Sequence["RequestOutput"], measure: Measure) -> None:
    asked = sum(len(output.prompt_token_ids) for output in outputs)
    measure("prompt_tokens/asked", asked)
    measure("prompt_tokens/computed", asked - sum(output.num_cached_tokens for output in outputs))
