"""Collates graded conversations for a judge with a scalar head."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spatialreward.data.views import Conversation
from spatialreward.judges.qwen_vl.scalar_head import ScalarHead
from spatialreward.records import Streams
from spatialreward.training.collating import IGNORED, Collator
from spatialreward.training.conversations import answer_of, question_of
from spatialreward.training.grading import Graded

if TYPE_CHECKING:
    from spatialreward.judges.qwen_vl.processor import Processor


class GradedCollator(Collator):
    """As ``Collator``, plus the head's ``B`` rows with two scores each.

    ``read_at`` [B]: index of the prompt's last token among the ``K + 1`` last positions, of which
    the model keeps logits; ``columns`` [B, 2]: the head's logits of the row's stream; ``groups``
    [B], ``values`` and ``known`` [B, 2]: see ``Graded``.
    """

    def __init__(self, processor: "Processor", head: ScalarHead, *, writes: bool) -> None:
        """Configure.

        Args:
            processor: following the protocol.
            head: reads the prompts.
            writes: whether the judge generates answers; otherwise it only reads prompts.
        """
        super().__init__(processor)
        self._head = head
        self._writes = writes

    def __call__(self, graded: Sequence[Graded]) -> dict[str, Any]:
        """One batch.

        Raises:
            InvalidInputError: a picture cannot be decoded; names the edit.
        """
        import torch

        conversations = [one.conversation for one in graded]
        batch = self._with_answers(conversations) if self._writes else self._asked(conversations)
        starts = [self._head.columns(Streams(one.stream)).start for one in conversations]
        return batch | {
            "columns": torch.tensor([[start, start + 1] for start in starts]),
            "groups": torch.tensor([one.group for one in graded]),
            "values": torch.tensor([one.values for one in graded], dtype=torch.float32),
            "known": torch.tensor([one.known for one in graded], dtype=torch.float32),
        }

    def _with_answers(self, conversations: Sequence[Conversation]) -> dict[str, Any]:
        import torch

        batch = super().__call__(conversations)
        labels = batch.pop("shift_labels")
        # A row's answer, its end included, follows the prompt's last token.
        batch["read_at"] = labels.shape[1] - (labels != IGNORED).sum(dim=1)
        has_answer = torch.tensor([bool(answer_of(one)) for one in conversations])
        batch["labels"] = labels.masked_fill(~has_answer[:, None], IGNORED)
        return batch

    def _asked(self, conversations: Sequence[Conversation]) -> dict[str, Any]:
        import torch

        inputs = dict(self._processor.encode([question_of(one) for one in conversations]))
        nothing = torch.empty((len(conversations), 0), dtype=torch.long)
        return inputs | {
            "labels": nothing,
            "parts": nothing,
            "read_at": torch.zeros(len(conversations), dtype=torch.long),
            "ids": [f"{one.id} ({one.stream})" for one in conversations],
        }

    def _parts(self, conversation: Conversation, answer: str) -> list[int]:
        return super()._parts(conversation, answer) if answer else [0]
