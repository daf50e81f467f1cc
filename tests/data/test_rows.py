import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, DataLoader

from spatialreward.data.dataset import Dataset
from spatialreward.data.packing.manifest import ShardReport, gather, write_manifest
from spatialreward.data.packing.shards import write_shard
from spatialreward.data.rows import EditRows
from spatialreward.errors import InvalidInputError
from tests.data.packing.making import edits, make_alone, make_edit, make_prompt

ROOT = Path(__file__).parents[2]
NUM_EDITS = 12


@pytest.fixture
def packed(tmp_path):
    """Two shards of small row groups, with a prompt and a picture without source in each."""
    folder = tmp_path / "packed"
    folder.mkdir()
    reports = []
    for first in (0, 6):
        some = [make_edit(number) for number in range(first, first + 4)]
        several = {"sources": some[1].sources * 2, "fingerprints": ("0" * 16,) * 3}
        some[1] = make_edit(first + 1, label=None, **several)
        some += [make_prompt(first + 4), make_alone(first + 5)]
        shard = write_shard(folder / f"edits-{first:05d}.parquet", some, rows_a_group=2)
        reports.append(ShardReport(shard=shard, counts={"edits": 6}, left_out={}))
    write_manifest(gather(reports, {}), folder)
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def in_a_process(code, *arguments, **settings):
    """A fresh interpreter that has what it needs to open rows, and runs ``code``."""
    head = (
        "import logging, resource, sys, time\n"
        "from pathlib import Path\n"
        "from spatialreward.data import row_cache\n"
        "from spatialreward.data.dataset import Dataset\n"
        "from spatialreward.data.rows import EditRows\n"
        "logging.basicConfig(level='INFO')\n"
        "packed, cache = map(Path, sys.argv[1:3])\n"
    )
    command = [sys.executable, "-c", head + code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, text=True, **settings)


def test_rows_are_the_edits_in_their_order(packed, cache):
    data = Dataset(packed)
    rows = EditRows(data, cache)
    assert len(rows) == NUM_EDITS
    assert [rows[number] for number in range(NUM_EDITS)] == list(data)


@pytest.mark.parametrize("number", [-1, NUM_EDITS])
def test_there_are_no_other_rows(packed, cache, number):
    with pytest.raises(IndexError, match=f"no edit {number}, there are 12"):
        EditRows(Dataset(packed), cache)[number]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=st.lists(edits(), min_size=1, max_size=7), rows_a_group=st.integers(1, 4))
def test_any_edit_comes_back_as_it_was_packed(tmp_path_factory, some, rows_a_group):
    folder = tmp_path_factory.mktemp("any")
    write_shard(folder / "edits.parquet", some, rows_a_group=rows_a_group)
    data = Dataset(folder)
    rows = EditRows(data, folder / "cache")
    assert [rows[number] for number in range(len(rows))] == list(data) == some


def test_the_copy_is_made_once_and_found_wherever_the_shards_are(packed, cache, tmp_path, caplog):
    caplog.set_level(logging.INFO, "spatialreward")
    whole = [*EditRows(Dataset(packed), cache)]
    packed.rename(tmp_path / "moved")
    (tmp_path / "moved" / "edits-00000.parquet").touch()
    assert [*EditRows(Dataset(tmp_path / "moved"), cache)] == whole
    [line] = [line for line in caplog.messages if "copying row groups" in line]
    assert line.startswith("copying row groups to this machine's cache: 100% 6/6")


def test_a_shard_that_was_replaced_is_read_anew_though_its_time_and_size_are_the_same(
    tmp_path, cache
):
    path = tmp_path / "edits.parquet"
    write_shard(path, [make_edit(0, operation="adding"), make_edit(1)])
    before = path.stat()
    assert EditRows(Dataset(tmp_path), cache)[0].operation == "adding"
    write_shard(path, [make_edit(0, operation="moving"), make_edit(1)])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert EditRows(Dataset(tmp_path), cache)[0].operation == "moving"


def test_a_shard_that_was_replaced_behind_an_open_data_set_is_refused(packed, cache):
    data = Dataset(packed)
    shards = sorted(packed.glob("*.parquet"))
    shards[0].write_bytes(shards[1].read_bytes())
    with pytest.raises(InvalidInputError, match=r"edits-00000.parquet: was replaced while"):
        EditRows(data, cache)
    assert [*cache.rglob("*.arrow")] == []


def test_a_damaged_shard_is_named_and_nothing_is_kept_of_it(packed, cache, capfd):
    (packed / "manifest.json").unlink()
    path = packed / "edits-00006.parquet"
    content = bytearray(path.read_bytes())
    at = content.index(make_edit(7).edited)
    content[at + 40] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"packed/edits-00006.parquet: is damaged"):
        EditRows(Dataset(packed), cache)
    assert [*cache.rglob("*.arrow")] == []
    assert capfd.readouterr() == ("", "")


def test_a_damaged_copy_is_named(packed, cache):
    EditRows(Dataset(packed), cache)
    [copy] = cache.rglob("*.arrow")
    copy.write_bytes(copy.read_bytes()[:-3000])
    with pytest.raises(InvalidInputError, match=f"^{copy.parent}: this copy of .* remove it"):
        EditRows(Dataset(packed), cache)


