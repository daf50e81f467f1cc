import pytest
from torch.utils.data import DataLoader

from spatialreward.data.loading.packed import open_packed
from spatialreward.data.loading.progress import Progress
from spatialreward.data.loading.state import LoaderState, LoadingConfig, Share
from spatialreward.data.loading.torch_dataset import EditDataset
from spatialreward.errors import InvalidInputError
from spatialreward.images import decode_image
from tests.data.loading.packed_edits import pack

NUM_EDITS = 43


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "edits"
    pack(folder, [20, 13, 10], rows_a_group=4)
    return open_packed(folder)


def number_of(edit):
    """What the pictures tell: decoding belongs to the worker's part."""
    red, green, _ = decode_image(edit.edited, edit.id).getpixel((0, 0))
    return red + 256 * green


def loader(data, progress, batch_size=4, **options):
    dataset = EditDataset(data, progress, prepare=number_of)
    options = {"num_workers": progress.share.num_workers, "collate_fn": list} | options
    return DataLoader(dataset, batch_size=batch_size, **options)


def begin(data, num_workers, rank=0, world_size=1, **config):
    share = Share(rank=rank, world_size=world_size, num_workers=num_workers)
    return Progress(data.begin(LoadingConfig(buffer_rows=8, seed=3, **config)), share)


def use(progress, batches):
    used = []
    for samples in batches:
        progress.advance(sample.mark for sample in samples)
        used.append([sample.item for sample in samples])
    return used


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
def test_workers_together_give_every_edit_once(data, num_workers):
    progress = begin(data, num_workers)
    numbers = [one for batch in use(progress, loader(data, progress)) for one in batch]
    assert sorted(numbers) == list(range(NUM_EDITS))
    assert sum(progress.state.legs[-1].taken.values()) == NUM_EDITS


def test_workers_that_are_spawned_do_the_same(data):
    progress = begin(data, 1)
    spawned = use(progress, loader(data, progress, multiprocessing_context="spawn"))
    progress = begin(data, 1)
    assert spawned == use(progress, loader(data, progress))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("break_after", [1, 2, 5])
def test_after_a_break_the_same_batches_follow(data, num_workers, break_after):
    progress = begin(data, num_workers)
    whole = use(progress, loader(data, progress))
    progress = begin(data, num_workers)
    batches = iter(loader(data, progress))
    first = use(progress, (next(batches) for _ in range(break_after)))
    del batches
    kept = progress.state.model_dump_json()
    progress = Progress(LoaderState.model_validate_json(kept), progress.share)
    assert first + use(progress, loader(data, progress)) == whole


def test_a_second_pass_goes_on_where_the_first_was_left(data):
    progress = begin(data, 2)
    dataloader = loader(data, progress)
    batches = iter(dataloader)
    first = use(progress, (next(batches) for _ in range(3)))
    del batches
    rest = use(progress, dataloader)
    assert sorted(one for batch in first + rest for one in batch) == list(range(NUM_EDITS))
    assert use(progress, dataloader) == []
    progress.next_epoch()
    again = [one for batch in use(progress, dataloader) for one in batch]
    assert sorted(again) == list(range(NUM_EDITS))
    assert again != [one for batch in first + rest for one in batch]


def test_ranks_read_different_edits_and_all_of_them(data):
    numbers = []
    for rank in range(3):
        progress = begin(data, 2, rank=rank, world_size=3)
        numbers += [one for batch in use(progress, loader(data, progress)) for one in batch]
    assert sorted(numbers) == list(range(NUM_EDITS))


def test_ranks_take_the_same_number_of_steps_if_the_remainder_is_dropped(data):
    steps, numbers = [], []
    for rank in range(2):
        progress = begin(data, 2, rank=rank, world_size=2, drop_remainder=True)
        batches = use(progress, loader(data, progress))
        steps.append([len(batch) for batch in batches])
        numbers += [one for batch in batches for one in batch]
    assert steps[0] == steps[1]
    # 43 edits for 4 streams.
    assert len(set(numbers)) == len(numbers) == 40


def test_more_ranks_and_workers_go_on_with_what_is_left(data):
    states, seen = [], []
    for rank in range(2):
        progress = begin(data, 1, rank=rank, world_size=2)
        batches = iter(loader(data, progress))
        seen += use(progress, (next(batches) for _ in range(2 + rank)))
        states.append(progress.state)
    for rank in range(3):
        share = Share(rank=rank, world_size=3, num_workers=2)
        progress = Progress(LoaderState.merged(states), share)
        seen += use(progress, loader(data, progress))
    assert sorted(one for batch in seen for one in batch) == list(range(NUM_EDITS))


def test_another_number_of_workers_than_the_share_says_is_refused(data):
    progress = begin(data, 1)
    with pytest.raises(InvalidInputError, match="the loader has 2 workers, the share of the epo"):
        use(progress, loader(data, progress, num_workers=2))
    progress = begin(data, 2)
    with pytest.raises(InvalidInputError, match="the loader has 0 workers, the share of the epo"):
        use(progress, loader(data, progress, num_workers=0))


def test_workers_that_are_kept_are_refused(data):
    progress = begin(data, 1)
    dataloader = loader(data, progress, persistent_workers=True)
    use(progress, dataloader)
    progress.next_epoch()
    with pytest.raises(InvalidInputError, match="persistent_workers=True"):
        use(progress, dataloader)


def test_a_damaged_shard_is_an_error_in_the_training_process(tmp_path):
    pack(tmp_path / "edits", [9], rows_a_group=3)
    data = open_packed(tmp_path / "edits")
    path = tmp_path / "edits" / "train-00000.parquet"
    damaged = bytearray(path.read_bytes())
    damaged[200] ^= 0xFF
    path.write_bytes(damaged)
    progress = begin(data, 1)
    with pytest.raises(InvalidInputError, match=r"train-00000\.parquet: row group 0 is damaged"):
        use(progress, loader(data, progress))
