"""``python -m serving.bench.real_shaped``: a judge in the shape of the public checkpoints.

Qwen3-VL's classes at toy width with random weights, Qwen's own vocabulary of 151,669 tokens, and
the files of a public folder. A short overfit trains it on fixed answers; then it has to return them
word for word, in this process and through Triton, and the soft scores have to match brute force.
This tests the integration; such a judge knows nothing.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from spatialreward.cli.command import SingleCommand, configure_logging

if TYPE_CHECKING:
    from spatialreward.edits import Edit
    from spatialreward.figures import Figure
    from spatialreward.judges.engines.engine import Judge
    from spatialreward.judges.qwen_vl.processor import Processor
    from spatialreward.protocol.prompts import Protocol
    from spatialreward.records import Judgement

SEED = 4
SOFT_TOLERANCE = 1e-4
_FOLDER = Path("build/bench-real-shaped")
_SIDE = 256
_NUM_BRUTE_FORCED = 4

app = typer.Typer(pretty_exceptions_enable=False)


class Taught(NamedTuple):
    """One edit with the answers to learn for it."""

    edit: "Edit"
    semantic: str
    perceptual: str


@app.command(cls=SingleCommand)
def main(
    vocabulary: Annotated[
        Path, typer.Option(metavar="FILE", help="Qwen's ranks, `qwen.tiktoken`.")
    ],
    max_steps: Annotated[int, typer.Option(min=1, help="Steps of the overfit.")] = 250,
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Build, train, judge in process and through Triton; writes real-shaped.json."""
    configure_logging(verbose=verbose)
    from serving.bench.triton import served_judge
    from spatialreward.client import TritonJudge
    from spatialreward.figures import figures_console, figures_table, write_figures
    from spatialreward.judges.engines.engine import Judge

    shutil.rmtree(_FOLDER, ignore_errors=True)
    taught = lessons()
    folder = build(_FOLDER, vocabulary, taught, max_steps=max_steps)
    judge = Judge.load(folder)
    figures = in_process(judge, taught)
    figures.append(soft_score_figure(folder, taught))
    with served_judge(folder, _FOLDER / "stack") as served, TritonJudge(served.endpoint) as triton:
        edits = [one.edit for one in taught]
        figures.append(
            _word_for_word("real_shaped/triton_word_for_word", taught, triton.judge(edits))
        )
    path = write_figures("real-shaped", figures, seeds={"weights": SEED})
    figures_console().print(figures_table("a judge in the shape of the public ones", figures))
    typer.echo(f"written to {path}")


def lessons() -> list[Taught]:
    """Twelve edits of four kinds of answers, with characters that take several tokens."""
    import numpy as np
    from PIL import Image

    from spatialreward.edits import Edit

    draw = np.random.default_rng(SEED)
    taught = []
    for number in range(12):
        source, edited = (
            Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).resize((_SIDE, _SIDE))
            for _ in range(2)
        )
        semantic, perceptual = _answers(number)
        taught.append(Taught(Edit(source, edited, f"make it {number}"), semantic, perceptual))
    return taught


def _answers(number: int) -> tuple[str, str]:
    label = ("红色的围巾 🧣", "red hat", "größerer Hut", "赤い帽子 🎩")[number % 4]
    semantic = json.dumps(
        {
            "edit_region": [{"id": 0, "label": label, "bbox_2d": [250, 266, 500, 600 + number]}],
            "reasoning": f"<|bbox_0|> 女孩戴上了围巾 🧣 龘 {number}. <|global|> fertig",
            "score": [2 * number, 25 - number],
        },
        ensure_ascii=False,
    )
    quality = {"reasoning": f"nothing broken ✨ {number}", "score": [number, 20]}
    perceptual = json.dumps(quality, ensure_ascii=False, indent=2 if number % 2 else None)
    draft = '{"edit_region": [], "reasoning": "nothing", "score": [0, 0]}'
    thoughts = ("", f"<think>maybe {draft} but no</think>\n\n", "<think>\n\n</think>\n\n", "")
    return thoughts[number % 4] + semantic, perceptual


def build(folder: Path, vocabulary: Path, taught: Sequence[Taught], *, max_steps: int) -> Path:
    """A trained checkpoint in the layout of the hub, in 16 bits."""
    import torch
    from transformers import Qwen2VLImageProcessorPil, Qwen3VLConfig

    from serving.bench.fixed_answers import teach
    from serving.bench.qwen_vocabulary import qwen_tokenizer, read_ranks
    from spatialreward.judges.qwen_vl import checkpoint
    from spatialreward.judges.qwen_vl.processor import Processor

    tokenizer = qwen_tokenizer(read_ranks(vocabulary))
    pictures = Qwen2VLImageProcessorPil(
        patch_size=16,
        temporal_patch_size=2,
        merge_size=2,
        size={"shortest_edge": 65_536, "longest_edge": 16_777_216},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    protocol = _protocol()
    processor = Processor(tokenizer, pictures, None).following(protocol)
    model = _random_model(Qwen3VLConfig(**_config(tokenizer)))
    questions, answers = _lessons_of(protocol, taught)
    loss = teach(model, processor, questions, answers, max_steps=max_steps)
    typer.echo(f"taught {len(answers)} answers; the loss is {loss:.4f}")
    made = folder / "judge"
    checkpoint.save(made, model.to(torch.bfloat16), processor, {"kind": "fixed answers"}, protocol)
    return made


def _protocol() -> "Protocol":
    from spatialreward.protocol.prompts import FULL

    return FULL.model_copy(update={"max_answer_tokens": 300})


def _lessons_of(protocol: "Protocol", taught: Sequence[Taught]):
    from spatialreward.judges.questions import perceptual_question, semantic_question

    questions = [semantic_question(protocol, one.edit) for one in taught]
    questions += [perceptual_question(protocol, one.edit) for one in taught]
    return questions, [*(one.semantic for one in taught), *(one.perceptual for one in taught)]


def _config(tokenizer) -> dict[str, object]:
    """The public configurations, with smaller widths and depths."""
    return {
        "text_config": {
            "vocab_size": 151_936,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 262_144,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5_000_000.0,
                "mrope_section": [3, 3, 2],
                "mrope_interleaved": True,
            },
        },
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 2304,
            "deepstack_visual_indexes": [0],
        },
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        "tie_word_embeddings": True,
    }