def test_a_copy_for_which_there_is_no_room_is_an_error_and_nothing_is_kept(packed, cache):
    code = (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "EditRows(Dataset(packed), cache)"
    )
    with in_a_process(code, packed, cache, stderr=subprocess.PIPE) as process:
        said = process.stderr.read().splitlines()[-1]
    assert f"{cache}/rows: cannot keep a copy of {packed} here: File too large" in said
    assert [*cache.rglob("*.arrow")] == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_map_the_same_copy(packed, cache, method):
    rows = EditRows(Dataset(packed), cache)
    loader = DataLoader(
        rows, batch_size=5, num_workers=2, collate_fn=list, multiprocessing_context=method
    )
    assert [edit for batch in loader for edit in batch] == list(Dataset(packed))


def test_a_pickled_data_set_holds_no_rows(packed, cache):
    rows = EditRows(Dataset(packed), cache)
    kept = pickle.dumps(rows)
    assert make_edit(0).edited not in kept
    assert [*pickle.loads(kept)] == [*rows]


def test_data_sets_are_joined_by_torch(packed, cache):
    rows = EditRows(Dataset(packed), cache)
    joined = ConcatDataset([rows, rows])
    assert joined[NUM_EDITS + 3] == joined[3] == rows[3]


def test_ranks_that_open_at_once_make_one_copy_and_ask_no_network(packed, cache):
    code = (
        "import socket\n"
        "socket.socket.connect = lambda *_: sys.exit('asked the network')\n"
        "print(len([*EditRows(Dataset(packed), cache)]))"
    )
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    ranks = [in_a_process(code, packed, cache, **streams) for _ in range(2)]
    answers = [rank.communicate(timeout=300) for rank in ranks]
    assert [out for out, _ in answers] == ["12\n"] * 2
    assert sum("copying row groups" in lines for _, lines in answers) == 1


def test_a_copy_that_was_killed_is_made_again(packed, cache):
    # The first shard is written when its checksum is asked for.
    code = "row_cache.digest_file = lambda _: time.sleep(600)\nEditRows(Dataset(packed), cache)"
    with in_a_process(code, packed, cache) as process:
        while not [*cache.rglob("*.incomplete/*.arrow")]:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert [*EditRows(Dataset(packed), cache)] == list(Dataset(packed))


def test_a_row_is_read_without_its_row_group(tmp_path, cache):
    """A row has 2 MB, a row group 20 MB."""
    large = make_edit(0).edited + bytes(1_000_000)
    some = (make_edit(number, edited=large, sources=(large,)) for number in range(40))
    write_shard(tmp_path / "edits.parquet", some, rows_a_group=10)
    EditRows(Dataset(tmp_path), cache)
    code = (
        "def mapped():\n"
        "    status = Path('/proc/self/status').read_text()\n"
        "    return int(status.split('RssFile:')[1].split()[0])\n"
        "data = Dataset(packed)\n"
        "EditRows(data, cache)[0]\n"
        "before = mapped()\n"
        "rows = EditRows(data, cache)\n"
        "print(rows[23].id, mapped() - before)"
    )
    with in_a_process(code, tmp_path, cache, stdout=subprocess.PIPE) as process:
        edit, kilobytes = process.stdout.read().split()
    assert edit == "edit-23"
    assert int(kilobytes) < 10_000


def test_many_rows_are_copied_and_opened_in_bounded_memory(tmp_path, cache):
    one = make_edit(0)
    some = (one.model_copy(update={"id": f"edit-{number}"}) for number in range(20_000))
    write_shard(tmp_path / "edits.parquet", some)
    code = (
        "def peak_mb():\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000\n"
        "data = Dataset(packed)\n"
        "before = peak_mb()\n"
        "print(len(EditRows(data, cache)), peak_mb() - before)"
    )
    for _ in range(2):
        with in_a_process(code, tmp_path, cache, stdout=subprocess.PIPE) as process:
            count, more_mb = process.stdout.read().split()
        assert count == "20000"
        assert float(more_mb) < 60


def epoch_of(rows, rank, num_ranks, epoch, finished=0):
    """The ids of the batches that a rank has left of an epoch; all of it at first."""
    from accelerate import skip_first_batches
    from accelerate.data_loader import prepare_data_loader

    loader = prepare_data_loader(
        DataLoader(rows, batch_size=2, shuffle=True, collate_fn=list),
        num_processes=num_ranks,
        process_index=rank,
        use_seedable_sampler=True,
        data_seed=3,
    )
    loader.set_epoch(epoch)
    return [[edit.id for edit in batch] for batch in skip_first_batches(loader, finished)]


@pytest.mark.parametrize("epoch", [0, 2])
def test_ranks_that_go_on_in_an_epoch_read_what_is_left_of_it_in_the_same_order(
    packed, cache, epoch
):
    rows = EditRows(Dataset(packed), cache)
    whole = [epoch_of(rows, rank, 2, epoch) for rank in range(2)]
    seen = [one for batches in whole for batch in batches for one in batch]
    assert sorted(seen) == sorted(edit.id for edit in rows)
    for rank in range(2):
        assert epoch_of(rows, rank, 2, epoch, finished=1) == whole[rank][1:]
    assert whole != [epoch_of(rows, rank, 2, epoch + 1) for rank in range(2)]
