"""Data to train scalar heads on: several labelled edits of each task, and rankings."""

import itertools

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import RankedPicture, Ranking, RowOrigin
from spatialreward.data.filters.fingerprints import fingerprint
from spatialreward.data.packing.rankings import RANKINGS
from spatialreward.data.packing.shards import ShardWriter, write_shard
from spatialreward.images import decode_image
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import Scores
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples

NOTHING_DONE = Scores(editing_success=0, over_editing=25, naturalness=25, artifact_freedom=25)
ANOTHER_SCENE = Scores(editing_success=0, over_editing=0, naturalness=25, artifact_freedom=25)


def edits_of_tasks(num_tasks, first=0):
    """Three edits a task: as drawn, the source again, and the next task's picture."""
    samples = list(draw_samples(DataConfig(seed=21), "train", num_tasks + 1, first=first))
    for number, (sample, other) in enumerate(itertools.pairwise(samples)):
        edit = labelled_edit(sample, RowOrigin(file="tasks", row=str(number)))
        yield edit
        for name, picture, scores in (
            ("undone", sample.source, NOTHING_DONE),
            ("other", other.edited, ANOTHER_SCENE),
        ):
            looks = (edit.fingerprints[0], fingerprint(decode_image(picture, "picture")))
            label = edit.label.model_copy(
                update={"scores": scores, "reward": Aggregation().reward(scores), "regions": ()}
                | {"sc_reasoning": "<|global|> nothing", "pq_reasoning": "<|global|> clean"}
            )
            changed = {"edited": picture, "label": label, "fingerprints": looks}
            yield edit.model_copy(update={"id": f"{edit.id}-{name}"} | changed)


def tasks_of(folder, num_tasks, first=0):
    """A packed data set of them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_shard(folder / "edits.parquet", edits_of_tasks(num_tasks, first))
    return Dataset(folder)


def rankings_of(folder, num_rankings, dimensions, first=0):
    """A packed data set of the same edits as rankings, by the labels; its edits have no labels."""
    folder.mkdir(parents=True, exist_ok=True)
    edits = list(edits_of_tasks(num_rankings, first))
    bare = [one.model_copy(update={"label": None, "truth": None}) for one in edits]
    write_shard(folder / "edits.parquet", bare)
    with ShardWriter(folder / "rankings-00000.parquet", layout=RANKINGS) as writer:
        for start in range(0, len(edits), 3):
            writer.write(ranking(edits[start : start + 3], dimensions))
    return Dataset(folder)


def ranking(task, dimensions):
    """The edits of one task in the order of one of their scores, by the dimension's name."""
    orders = {}
    for dimension, score in dimensions.items():
        values = [getattr(edit.label.scores, score) for edit in task]
        best_first = sorted(set(values), reverse=True)
        orders[dimension] = tuple(best_first.index(value) for value in values)
    prints = (task[0].fingerprints[0], *(edit.fingerprints[-1] for edit in task))
    return Ranking(
        id=task[0].id,
        instruction=task[0].instruction,
        sources=task[0].sources,
        edits=tuple(RankedPicture(id=edit.id, edited=edit.edited) for edit in task),
        orders=orders,
        fingerprints=prints,
        origin=task[0].origin,
    )
