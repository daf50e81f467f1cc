"""Prepares one row: checks and compares its pictures, and scales them down for packing."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.data.corpus.pictures import packed
from spatialreward.data.edits import LabelledEdit, Ranking, Rejected, SourceRow
from spatialreward.data.filters.boxes import check_boxes
from spatialreward.data.filters.fingerprints import fingerprint
from spatialreward.data.filters.licenses import check_license
from spatialreward.data.filters.pictures import check_text, open_picture, open_pictures
from spatialreward.data.filters.reasons import Finding
from spatialreward.data.regions.proposal import propose
from spatialreward.data.regions.second_opinion import reconcile
from spatialreward.data.teacher.config import TeacherConfig
from spatialreward.data.teacher.grounding import Grounding, ground_all
from spatialreward.images import check_instruction


def prepare(row: SourceRow, config: CorpusConfig) -> LabelledEdit | Ranking | Rejected:
    """A row with its spatial prior and fingerprints, or why it is unusable."""
    match row:
        case LabelledEdit():
            return _prepared_edit(row, config)
        case Ranking():
            return _prepared_ranking(row, config)
    return row


def _prepared_edit(row: LabelledEdit, config: CorpusConfig) -> LabelledEdit | Rejected:
    filters = config.filters
    # A picture without a source is judged by quality alone, so its instruction does not matter.
    needs_instruction = bool(row.sources) or bool(row.instruction.strip())
    if needs_instruction and (
        finding := check_text(row.instruction, filters.max_instruction_characters)
    ):
        return finding.reject(row.id, row.origin)
    license = row.license.strip() or config.license
    if finding := check_license(license, filters.licenses):
        return finding.reject(row.id, row.origin)
    pictures = open_pictures(row, filters.pictures)
    if isinstance(pictures, Finding):
        return pictures.reject(row.id, row.origin)
    # A teacher is not asked about a picture without a source.
    is_asked_anew = config.relabel and bool(row.sources)
    prior, edited = None, None
    if row.edited is not None and pictures.edited is not None:
        if pictures.sources:
            # The first source is the edited one; others are references.
            prior = propose(pictures.sources[0], pictures.edited, config.regions)
            boxes = row.given_regions or (row.label.regions if row.label else ())
            if finding := check_boxes(boxes, prior, filters.evidence):
                return finding.reject(row.id, row.origin)
        edited = packed(row.edited, pictures.edited, config.pictures)
    return row.model_copy(
        update={
            "instruction": check_instruction(row.instruction) if needs_instruction else "",
            "sources": tuple(
                packed(data, image, config.pictures)
                for data, image in zip(row.sources, pictures.sources, strict=True)
            ),
            "edited": edited,
            "prior": prior,
            "fingerprints": pictures.fingerprints(),
            "license": license,
            "label": None if is_asked_anew else row.label,
            "verified": None if is_asked_anew else row.verified,
        }
    )


def _prepared_ranking(row: Ranking, config: CorpusConfig) -> Ranking | Rejected:
    license = row.license.strip() or config.license
    finding = check_text(
        row.instruction, config.filters.max_instruction_characters
    ) or check_license(license, config.filters.licenses)
    if finding is not None:
        return _rejected_ranking(row, finding)
    files = [*row.sources, *(one.edited for one in row.edits)]
    names = [f"source {number}" for number in range(len(row.sources))]
    names += [f"edited {one.id}" for one in row.edits]
    kept, fingerprints = [], []
    for data, name in zip(files, names, strict=True):
        picture = open_picture(data, name, config.filters.pictures)
        if isinstance(picture, Finding):
            return _rejected_ranking(row, picture)
        kept.append(packed(data, picture, config.pictures))
        fingerprints.append(fingerprint(picture))
    sources, edited = kept[: len(row.sources)], kept[len(row.sources) :]
    edits = (
        one.model_copy(update={"edited": data}) for one, data in zip(row.edits, edited, strict=True)
    )
    changed = {
        "instruction": check_instruction(row.instruction),
        "sources": tuple(sources),
        "edits": tuple(edits),
        "fingerprints": tuple(fingerprints),
        "license": license,
    }
    return row.model_copy(update=changed)


def _rejected_ranking(row: Ranking, finding: Finding) -> Rejected:
    return finding.reject(row.id, row.origin).model_copy(update={"kind": "ranking"})


def with_second_opinion(
    edits: Iterable[LabelledEdit], teacher: TeacherConfig, ledger: Path, total: int
) -> Iterator[LabelledEdit]:
    """Edits whose regions are reconciled with boxes of the objects in the instruction.

    Without a second opinion the pixels alone count.
    """
    asked: list[LabelledEdit] = []

    def remembered() -> Iterator[LabelledEdit]:
        for edit in edits:
            asked.append(edit)
            yield edit

    # Answers keep the order of the edits, a few behind the requests.
    own_ledger = ledger.with_name(f"boxes-{ledger.name}")
    for opinion in ground_all(remembered(), teacher, own_ledger, total=total):
        edit = asked.pop(0)
        if isinstance(opinion, Grounding) and edit.prior is not None:
            boxes = [region.bbox_2d for region in opinion.regions]
            edit = edit.model_copy(update={"prior": reconcile(edit.prior, boxes)})
        yield edit