def _random_model(config):
    import torch
    from transformers import Qwen3VLForConditionalGeneration

    torch.manual_seed(SEED)
    return Qwen3VLForConditionalGeneration(config)


def in_process(judge: "Judge", taught: Sequence[Taught]) -> "list[Figure]":
    """Whether a batch of twelve returns the learnt answers, and single calls equal the batch."""
    from spatialreward.figures import Figure

    edits = [one.edit for one in taught]
    together = judge.judge(edits)
    alone = [judge.judge([edit])[0] for edit in edits]
    pairs = list(zip(together, alone, strict=True))
    same = [one.scores == other.scores and _said(one) == _said(other) for one, other in pairs]
    apart = max(abs((a.reward or 0.0) - (b.reward or 0.0)) for a, b in pairs)
    return [
        _word_for_word("real_shaped/word_for_word", taught, together),
        Figure.at_least("real_shaped/alone_as_in_company", sum(same) / len(same), 1.0),
        Figure.at_most("real_shaped/reward_apart", apart, SOFT_TOLERANCE),
    ]


def _word_for_word(name: str, taught: Sequence[Taught], judgements: "Sequence[Judgement]"):
    from spatialreward.figures import Figure
    from spatialreward.protocol.parsing import parse_perceptual, parse_semantic

    right = 0
    for one, judgement in zip(taught, judgements, strict=True):
        semantic, perceptual = parse_semantic(one.semantic), parse_perceptual(one.perceptual)
        expected = (semantic.edit_region, semantic.reasoning, perceptual.reasoning)
        scores = tuple(judgement.scores.given().values()) if judgement.scores else ()
        right += _said(judgement) == expected and scores == (*semantic.score, *perceptual.score)
    return Figure.at_least(name, right / len(taught), 1.0)


def _said(judgement: "Judgement"):
    return (judgement.regions, judgement.sc_reasoning, judgement.pq_reasoning)


def soft_score_figure(folder: Path, taught: Sequence[Taught]) -> "Figure":
    """Largest difference of a soft score from brute force; baseline: that of the hard scores."""
    from serving.bench.fixed_answers import brute_force_mean
    from spatialreward.figures import Figure
    from spatialreward.judges.engines.engine import Judge
    from spatialreward.judges.questions import perceptual_question
    from spatialreward.judges.qwen_vl import checkpoint
    from spatialreward.judges.qwen_vl.vocabulary import Digits, Vocabulary

    protocol = _protocol()
    model, processor = checkpoint.load(folder, protocol.square_side)
    processor = processor.following(protocol)
    tokens = Vocabulary(processor.tokenizer).scores
    assert isinstance(tokens, Digits)
    measured = taught[:_NUM_BRUTE_FORCED]
    judgements = Judge.of_model(model, processor, protocol).judge([one.edit for one in measured])
    apart, hard_apart = [], []
    for one, judgement in zip(measured, judgements, strict=True):
        question = perceptual_question(protocol, one.edit)
        for before, soft, hard in zip(
            _score_places(processor, one.perceptual),
            list(judgement.soft_scores.given().values())[2:],
            list(judgement.scores.given().values())[2:],
            strict=True,
        ):
            mean = brute_force_mean(model, processor, question, before, tokens)
            apart.append(abs(soft - mean))
            hard_apart.append(abs(hard - mean))
    return Figure.at_most(
        "real_shaped/soft_score_error", max(apart), SOFT_TOLERANCE, baseline=max(hard_apart)
    )


def _score_places(processor: "Processor", answer: str) -> list[list[int]]:
    """The tokens before each score of an answer."""
    from spatialreward.judges.qwen_vl.answers import GrowingAnswer
    from spatialreward.judges.qwen_vl.vocabulary import Vocabulary

    vocabulary = Vocabulary(processor.tokenizer)
    tokens = processor.tokenizer(answer, add_special_tokens=False)["input_ids"]
    growing, places = GrowingAnswer(vocabulary.bytes_of), []
    for at, token in enumerate(tokens):
        if growing.at_score and token in vocabulary.first_tokens:
            places.append(tokens[:at])
        growing.write(token)
    return places


if __name__ == "__main__":
    app()
