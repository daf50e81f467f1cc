"""Makes a protocol file from the prompts in the user's checkout of a public judge's code.

The code is parsed, never imported or run; this library ships none of its prompts. Checkpoints
were trained with the exact prompts, so these are copied verbatim. The other fields of a protocol
(picture sizes, longest answer, scale) follow that code; see ``docs/judge.md``.
"""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.formats import AnswerFormat, ScoreScale
from spatialreward.protocol.prompts import Protocol
from spatialreward.protocol.python_texts import PythonSource
from spatialreward.records import AnswerForm
from spatialreward.validation import first_problem

SOURCE_FILE = Path("eval/MERBench/dataset.py")
_EDITSCORE = Path("editscore/vie_prompts.py")
_EDITSCORE_CHAT = Path("editscore/mllm_tools/qwen25vl.py")
_VIESCORE = Path("viescore/vie_prompts.py")
_EDITREWARD = Path("EditReward/dataset/prompts.py")
_EDITREWARD_ENDING = Path("EditReward/dataset/data_collator_qwen_edit.py")
_RATIONAL = Path("diffusion_rl_training/train_flux_kontext_rationalrewards.py")
_FIRM = Path("editing/reward_server/prompt_template.py")
_UNIFIED = Path("UnifiedReward-Edit/edit_pointwise_instruction_following.py")
_UNIFIED_QUALITY = Path("UnifiedReward-Edit/edit_pointwise_quality.py")

_INSTRUCTION = "{instruction}"
_BOTH = "{source}{edited}"
_PICTURE = "<image>"
_TEN, _TWENTY_FIVE = "10", "25"


class PublicJudge(StrEnum):
    """Public judges whose prompts this module can import."""

    SPATIALREWARD = "spatialreward"
    EDITSCORE_QWEN2_5_VL = "editscore-qwen2.5-vl"
    EDITSCORE_QWEN3_VL = "editscore-qwen3-vl"
    VIESCORE = "viescore"
    """A prompt for models behind an address, not a judge; GEdit-Bench's grader."""
    EDITREWARD = "editreward"
    RATIONALREWARDS = "rationalrewards"
    FIRM_EDIT = "firm-edit"
    UNIFIEDREWARD_EDIT = "unifiedreward-edit"


class _Known(NamedTuple):
    """Where a judge's prompts are, and how to build a protocol from them."""

    file: Path
    """Path within the checkout; identifies the judge."""
    fields: Callable[[Path], dict[str, Any]]
    """Builds a protocol's fields except its name from the checkout's folder."""


def import_protocol(
    checkout: Path, *, judge: PublicJudge | None = None, name: str | None = None
) -> Protocol:
    """A protocol with the prompts of a checkout.

    Args:
        checkout: the folder of the judge's code.
        judge: the judge; None: the only one whose code this is.
        name: of the protocol; default: the judge's.

    Raises:
        InvalidInputError: the prompts are missing or in an unknown form, or the checkout has those
            of several judges.
    """
    judge = judge or _judge_of(checkout)
    known = _KNOWN[judge]
    path = checkout / known.file
    if not path.is_file():
        raise InvalidInputError(
            f"{checkout}: no checkout of the code of {judge} here, expected {known.file}"
        )
    try:
        return Protocol(name=name or judge.value, **known.fields(checkout))
    except ValidationError as error:
        raise InvalidInputError(f"{path}: {first_problem(error, Protocol)}") from error


def _judge_of(checkout: Path) -> PublicJudge:
    found = [one for one, known in _KNOWN.items() if (checkout / known.file).is_file()]
    if not found:
        files = ", ".join(sorted({str(known.file) for known in _KNOWN.values()}))
        raise InvalidInputError(
            f"{checkout}: no checkout of the code of a judge that is known, expected one of {files}"
        )
    if len(found) > 1:
        raise InvalidInputError(f"{checkout}: name the judge: one of {', '.join(found)}")
    return found[0]


