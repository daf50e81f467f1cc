import pickle
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialreward.data.loading.folders import LocalFolder
from spatialreward.data.loading.packed import open_packed
from spatialreward.data.loading.progress import Progress
from spatialreward.data.loading.row_groups import RowReader
from spatialreward.data.loading.state import LoadingConfig, Share
from spatialreward.data.packing.manifest import read_manifest, write_manifest
from spatialreward.errors import InvalidInputError
from tests.data.loading.packed_edits import edit, pack

SIZES = [10, 3, 7]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "edits"
    pack(folder, SIZES, rows_a_group=4)
    return folder


def start(data, **config):
    return Progress(data.begin(LoadingConfig(buffer_rows=8, **config)), Share()).state


def test_the_edits_come_as_they_were_packed_each_once(folder):
    data = open_packed(folder)
    found = sorted(
        (sample.item for sample in data.read_edits(start(data), 0)),
        key=lambda one: one.given["number"],
    )
    assert found == [edit(number) for number in range(20)]


def test_the_marks_count_the_samples_of_a_stream(folder):
    data = open_packed(str(folder))
    marks = [sample.mark for sample in data.read_edits(start(data), 0)]
    assert marks == [(0, 0, position) for position in range(20)]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 20))
def test_after_a_break_exactly_the_rest_comes(folder, taken):
    data = open_packed(folder)
    whole = [sample.item.id for sample in data.read_edits(start(data), 0)]
    progress = Progress(start(data), Share())
    stream = data.read_edits(progress.state, 0)
    first = []
    for _ in range(taken):
        sample = next(stream)
        first.append(sample.item.id)
        progress.advance([sample.mark])
    stream.close()
    rest = [sample.item.id for sample in data.read_edits(progress.state, 0)]
    assert first == whole[:taken]
    assert rest == whole[taken:]


def test_it_can_be_pickled(folder):
    data = pickle.loads(pickle.dumps(open_packed(folder)))
    assert len(list(data.read_edits(start(data), 0))) == 20


class Counted(LocalFolder):
    """A folder that notes what is fetched, by how many threads, and how far the reader is."""

    def __init__(self, path):
        super().__init__(path)
        self.fetched = []

    def connect(self):
        reader, fetched = super().connect(), self.fetched

        class Counting:
            def fetch(self, shard, start, length):
                fetched.append((shard.name, start, length))
                return reader.fetch(shard, start, length)

            def close(self):
                reader.close()

        return Counting()


def test_a_row_group_is_one_read_and_a_footer_one(folder):
    counted = Counted(folder)
    data = open_packed(counted)
    assert len(list(data.read_edits(start(data), 0))) == 20
    # 10, 3 and 7 rows in row groups of 4: three, one and two of them, and three footers.
    assert len(counted.fetched) == 6 + 3
    assert len(set(counted.fetched)) == 9


def test_going_on_reads_only_the_buffer_in_which_it_broke_off_and_what_follows(folder):
    data = open_packed(folder)
    state = start(data)
    progress = Progress(state, Share())
    progress.advance(
        sample.mark for _, sample in zip(range(15), data.read_edits(state, 0), strict=False)
    )
    left = list(data.order(progress.state).buffers(0, 15))
    counted = Counted(folder)
    assert len(list(open_packed(counted).read_edits(progress.state, 0))) == 5
    footers = [name for name, _, length in counted.fetched if length > 4000]
    groups_of = np.repeat(np.arange(6), [4, 4, 2, 3, 4, 3])
    expected = sum(len(set(groups_of[rows].tolist())) for rows in left)
    assert len(counted.fetched) - len(footers) <= expected


def test_at_most_one_buffer_is_read_ahead(tmp_path):
    folder = tmp_path / "edits"
    pack(folder, [40], rows_a_group=4)
    counted = Counted(folder)
    data = open_packed(counted)
    stream = data.read_edits(start(data), 0)
    for position in range(1, 41):
        next(stream)
        # Buffers of 8 rows: two row groups each, and the footer once.
        begun = (position + 7) // 8 + 1
        assert len(counted.fetched) <= 1 + 2 * begun
    stream.close()
    assert not [one.name for one in threading.enumerate() if one.name.startswith("loader")]


def test_a_state_of_another_data_set_is_refused(folder, tmp_path):
    pack(tmp_path / "other", [5], rows_a_group=4)
    other = open_packed(tmp_path / "other")
    with pytest.raises(InvalidInputError, match="is of another data set, with digest"):
        other.order(start(open_packed(folder)))


def test_a_state_without_a_number_of_streams_is_refused(folder):
    data = open_packed(folder)
    with pytest.raises(InvalidInputError, match="does not say how many streams"):
        next(data.read_edits(data.begin(LoadingConfig()), 0))


