"""Columns of published data sets, by name, each with the origin of its schema (November 2026).

A data set can be downloaded and read as files, or streamed from the hub: the columns are the same.
A preset whose schema is not published in full is ``assumed``: its name ends so, and opening it
warns.
"""

from spatialreward.data.sources.columns import AnswerColumns, Columns, RankingColumns
from spatialreward.records import Record


class Preset(Record):
    """Mapping of one published data set."""

    hub_id: str
    form: str
    """Form of the published files, and their source kind."""
    read_at: tuple[str, ...]
    """Origin of the schema."""
    columns: tuple[Columns, ...]
    rankings: tuple[RankingColumns, ...] = ()
    """Mapping of the rows' preferences, if any."""
    assumed: str = ""
    """Unpublished part of the schema, if any, which makes the columns a guess."""


INSTRUCT_PIX2PIX = Preset(
    hub_id="timbrooks/instructpix2pix-clip-filtered",
    form="Parquet with pictures inside; `parquet` or `hub`",
    read_at=(
        "https://huggingface.co/datasets/timbrooks/instructpix2pix-clip-filtered/blob/main/README.md",
    ),
    columns=(
        Columns(
            sources=("original_image",),
            edited="edited_image",
            instruction="edit_prompt",
            given={"original_prompt": "original_prompt", "edited_prompt": "edited_prompt"},
        ),
    ),
)
"""Without a column of ids: they are file and row number."""

MAGIC_BRUSH = Preset(
    hub_id="osunlp/MagicBrush",
    form="Parquet with pictures inside; `parquet` or `hub` (splits train, dev)",
    read_at=("https://huggingface.co/datasets/osunlp/MagicBrush/blob/main/README.md",),
    columns=(
        Columns(
            sources=("source_img",),
            edited="target_img",
            instruction="instruction",
            id=("img_id", "turn_index"),
        ),
    ),
)
"""The masks (``mask_img``) are an annotator's strokes, not the changed pixels, and are not read."""

OMNI_EDIT = Preset(
    hub_id="TIGER-Lab/OmniEdit-Filtered-1.2M",
    form="Parquet with pictures inside; `parquet` or `hub` (splits train, dev)",
    read_at=(
        "https://huggingface.co/datasets/TIGER-Lab/OmniEdit-Filtered-1.2M/blob/main/README.md",
    ),
    columns=(
        Columns(
            sources=("src_img",),
            edited="edited_img",
            instruction="edited_prompt_list.-1",
            id=("omni_edit_id",),
            operation="task",
            given={
                "first_prompt": "edited_prompt_list.0",
                "sc_score_1": "sc_score_1",
                "sc_score_2": "sc_score_2",
                "sc_reasoning": "sc_reasoning",
                "pq_score": "pq_score",
                "pq_reasoning": "pq_reasoning",
                "o_score": "o_score",
            },
        ),
    ),
)
"""``edited_prompt_list`` has several wordings, and the card recommends none; others take the first,
the last or any. This preset uses the last one, and keeps the first as a further field."""

_IMGEDIT_README = "https://github.com/PKU-YuanGroup/ImgEdit/blob/main/README.md (Data Format)"
_IMGEDIT_TURN = Columns(sources=("input_images",), edited="output_images", instruction="prompt")

IMG_EDIT = Preset(
    hub_id="sysuyy/ImgEdit",
    form="Parquet with paths, pictures from the tars of Singleturn/; `parquet`",
    read_at=(_IMGEDIT_README,),
    columns=(_IMGEDIT_TURN,),
)
"""Join the parts (``cat NAME.tar.split.* | tar -x``) and set ``pictures`` to their folder."""

IMG_EDIT_MULTITURN = Preset(
    hub_id="sysuyy/ImgEdit",
    form="Parquet with paths, pictures from the tars of Multiturn/; `parquet`",
    read_at=(_IMGEDIT_README,),
    columns=(_IMGEDIT_TURN.model_copy(update={"each": "data"}),),
)
"""Every turn of a row's ``data`` becomes a separate edit; a later turn's prompt may refer to an
earlier one."""


def _side(side: str, other: str) -> Columns:
    return Columns(
        sources=("source_img",),
        edited=f"{side}_output_image",
        instruction="instruction",
        id=("unique_key",),
        part=side,
        editor=f"{side}_model",
        given={
            "pair": "unique_key",
            "overall_score": f"{side}_overall_score",
            "instruction_following_score": f"{side}_instruction_following_score",
            "quality_aesthetic_score": f"{side}_quality_aesthetic_score",
            "vote_type": "vote_type",
            "other_model": f"{other}_model",
            "other_overall_score": f"{other}_overall_score",
        },
    )


EDIT_REWARD = Preset(
    hub_id="TIGER-Lab/EditReward-Data",
    form="Parquet with pictures inside; `parquet` or `hub`",
    read_at=(
        "https://huggingface.co/datasets/TIGER-Lab/EditReward-Data/blob/"
        "32910be2574e1da64e6aa3536da10c35a695f847/README.md",
    ),
    columns=(_side("left", "right"), _side("right", "left")),
    rankings=(
        RankingColumns(
            sources=("source_img",),
            edited=("left_output_image", "right_output_image"),
            instruction="instruction",
            scores={
                name: (f"left_{name}_score", f"right_{name}_score")
                for name in ("instruction_following", "quality_aesthetic", "overall")
            },
            editors=("left_model", "right_model"),
            id=("unique_key",),
        ),
    ),
)
"""A row is a pair; each of its edited pictures becomes an edit with its own scores, 1..4 for the
two parts and their sum; the suffix of the id (``/left``) is the side. The scores also give a
ranking, with ties for equal ones; ``vote_type`` (leftvote, rightvote, tie) is kept beside the
edits."""


