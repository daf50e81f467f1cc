import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from spatialreward import transfer
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from tests.transfer.made import LARGE, contents


def test_a_fetch_goes_on_where_it_broke_off(store, folder, place, tmp_path, got, monkeypatch):
    ref = store.put_folder(folder, place)
    interrupted = transfer.Prefix._from

    def breaking(self, file, offset):
        for number, chunk in enumerate(interrupted(self, file, offset)):
            if number == 3:
                raise KeyboardInterrupt
            yield chunk

    with monkeypatch.context() as patch:
        patch.setattr(transfer.Prefix, "_from", breaking)
        with pytest.raises(KeyboardInterrupt):
            store.fetch_folder(ref, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    got.clear()
    offsets = []

    def watching(self, file, offset):
        offsets.append(offset)
        return interrupted(self, file, offset)

    monkeypatch.setattr(transfer.Prefix, "_from", watching)
    assert contents(store.fetch_folder(ref, tmp_path / "back")) == contents(folder)
    assert got == ["artifact.json", "weights.bin"]
    assert offsets == [3 << 20]


def test_a_damaged_remainder_is_fetched_again_from_its_beginning(store, folder, place, tmp_path):
    ref = store.put_folder(folder, place)
    number = [file.path for file in store.read_manifest(ref).files].index("weights.bin")
    partial = tmp_path / f".fetch-back-{ref.sha256[:16]}" / "partial"
    partial.mkdir(parents=True)
    for damaged in (bytes(1_000), bytes(len(LARGE)), bytes(len(LARGE) + 1)):
        (partial / str(number)).write_bytes(damaged)
        back = store.fetch_folder(ref, tmp_path / "back")
        assert contents(back) == contents(folder)
        back.rename(tmp_path / str(len(damaged)))
        partial.mkdir(parents=True)


KILLED = """
import os, signal, sys
from pathlib import Path
from spatialreward import transfer
from spatialreward.artifacts import ArtifactRef
from spatialreward.storage import ObjectStore

left = int(sys.argv[1])
class Deadly(transfer.Moved):
    def add(self, num_bytes):
        super().add(num_bytes)
        if self.num_bytes >= left:
            os.kill(os.getpid(), signal.SIGKILL)
transfer.Moved = Deadly
store = ObjectStore.from_environment()
match sys.argv[2:]:
    case ["put", folder, prefix]:
        store.put_folder(Path(folder), prefix)
    case ["fetch", reference, destination]:
        store.fetch_folder(ArtifactRef.parse(reference), Path(destination))
"""


@pytest.fixture
def killed(s3):
    """Runs a move that is killed after so many bytes."""
    variables = {
        "S3_ENDPOINT_URL": s3.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
    }

    def run(*arguments):
        command = [sys.executable, "-c", KILLED, *map(str, arguments)]
        assert subprocess.run(command, env=os.environ | variables, check=False).returncode == (
            -signal.SIGKILL
        )

    return run


@pytest.mark.parametrize("after", [1, 2 << 20, 6 << 20])
def test_moves_that_are_killed_leave_nothing_under_their_names_and_are_continued(
    store, folder, place, tmp_path, killed, after
):
    uri = f"{place}/{digest_folder(folder)[:16]}"
    killed(after, "put", folder, place)
    assert not store.exists(f"{uri}/artifact.json")
    ref = store.put_folder(folder, place)
    assert ref.uri == uri
    killed(after, "fetch", ref, tmp_path / "into" / "back")
    assert not (tmp_path / "into" / "back").exists()
    assert contents(store.fetch_folder(ref, tmp_path / "into" / "back")) == contents(folder)
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["back"]


def test_of_two_fetches_to_one_place_one_brings_it(store, folder, place, tmp_path, got):
    ref = store.put_folder(folder, place)
    said = []

    def fetch():
        try:
            said.append(store.fetch_folder(ref, tmp_path / "back"))
        except InvalidInputError as error:
            said.append(str(error))

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, said)) == [
        str(tmp_path / "back"),
        f"{tmp_path / 'back'}: is there already, will not replace it",
    ]
    assert got.count("weights.bin") == 1
    assert contents(tmp_path / "back") == contents(folder)


def test_of_several_who_want_a_folder_one_fetches_it(store, folder, place, tmp_path, got):
    ref = store.put_folder(folder, place)
    with ThreadPoolExecutor() as pool:
        here = set(pool.map(lambda _: store.ensure_folder(ref, tmp_path / "back"), range(3)))
    assert here == {store.ensure_folder(ref, tmp_path / "back")} == {tmp_path / "back"}
    assert got.count("weights.bin") == 1
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match="file: is there already"):
        store.ensure_folder(ref, tmp_path / "file")