def test_fewer_edits_than_streams_are_refused_if_the_remainder_is_dropped(folder):
    data = open_packed(folder)
    state = Progress(data.begin(LoadingConfig(drop_remainder=True)), Share(world_size=21)).state
    with pytest.raises(InvalidInputError, match="20 edits for 21 streams"):
        data.order(state)


def test_no_data_set_is_told_as_such(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InvalidInputError, match=r"no packed data set here, expected manifest"):
            open_packed(path)


@pytest.fixture
def own_folder(tmp_path):
    folder = tmp_path / "edits"
    pack(folder, [6, 6], rows_a_group=3)
    return folder


def test_a_shard_that_is_missing_is_named_at_once(own_folder):
    (own_folder / "train-00001.parquet").unlink()
    with pytest.raises(InvalidInputError, match=r"edits/train-00001\.parquet: shard is missing"):
        open_packed(own_folder)


def test_a_shard_of_another_size_is_named_at_once(own_folder):
    with (own_folder / "train-00001.parquet").open("ab") as file:
        file.write(b"more")
    with pytest.raises(
        InvalidInputError, match=r"train-00001\.parquet: shard has [\d,]+ bytes, exp"
    ):
        open_packed(own_folder)


def test_a_shard_that_changes_later_is_named(own_folder):
    data = open_packed(own_folder)
    with (own_folder / "train-00000.parquet").open("ab") as file:
        file.write(b"more")
    with pytest.raises(
        InvalidInputError, match=r"train-00000\.parquet: shard has [\d,]+ bytes, exp"
    ):
        list(data.read_edits(start(data), 0))


def test_a_shard_that_goes_later_is_named(own_folder):
    data = open_packed(own_folder)
    (own_folder / "train-00000.parquet").unlink()
    with pytest.raises(InvalidInputError, match=r"train-00000\.parquet: shard is missing"):
        list(data.read_edits(start(data), 0))


@pytest.mark.parametrize("where", [b"IDAT", b"PAR1"])
def test_a_flipped_byte_is_found(own_folder, where):
    path = own_folder / "train-00001.parquet"
    data = bytearray(path.read_bytes())
    # In a picture, which is under its page's checksum, and at the very end.
    data[data.rindex(where)] ^= 0xFF
    path.write_bytes(data)
    opened = open_packed(own_folder)
    with pytest.raises(InvalidInputError, match=r"train-00001\.parquet: .*(damaged|cut short)"):
        list(opened.read_edits(start(opened), 0))


def test_another_shard_of_the_same_size_is_found_by_its_row_groups(own_folder):
    manifest = read_manifest(own_folder)
    wrong = manifest.shards[0].model_copy(update={"row_groups": (2, 4)})
    write_manifest(
        manifest.model_copy(update={"shards": (wrong, *manifest.shards[1:])}), own_folder
    )
    data = open_packed(own_folder)
    with pytest.raises(InvalidInputError, match=r"00000\.parquet: has row groups of \(3, 3\) rows"):
        list(data.read_edits(start(data), 0))


def test_a_parquet_file_that_is_none_of_ours_is_refused(own_folder):
    path = own_folder / "train-00000.parquet"
    pq.write_table(pa.table({"id": ["a"] * 6}), path, row_group_size=3)
    manifest = read_manifest(own_folder)
    size = {"size_bytes": path.stat().st_size}
    shards = (manifest.shards[0].model_copy(update=size), *manifest.shards[1:])
    write_manifest(manifest.model_copy(update={"shards": shards}), own_folder)
    data = open_packed(own_folder)
    with pytest.raises(InvalidInputError, match="is not a shard of packed edits"):
        list(data.read_edits(start(data), 0))


def test_footers_of_any_length_are_read(tmp_path):
    folder = tmp_path / "edits"
    # A row group's metadata take about 2 kB, so that these do not fit in the 64 kB read first.
    pack(folder, [60], rows_a_group=1)
    counted = Counted(folder)
    data = open_packed(counted)
    assert len(list(data.read_edits(start(data), 0))) == 60
    assert len(counted.fetched) == 60 + 2


def test_rows_come_in_the_order_in_which_they_were_asked_for(folder):
    data = open_packed(folder)
    reader = RowReader(data.folder.connect(), "edits", data.manifest.shards)
    rows = np.array([19, 0, 11, 9, 10])
    found = reader.read(rows, lambda table, name: [(one, name) for one in table["id"].to_pylist()])
    assert found == [
        ("edit-19", "edits/train-00002.parquet"),
        ("edit-0", "edits/train-00000.parquet"),
        ("edit-11", "edits/train-00001.parquet"),
        ("edit-9", "edits/train-00000.parquet"),
        ("edit-10", "edits/train-00001.parquet"),
    ]