def _spatialreward(checkout: Path) -> dict[str, Any]:
    """Pictures first, then the text.

    The SC prompt goes through Python's ``format`` there, which makes doubled braces single. The PQ
    prompt does not; the models were trained with its doubled braces.
    """
    source = PythonSource(checkout / SOURCE_FILE)
    return {
        "semantic": _BOTH + source.template("SC_PROMPT_TEMPLATE", _INSTRUCTION),
        "perceptual": "{edited}" + source.text("PQ_PROMPT"),
        # The largest pictures that the published checkpoint saw in training (GRPO).
        "max_pixels": 401_408,
        # The limit in the reference code's evaluation.
        "max_answer_tokens": 4096,
    }


def _viescore(checkout: Path) -> dict[str, Any]:
    """Text-guided editing, text first, on a scale of ten; GEdit-Bench's code has a copy."""
    source = PythonSource(checkout / _VIESCORE)
    context = source.text("_context_no_delimit")
    compare = source.text("_prompts_0shot_two_image_edit_rule")
    scores = source.text("_prompts_0shot_tie_rule_SC").replace("<instruction>", _INSTRUCTION)
    return {
        "format": AnswerFormat.TWO_SCORES,
        "semantic": "\n".join((context, compare, scores)) + _BOTH,
        "perceptual": "\n".join((context, source.text("_prompts_0shot_rule_PQ"))) + "{edited}",
        "scale": ScoreScale(lowest=0, highest=10),
        "answer": AnswerForm.REASONING,
        "max_sources": 1,
        # The limit in GEdit-Bench's grading.
        "max_answer_tokens": 1400,
        "aggregation": Aggregation(form="min"),
    }


def _editscore(checkout: Path) -> dict[str, Any]:
    """Rules for a scale of ten, in which the code substitutes 25."""
    source = PythonSource(checkout / _EDITSCORE)
    context = source.text("_context_no_delimit_reasoning_first")
    compare = source.text("_prompts_0shot_two_image_edit_rule")
    scores, quality = (
        source.text(name).replace(_TEN, _TWENTY_FIVE)
        for name in ("_prompts_0shot_tie_rule_SC", "_prompts_0shot_rule_PQ")
    )
    semantic = "\n".join((context, compare, scores.replace("<instruction>", _INSTRUCTION)))
    return {
        "semantic": _BOTH + semantic,
        "perceptual": "{edited}" + "\n".join((context, quality)),
        "answer": AnswerForm.REASONING,
        "max_sources": 1,
        "max_answer_tokens": 512,
        "aggregation": Aggregation(form="min"),
    }


def _editscore_with_labels(checkout: Path) -> dict[str, Any]:
    """As ``_editscore``, in a chat template that numbers the pictures."""
    opening = PythonSource(checkout / _EDITSCORE_CHAT).text(
        "template", function="apply_chat_template"
    )
    ending = json.dumps("<|im_end|>\n<|im_start|>assistant\n")
    template = (
        f"{{{{ {json.dumps(opening)} }}}}{{%- set shown = namespace(pictures=0) -%}}"
        "{%- for part in messages[0].content -%}{%- if part.type == 'image' -%}"
        "{%- set shown.pictures = shown.pictures + 1 -%}"
        "{{ '<img' ~ shown.pictures ~ '>: <|vision_start|><|image_pad|><|vision_end|>' }}"
        "{%- else -%}{{ part.text }}{%- endif -%}{%- endfor -%}"
        f"{{{{ {ending} }}}}"
    )
    return _editscore(checkout) | {"chat_template": template}


