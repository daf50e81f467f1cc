"""What a judge's server does with the bytes it is sent; free of the server itself."""

from collections.abc import Sequence

from spatialreward.errors import InvalidInputError
from spatialreward.images import check_instruction, decode_image
from spatialreward.judge.interface import EditToJudge, Judging
from spatialreward.records import Judgement, JudgementStatus


def judge_encoded(judging: Judging, edits: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes]:
    """Judge edits as they come over the wire; an unusable one fails alone, with its reason.

    Args:
        judging: the judge.
        edits: source picture file, edited picture file and UTF-8 instruction of each.

    Returns:
        A ``Judgement`` as UTF-8 JSON for each edit, in order.
    """
    decoded = [_decode(*edit) for edit in edits]
    usable = [edit for edit in decoded if isinstance(edit, EditToJudge)]
    judgements = iter(judging.judge(usable) if usable else [])
    answers = (edit if isinstance(edit, Judgement) else next(judgements) for edit in decoded)
    return [answer.model_dump_json().encode() for answer in answers]


def _decode(source: bytes, edited: bytes, instruction: bytes) -> EditToJudge | Judgement:
    try:
        text = check_instruction(instruction.decode())
        return EditToJudge(
            decode_image(source, "source picture"), decode_image(edited, "edited picture"), text
        )
    except UnicodeDecodeError:
        reason = "instruction: is not UTF-8 text"
    except InvalidInputError as error:
        reason = str(error)
    return Judgement(status=JudgementStatus.FAILED, reason=reason)