def _place(number: int) -> Columns:
    return Columns(
        sources=("input_image",),
        edited=f"output_images.{number}",
        instruction="instruction",
        part=str(number),
        operation="task_type",
        given={"picture": f"key.{number}", "dimension": "dimension"},
    )


EDITSCORE_PAIRS = Preset(
    hub_id="EditScore/EditReward-Bench",
    form="Arrow files, or bench.jsonl with paths below images/; `hub` or `jsonl`",
    read_at=(
        "https://huggingface.co/datasets/EditScore/EditReward-Bench/blob/main/README.md",
        "https://github.com/VectorSpaceLab/EditScore/blob/main/evaluation.py",
    ),
    columns=(_place(0), _place(1)),
    rankings=(
        RankingColumns(
            sources=("input_image",),
            edited=("output_images",),
            instruction="instruction",
            best_first="dimension",
            names=("key",),
            operation="task_type",
        ),
    ),
)
"""EditScore's form of preferences. Its published data is a benchmark: train on your own preferences
in this form, and index the benchmark instead."""

EDITSCORE_RL = Preset(
    hub_id="EditScore/EditScore-RL-Data",
    form="rl.jsonl with paths below images/; `jsonl`",
    read_at=(
        "https://github.com/VectorSpaceLab/EditScore/blob/main/examples/OmniGen2-RL/scripts/data/"
        "process_jsonl.py and extract_9_tasks.py",
        "https://github.com/VectorSpaceLab/EditScore/blob/main/examples/OmniGen2-RL/omnigen2/"
        "dataset/omnigen2_train_dataset.py",
    ),
    columns=(
        Columns(
            sources=("input_images",),
            instruction="instruction",
            operation="task_type",
            given={"meta_data": "meta_data"},
        ),
    ),
)
"""Prompts only: there is no edited picture. The fields are those that EditScore's own trainer
reads; the content of ``meta_data`` is undocumented, so it is kept as JSON text."""

_SPATIALREWARD_CARD = (
    "https://huggingface.co/datasets/SpatialReward/SpatialReward-Train/blob/main/README.md"
)
_SPATIALREWARD_REPOSITORY = "https://github.com/lorangan-ddup/SpatialReward/blob/main/"
# The question directly before the answer: a system turn may come first.
_QUESTION = "conversations.-2.value;messages.-2.content"
_ANSWER = "conversations.-1.value;messages.-1.content"

SPATIALREWARD_SFT = Preset(
    hub_id="SpatialReward/SpatialReward-Train",
    form="sft/data.jsonl with paths below images/; `jsonl`",
    read_at=(
        _SPATIALREWARD_CARD,
        _SPATIALREWARD_REPOSITORY
        + "example/SpatialReward-train/sft/qwen3vl_lora_spatial_reward.yaml",
        _SPATIALREWARD_REPOSITORY + "example/reward/server/spatial_reward_scorer.py",
    ),
    columns=(
        Columns(
            pictures="image;images",
            instruction=_QUESTION,
            instruction_after="Editing instruction:",
            answers=AnswerColumns(either=_ANSWER),
        ),
    ),
    assumed="the card names the files and the field `image` and leaves out the others. Assumed: "
    "`conversations` or `messages` as LLaMA-Factory reads them, source pictures before the edited "
    "one, the question ending in `Editing instruction:`, the answer in the JSON of the published "
    "prompts, after a think block or not",
)
"""An answer is the row's label. The SC and the PQ row of one edit become separate edits, each with
the label of its stream: rows about perceptual quality show only the edited picture, so they have no
source and no instruction."""

SPATIALREWARD_RL = Preset(
    hub_id="SpatialReward/SpatialReward-Train",
    form="rl/data.json, one list, with paths below images/; `jsonl` with files = rl/data.json",
    read_at=(
        _SPATIALREWARD_CARD,
        _SPATIALREWARD_REPOSITORY
        + "example/SpatialReward-train/rl/orm.py (GeminiConsistencyReward)",
    ),
    columns=(
        Columns(
            pictures="image;images",
            instruction="instruction",
            given={"id": "id", "solution": "solution"},
        ),
    ),
    assumed="the card names the file and the field `image` and leaves out the others. The training "
    "code reads `instruction`, `images`, `id` and `solution` (sc or pq) of every row; assumed: "
    "source pictures before the edited one",
)
"""Edits to judge, without scores. Rows whose ``solution`` is ``pq`` show only the edited
picture."""

PRESETS: dict[str, Preset] = {
    "instructpix2pix": INSTRUCT_PIX2PIX,
    "magicbrush": MAGIC_BRUSH,
    "omniedit": OMNI_EDIT,
    "imgedit": IMG_EDIT,
    "imgedit-multiturn": IMG_EDIT_MULTITURN,
    "editreward": EDIT_REWARD,
    "editscore-pairs": EDITSCORE_PAIRS,
    "editscore-rl": EDITSCORE_RL,
    "spatialreward-sft-assumed": SPATIALREWARD_SFT,
    "spatialreward-rl-assumed": SPATIALREWARD_RL,
}