def _editreward(checkout: Path) -> dict[str, Any]:
    """Two rubrics, each followed by a line with the token at which the heads read."""
    source = PythonSource(checkout / _EDITREWARD)
    ending = PythonSource(checkout / _EDITREWARD_ENDING).text("prompt_with_special_token")
    following, quality = (
        _BOTH + source.template(name, _INSTRUCTION) + ending
        for name in ("INSTRUCTION_EDIT_FOLLOWING", "INSTRUCTION_EDIT_QUALITY")
    )
    return {
        "format": AnswerFormat.HEADS,
        "semantic": following,
        "perceptual": quality,
        "answer": AnswerForm.SCORES,
        "max_sources": 1,
        "min_pixels": 256 * 28 * 28,
        "max_pixels": 256 * 28 * 28,
        "max_answer_tokens": 1,
    }


def _rationalrewards(checkout: Path) -> dict[str, Any]:
    """A system turn, then the task with both pictures in it and the guideline."""
    source = PythonSource(checkout / _RATIONAL)
    task = source.template("TASK_RELATED_TEMPLATE", _INSTRUCTION)
    asked = f"{task}\n\n{source.text('COMMON_TASK_GUIDELINE')}"
    pieces = asked.split(_PICTURE)
    if len(pieces) != 3:
        raise InvalidInputError(
            f"{source.path}: TASK_RELATED_TEMPLATE: expected {_PICTURE} twice, got it "
            f"{len(pieces) - 1} times"
        )
    before, between, behind = pieces
    return {
        "format": AnswerFormat.CRITIQUE,
        "system": source.text("SYSTEM_PROMPT"),
        "semantic": f"{before}{{source}}{between}{{edited}}{behind}",
        "perceptual": "",
        "scale": ScoreScale(lowest=1, highest=4),
        "answer": AnswerForm.REASONING,
        "max_sources": 1,
        "max_answer_tokens": 2048,
    }


def _firm_edit(checkout: Path) -> dict[str, Any]:
    """Execution and consistency, 1 to 5, which the code divides by five."""
    source = PythonSource(checkout / _FIRM)
    execution, consistency = (
        _BOTH + source.template(name, _INSTRUCTION)
        for name in ("SCORE_EXECUTION", "SCORE_CONSISTENCY")
    )
    return {
        "format": AnswerFormat.ONE_SCORE,
        "semantic": execution,
        "perceptual": consistency,
        "scale": ScoreScale(lowest=1, highest=5, zero=0),
        "answer": AnswerForm.REASONING,
        "max_sources": 1,
        "max_answer_tokens": 256,
        "aggregation": Aggregation(form="modulated", editing_success=0.6, over_editing=0.4),
    }


def _unifiedreward_edit(checkout: Path) -> dict[str, Any]:
    """The pointwise prompts; the code does not define a reward."""
    asked = PythonSource(checkout / _UNIFIED).text("problem", names={"instruction": _INSTRUCTION})
    quality = PythonSource(checkout / _UNIFIED_QUALITY).text("problem")
    return {
        "semantic": _BOTH + asked,
        "perceptual": "{edited}" + quality,
        "answer": AnswerForm.REASONING,
        "max_sources": 1,
        "max_answer_tokens": 4096,
    }


_KNOWN: Mapping[PublicJudge, _Known] = MappingProxyType(
    {
        PublicJudge.SPATIALREWARD: _Known(SOURCE_FILE, _spatialreward),
        PublicJudge.EDITSCORE_QWEN2_5_VL: _Known(_EDITSCORE, _editscore_with_labels),
        PublicJudge.EDITSCORE_QWEN3_VL: _Known(_EDITSCORE, _editscore),
        PublicJudge.VIESCORE: _Known(_VIESCORE, _viescore),
        PublicJudge.EDITREWARD: _Known(_EDITREWARD, _editreward),
        PublicJudge.RATIONALREWARDS: _Known(_RATIONAL, _rationalrewards),
        PublicJudge.FIRM_EDIT: _Known(_FIRM, _firm_edit),
        PublicJudge.UNIFIEDREWARD_EDIT: _Known(_UNIFIED, _unifiedreward_edit),
    }
)
