import numpy as np
import pytest

from spatialreward.data.packing.manifest import ShardReport, gather
from spatialreward.data.packing.shards import read_edit, write_shard
from spatialreward.data.packing.statistics import Histogram, statistics_of
from tests.data.packing.making import make_alone, make_edit, make_prompt


def test_bins_include_their_lower_edge_and_the_outer_ones_all_beyond():
    histogram = Histogram([0, 1, 2, 3])
    histogram.add([0, 0.5, 1, 2.9])
    histogram.add([])
    histogram.add([3, 7, -1])
    assert histogram.counts.tolist() == [3, 1, 3]
    assert histogram.num_values == 7
    assert histogram.mean == pytest.approx(13.4 / 7)
    assert (histogram.smallest, histogram.largest) == (-1, 7)


def test_nothing_has_no_mean():
    assert np.isnan(Histogram([0, 1]).mean)


@pytest.fixture
def folder_of(tmp_path):
    def make(*shards):
        reports = [
            ShardReport(
                shard=write_shard(tmp_path / f"{number}.parquet", edits, rows_a_group=2),
                counts={},
                left_out={},
            )
            for number, edits in enumerate(shards)
        ]
        return tmp_path, gather(reports, {})

    return make


def test_samples_show_every_kind_before_any_kind_twice(folder_of):
    common = [make_edit(number) for number in range(6)]
    rare = [make_edit(6, operation="style"), make_prompt(7, operation="remove")]
    folder, manifest = folder_of(common[:3], common[3:] + rare)
    places = statistics_of(folder, manifest, 5).samples()
    drawn = [read_edit(folder / place.shard, place.row) for place in places]
    assert [edit.operation for edit in drawn[:1]] == ["add"]
    assert {edit.operation for edit in drawn[1:3]} == {"style", "remove"}
    assert [edit.operation for edit in drawn[3:]] == ["add", "add"]
    assert len({edit.id for edit in drawn}) == 5


def test_samples_do_not_depend_on_how_edits_are_sharded(folder_of):
    edits = [make_edit(number) for number in range(8)]
    drawn = []
    for shards in ((edits,), (edits[:3], edits[3:])):
        folder, manifest = folder_of(*shards)
        places = statistics_of(folder, manifest, 3).samples()
        drawn.append([read_edit(folder / place.shard, place.row).id for place in places])
    assert drawn[0] == drawn[1]


def test_a_label_of_looks_alone_says_nothing_of_regions(folder_of):
    looks = make_alone(1).label
    folder, manifest = folder_of([make_edit(1, label=looks), make_alone(2)])
    statistics = statistics_of(folder, manifest, 2)
    # The one proposed region of the first; the second has nothing to compare.
    assert statistics.num_regions.counts.tolist()[:2] == [0, 1]
    assert statistics.num_regions.num_values == 1
    assert statistics.scores["naturalness"].num_values == 2
    assert statistics.scores["editing_success"].num_values == 0
