from PIL import Image

from spatialreward.data.corpus.preparing import prepare
from spatialreward.data.edits import Extent, LabelledEdit, RowOrigin
from spatialreward.data.filters.reasoning import check_annotation
from spatialreward.data.filters.reasons import Reason
from spatialreward.images import encode_png
from spatialreward.records import EditRegion, Judgement, Scores
from tests.data.corpus.made import settings
from tests.data.packing.making import label_of
from tests.data.regions.textures import foliage, frame

INSTRUCTION = "show more of the wood on the right"
WOOD = EditRegion(id=0, label="wood", bbox_2d=(0, 0, 1000, 1000))


def prepared(edited: Image.Image) -> LabelledEdit:
    source = Image.fromarray(foliage(1, 1.0, 40))
    row = LabelledEdit(
        id="wood",
        instruction=INSTRUCTION,
        sources=(encode_png(source),),
        edited=encode_png(edited),
        origin=RowOrigin(file="edits.jsonl", row="1"),
    )
    edit = prepare(row, settings())
    assert isinstance(edit, LabelledEdit)
    return edit


def finding_against(edit: LabelledEdit, label: Judgement):
    filters = settings().filters
    return check_annotation(
        label, edit.instruction, edit.prior, filters.reasoning, filters.evidence
    )


def test_a_reframed_picture_is_no_untouched_one():
    said = label_of(
        Scores(editing_success=20, over_editing=15, naturalness=22, artifact_freedom=22),
        regions=(WOOD,),
        sc_reasoning="<|bbox_0|> Other trees stand there now. <|global|> The frame moved right.",
        pq_reasoning="The leaves are sharp all over the picture.",
    )
    pixels = foliage(1, 1.0, 40)
    reframed, untouched = prepared(frame(pixels, 0.3, 0, 1, 0.9)), prepared(Image.fromarray(pixels))
    assert reframed.prior.extent is Extent.GLOBAL
    assert finding_against(reframed, said) is None
    assert untouched.prior.extent is Extent.NOTHING
    assert finding_against(untouched, said).reason is Reason.CONTRADICTION
