"""Edits to pack: plain ones whose numbers a reader can check, and any that the records allow."""

import io

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from spatialreward.data.edits import (
    Extent,
    LabelledEdit,
    ProposedRegion,
    RankedPicture,
    Ranking,
    RowOrigin,
    SpatialPrior,
)
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import EditRegion, Judgement, JudgementStatus, Mending, Scores


def picture(seed: int, size: tuple[int, int] = (48, 32), kind: str = "PNG") -> bytes:
    """A picture file of noise; the same for the same seed."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def label_of(scores: Scores, **fields: object) -> Judgement:
    """A label with these scores, and the reward that they make."""
    reward = Aggregation().reward(scores)
    return Judgement(status=JudgementStatus.OK, scores=scores, reward=reward, **fields)


REGIONS = (
    EditRegion(id=0, label="a red hat", bbox_2d=(100, 100, 500, 300)),
    EditRegion(id=3, label='das „Schild"', bbox_2d=(600, 0, 1000, 1000)),
)
ANNOTATION = label_of(
    Scores(editing_success=25, over_editing=10, naturalness=20, artifact_freedom=5),
    regions=REGIONS,
    sc_reasoning="<|bbox_0|> was bare, as asked. <|bbox_3|> 写着字。 <|global|> 1 of 1 done",
    pq_reasoning="<|global|> clean",
    judged_by="teacher-72b",
)
PRIOR = SpatialPrior(
    extent=Extent.LOCAL,
    regions=(ProposedRegion(bbox_2d=(90, 110, 510, 310), evidence=0.75, changed_share=0.5),),
    changed_share=0.08,
    noise=1.25,
    shift_px=(0.5, -1.0),
)


def make_edit(number: int = 0, **changes: object) -> LabelledEdit:
    """Edit ``number`` of a data set, annotated unless it is to have no label."""
    fields: dict[str, object] = {
        "id": f"edit-{number}",
        "instruction": f"Put hat number {number} on her head",
        "sources": (picture(2 * number),),
        "edited": picture(2 * number + 1),
        "operation": "add",
        "license": "CC BY 4.0",
        "prior": PRIOR,
        "label": ANNOTATION,
        "verified": None if changes.get("label", ANNOTATION) is None else True,
        "editor": "omnigen",
        "given": {"score": 7.5},
        "given_regions": REGIONS[:1],
        "fingerprints": (f"{number:016x}", "f" * 16),
        "origin": RowOrigin(file="train.jsonl", row=str(number)),
    }
    return LabelledEdit(**fields | changes)


def make_prompt(number: int = 0, **changes: object) -> LabelledEdit:
    """Row ``number`` of a data set of prompts: without edited pictures."""
    nothing: dict[str, object] = {
        "edited": None,
        "prior": None,
        "label": None,
        "given_regions": None,
        "fingerprints": (f"{number:016x}",),
    }
    return make_edit(number, **nothing | changes)


def make_alone(number: int = 0, **changes: object) -> LabelledEdit:
    """Picture ``number`` of a data set that has no sources, labelled for the PQ stream."""
    scores = Scores(naturalness=8, artifact_freedom=21)
    label = label_of(scores, pq_reasoning="The hat floats.", judged_by="judges")
    alone: dict[str, object] = {
        "instruction": "",
        "sources": (),
        "prior": None,
        "label": label,
        "verified": None,
        "given_regions": None,
        "fingerprints": (f"{number:016x}",),
    }
    return make_edit(number, **alone | changes)


def make_ranking(number: int = 0, **changes: object) -> Ranking:
    """Ranking ``number`` of a data set: three pictures, of which two tie in one dimension."""
    fields: dict[str, object] = {
        "id": f"row-{number}/ranking",
        "instruction": f"Put hat number {number} on her head",
        "sources": (picture(3 * number),),
        "edits": tuple(
            RankedPicture(id=name, edited=picture(3 * number + place), editor=f"editor-{name}")
            for place, name in enumerate("abc", start=1)
        ),
        "orders": {"instruction_following": (1, 0, 1), "überall": (0, 1, 2)},
        "operation": "add",
        "fingerprints": tuple(f"{number:015x}{place}" for place in range(4)),
        "license": "CC0",
        "origin": RowOrigin(file="pairs.jsonl", row=str(number)),
    }
    return Ranking(**fields | changes)


shares = st.floats(0, 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
pictures = st.builds(
    # Trailing bytes make many distinct files from few pictures.
    bytes.__add__,
    st.sampled_from([picture(1), picture(2, (7, 9), "JPEG"), picture(3, (5, 4), "WEBP")]),
    st.binary(max_size=40),
)
boxes = st.tuples(
    st.integers(0, 499), st.integers(0, 499), st.integers(500, 1000), st.integers(500, 1000)
)
regions = st.lists(
    st.builds(EditRegion, id=st.integers(0, 9), label=st.text(max_size=20), bbox_2d=boxes),
    max_size=4,
    unique_by=lambda region: region.id,
).map(tuple)
priors = st.builds(
    SpatialPrior,
    regions=st.lists(
        st.builds(ProposedRegion, bbox_2d=boxes, evidence=shares, changed_share=shares), max_size=3
    ).map(tuple),
    changed_share=shares,
    noise=st.floats(0, 255),
    shift_px=st.tuples(finite, finite),
    agreement=st.none() | shares,
)


def scores(values: st.SearchStrategy[float]) -> st.SearchStrategy[Scores]:
    """Scores of both streams, or of either alone."""
    pairs = st.tuples(values, values)
    none = st.just((None, None))
    both = st.one_of(st.tuples(pairs, pairs), st.tuples(pairs, none), st.tuples(none, pairs))
    names = ("editing_success", "over_editing", "naturalness", "artifact_freedom")
    return both.map(lambda four: Scores(**dict(zip(names, [*four[0], *four[1]], strict=True))))


annotations = st.builds(
    label_of,
    scores(st.floats(0, 25)),
    regions=regions,
    sc_reasoning=st.text(max_size=60),
    pq_reasoning=st.text(max_size=60),
    soft_scores=st.none() | scores(st.floats(0, 25)),
    mended=st.lists(st.sampled_from(Mending), max_size=3).map(tuple),
    judged_by=st.text(max_size=10),
)


def hashes(count: int) -> st.SearchStrategy[tuple[str, ...]]:
    """So many perceptual hashes."""
    one = st.from_regex(r"\A[0-9a-f]{16}\Z")
    return st.lists(one, min_size=count, max_size=count).map(tuple)


@st.composite
def edits(draw: st.DrawFn) -> LabelledEdit:
    """Any edit that can be packed."""
    edited = draw(st.none() | pictures)
    sources = tuple(draw(st.lists(pictures, min_size=edited is None, max_size=3)))
    labels = annotations.filter(lambda label: bool(sources) or not label.scores.is_semantic)
    label = None if edited is None else draw(st.none() | labels)
    return LabelledEdit(
        id=draw(st.text(min_size=1, max_size=20)),
        instruction=draw(st.text(max_size=60)),
        sources=sources,
        edited=edited,
        operation=draw(st.text(max_size=10)),
        editor=draw(st.text(max_size=10)),
        license=draw(st.text(max_size=10)),
        prior=draw(priors) if edited is not None and sources else None,
        label=label,
        verified=draw(st.none() | st.booleans()) if label else None,
        lost_label=draw(st.text(max_size=10)),
        given=draw(st.dictionaries(st.text(max_size=8), finite | st.text(max_size=20), max_size=4)),
        given_regions=draw(st.none() | regions),
        fingerprints=draw(hashes(len(sources) + (edited is not None))),
        origin=RowOrigin(file=draw(st.text(max_size=20)), row=draw(st.text(max_size=9))),
    )
