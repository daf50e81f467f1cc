"""Two passes over one edit: a teacher annotates it, and a second look agrees or objects."""

import asyncio
import json
from dataclasses import dataclass

from spatialreward.chat.faults import ChatFault
from spatialreward.data.edits import LabelledEdit, Rejected
from spatialreward.data.teacher import prompts
from spatialreward.data.teacher.answers import AnnotationAnswer, VerificationAnswer
from spatialreward.data.teacher.asking import Asker
from spatialreward.data.teacher.faults import REASON_PREFIX, reason_of
from spatialreward.data.teacher.pictures import EditPictures
from spatialreward.data.teacher.questions import Question
from spatialreward.data.teacher.usage import Tally
from spatialreward.errors import InvalidInputError
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.parsing import SemanticAnswer
from spatialreward.records import EditRegion, Judgement, JudgementStatus, Scores


async def annotate(asker: Asker, edit: LabelledEdit, tally: Tally) -> LabelledEdit | Rejected:
    """The edit with its annotation, or why it has none.

    Nothing is asked about an edit that has its label already, or no source picture to compare with:
    it stays as it is.

    Raises:
        BudgetSpent: no more may be asked.
        InvalidInputError: the server answers nothing at all.
    """
    if edit.label is not None or not edit.sources:
        return edit
    if edit.edited is None or edit.prior is None:
        return _rejected(edit, REASON_PREFIX + "nothing to annotate", "there is no edited picture")
    try:
        pictures = await asyncio.to_thread(EditPictures.of, edit, asker.config.pictures)
    except InvalidInputError as error:
        return _rejected(edit, "unreadable picture", str(error))
    proposed = tuple(
        EditRegion(id=number, label="", bbox_2d=region.bbox_2d)
        for number, region in enumerate(edit.prior.regions)
    )
    try:
        return await _Passes(asker, edit, pictures, proposed, tally).run()
    except ChatFault as fault:
        return _rejected(edit, reason_of(fault), fault.detail)


@dataclass(frozen=True)
class _Passes:
    asker: Asker
    edit: LabelledEdit
    pictures: EditPictures
    proposed: tuple[EditRegion, ...]
    tally: Tally

    async def run(self) -> LabelledEdit | Rejected:
        answer = await self._annotate("annotate", "")
        if not self.asker.config.verify:
            return self._result(answer, None)
        review = await self._verify(answer)
        if not review.agrees:
            objection = prompts.OBJECTION.format(
                annotation=answer.model_dump_json(), objection=prompts.quoted(review.reason)
            )
            answer = await self._annotate("annotate again", objection)
            review = await self._verify(answer)
        return self._result(answer, review.agrees)

    async def _annotate(self, stage: str, objection: str) -> AnnotationAnswer:
        text = prompts.ANNOTATE.format(
            instruction=prompts.quoted(self.edit.instruction),
            regions=prompts.region_list(self.proposed),
            language=self._language,
        )
        pictures = await asyncio.to_thread(self.pictures.with_boxes, self.proposed)
        ids = [region.id for region in self.proposed]
        question = Question(
            stage=stage.replace(" ", "_"),
            edit=self.edit.id,
            parts=(*pictures, text, *([objection] if objection else [])),
            form=AnnotationAnswer,
            check=lambda answer: answer.check_regions(ids),
        )
        return await self.asker.ask(question, self.tally)

    async def _verify(self, answer: AnnotationAnswer) -> VerificationAnswer:
        semantic = self._semantic(answer)
        shown = {
            **semantic.model_dump(exclude={"score"}),
            "editing_success": answer.editing_success,
            "over_editing": answer.over_editing,
            "quality": answer.quality,
            "naturalness": answer.naturalness,
            "artifact_freedom": answer.artifact_freedom,
        }
        text = prompts.VERIFY.format(
            instruction=prompts.quoted(self.edit.instruction),
            annotation=json.dumps(shown, ensure_ascii=False),
            language=self._language,
        )
        pictures = await asyncio.to_thread(self.pictures.with_boxes, semantic.edit_region)
        question = Question(
            stage="verify", edit=self.edit.id, parts=(*pictures, text), form=VerificationAnswer
        )
        return await self.asker.ask(question, self.tally)

    @property
    def _language(self) -> str:
        return prompts.LANGUAGES[self.asker.config.language]

    def _semantic(self, answer: AnnotationAnswer) -> SemanticAnswer:
        """The answer in the judge's form: regions in the proposed order, renumbered from 0."""
        boxes = {region.id: region.bbox_2d for region in self.proposed}
        kept = sorted(answer.regions, key=lambda region: region.id)
        regions = tuple(
            EditRegion(id=number, label=region.label, bbox_2d=boxes[region.id])
            for number, region in enumerate(kept)
        )
        told = [f"<|bbox_{number}|> {region.reasoning}" for number, region in enumerate(kept)]
        return SemanticAnswer(
            edit_region=regions,
            reasoning=" ".join([*told, f"<|global|> {answer.verdict}"]),
            score=(answer.editing_success, answer.over_editing),
        )

    def _result(self, answer: AnnotationAnswer, verified: bool | None) -> LabelledEdit | Rejected:
        if answer.missing and self.asker.config.missing_regions == "reject":
            missing = "; ".join(f"{region.label} ({region.place})" for region in answer.missing)
            return _rejected(self.edit, REASON_PREFIX + "region missing", missing)
        semantic = self._semantic(answer)
        scores = Scores(
            editing_success=answer.editing_success,
            over_editing=answer.over_editing,
            naturalness=answer.naturalness,
            artifact_freedom=answer.artifact_freedom,
        )
        label = Judgement(
            status=JudgementStatus.OK,
            regions=semantic.edit_region,
            sc_reasoning=semantic.reasoning,
            pq_reasoning=answer.quality,
            scores=scores,
            reward=Aggregation().reward(scores),
            mended=answer.mended,
            judged_by=self.asker.config.model,
        )
        return self.edit.model_copy(update={"label": label, "verified": verified})


def _rejected(edit: LabelledEdit, reason: str, detail: str) -> Rejected:
    return Rejected(id=edit.id, reason=reason, detail=detail, origin=edit.origin)
