import functools
import io
import pickle
import random
import socket
import socketserver
import threading
import time
from urllib.parse import urlsplit

import pytest

from spatialreward.data.edits import RowOrigin
from spatialreward.data.loading.packed import open_packed
from spatialreward.data.loading.progress import Progress
from spatialreward.data.loading.s3 import RangeStore, S3Folder
from spatialreward.data.loading.state import LoadingConfig, Share
from spatialreward.data.packing.manifest import PackedShard
from spatialreward.errors import InvalidInputError
from spatialreward.stack.ports import free_ports
from spatialreward.storage import ObjectStore, StorageError
from tests.data.loading.packed_edits import edit, pack

URI = "s3://steps/packed/edits"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "edits"
    pack(folder, [50, 30], rows_a_group=8)
    return folder


@pytest.fixture
def stored(store, folder, s3):
    """The data set under ``URI``, and what connects to its store."""
    for path in folder.iterdir():
        store.put_file(path, f"s3://steps/packed/edits/{path.name}")
    return functools.partial(RangeStore, s3.endpoint_url, s3.access_key, s3.secret_key)


def ids(data):
    state = Progress(data.begin(LoadingConfig(buffer_rows=16)), Share()).state
    return [sample.item.id for sample in data.read_edits(state, 0)]


def test_a_prefix_gives_the_same_as_the_folder(stored, folder):
    assert ids(open_packed(S3Folder(URI, stored))) == ids(open_packed(folder))
    assert sorted(ids(open_packed(folder))) == sorted(edit(number).id for number in range(80))


def test_the_environment_names_the_store(stored, s3, monkeypatch):
    monkeypatch.setenv("S3_ENDPOINT_URL", s3.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    assert len(ids(pickle.loads(pickle.dumps(open_packed(URI + "/"))))) == 80


def test_a_prefix_without_a_manifest_is_told_as_such(stored):
    with pytest.raises(InvalidInputError, match="s3://steps/nothing: no packed data set here"):
        open_packed(S3Folder("s3://steps/nothing", stored))


def test_a_missing_object_is_named(stored, store):
    data = open_packed(S3Folder(URI, stored))
    store.remove(f"{URI}/train-00001.parquet")
    with pytest.raises(StorageError, match=f"{URI}/train-00001.parquet at http.*NoSuchKey"):
        ids(data)
    with pytest.raises(InvalidInputError, match=f"{URI}/train-00001.parquet: shard is missing"):
        open_packed(S3Folder(URI, stored))


def test_an_object_of_another_size_is_named(stored, store, folder):
    data = open_packed(S3Folder(URI, stored))
    longer = folder.parent / "longer"
    longer.write_bytes((folder / "train-00000.parquet").read_bytes() + b"more")
    store.put_file(longer, f"{URI}/train-00000.parquet")
    with pytest.raises(InvalidInputError, match=f"{URI}/train-00000.parquet: shard has"):
        ids(data)
    with pytest.raises(InvalidInputError, match=f"{URI}/train-00000.parquet: shard has"):
        open_packed(S3Folder(URI, stored))


def test_an_object_that_was_cut_short_is_named(stored, store, folder):
    data = open_packed(S3Folder(URI, stored))
    shorter = folder.parent / "shorter"
    shorter.write_bytes((folder / "train-00000.parquet").read_bytes()[:100])
    store.put_file(shorter, f"{URI}/train-00000.parquet")
    with pytest.raises(InvalidInputError, match=r"train-00000.parquet: .*(100 bytes|is shorter)"):
        ids(data)


def test_wrong_credentials_are_told_at_once(stored, s3):
    stranger = functools.partial(RangeStore, s3.endpoint_url, s3.access_key, "wrong")
    with pytest.raises(StorageError, match="SignatureDoesNotMatch"):
        open_packed(S3Folder(URI, stranger))


@pytest.mark.parametrize("uri", ["s3://bucket", "s3:///prefix", "http://host/prefix", "bucket"])
def test_what_is_no_prefix_is_refused(uri):
    with pytest.raises(InvalidInputError, match="expected s3://BUCKET/PREFIX"):
        S3Folder(uri)


class Proxy(socketserver.ThreadingTCPServer):
    """Passes bytes on to a server, and cuts a connection off after so many bytes of answers.

    ``cuts`` are used up one by one; when there are none left, it only passes on.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, target, cuts, port=0):
        super().__init__(("127.0.0.1", port), Connection)
        self.target = target
        self.cuts = list(cuts)
        self.used = []
        self.passed = 0

    @property
    def port(self):
        return self.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(self.server.target) as upstream:
            threading.Thread(target=self.pass_requests, args=(upstream,), daemon=True).start()
            limit = self.server.cuts.pop(0) if self.server.cuts else None
            passed = 0
            while data := received(upstream):
                if limit is not None and passed + len(data) > limit:
                    self.request.sendall(data[: limit - passed])
                    self.server.used.append(limit)
                    break
                self.request.sendall(data)
                passed += len(data)
                self.server.passed += len(data)
            # Both ends, or the thread of the other direction would wait for ever.
            for end in (upstream, self.request):
                end.shutdown(socket.SHUT_RDWR)

    def pass_requests(self, upstream):
        while data := received(self.request):
            upstream.sendall(data)


def received(connection):
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def through(proxy_port, s3, **options):
    url = f"http://127.0.0.1:{proxy_port}"
    return functools.partial(RangeStore, url, s3.access_key, s3.secret_key, **options)


def target_of(s3):
    parts = urlsplit(s3.endpoint_url)
    return parts.hostname, parts.port


def test_a_store_that_breaks_off_answers_is_asked_again(stored, s3):
    whole = ids(open_packed(S3Folder(URI, stored)))
    # Before anything, in headers, in bodies, and after some good answers.
    cuts = [50, 0, 300, 9000, 250, 280, 20000, 340, 700, 30000, 0, 500]
    with Proxy(target_of(s3), cuts) as proxy:
        assert ids(open_packed(S3Folder(URI, through(proxy.port, s3)))) == whole
        # A connection may have done its work before it came to its cut.
        assert proxy.cuts == []
        assert len(proxy.used) >= 10


def test_of_an_answer_that_breaks_off_only_the_rest_is_asked_for(store, s3):
    data = random.Random(1).randbytes(3_000_000)
    store._client.put_object("steps", "large/shard", io.BytesIO(data), len(data))
    nowhere = RowOrigin(file="", row="")
    shard = PackedShard(
        name="shard",
        sha256="0" * 64,
        size_bytes=len(data),
        row_groups=(1,),
        first=nowhere,
        last=nowhere,
    )
    with Proxy(target_of(s3), [1_500_000, 800_000]) as proxy:
        folder = S3Folder("s3://steps/large", through(proxy.port, s3))
        assert folder.connect().fetch(shard, 7, len(data) - 17) == data[7:-10]
        assert proxy.used == [1_500_000, 800_000]
        # Up to one megabyte of each answer that broke off had not been passed on yet.
        assert proxy.passed < len(data) + 2 * 2**20 + 10_000


def test_a_store_that_is_away_for_a_moment_is_waited_for(stored, s3, caplog):
    whole = ids(open_packed(S3Folder(URI, stored)))
    with Proxy(target_of(s3), []) as first:
        data = open_packed(S3Folder(URI, through(first.port, s3)))
        port = first.port
    found = []
    reading = threading.Thread(target=lambda: found.extend(ids(data)))
    reading.start()
    give_up_at = time.monotonic() + 60
    while not any("asking again" in message for message in caplog.messages):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    with Proxy(target_of(s3), [], port):
        reading.join(60)
    assert found == whole


def test_a_store_that_stays_away_is_an_error_that_names_it(stored, s3):
    data = open_packed(S3Folder(URI, stored))
    with free_ports() as ports:
        port = next(ports)
    gone = S3Folder(URI, through(port, s3, patience_s=0.5))
    with pytest.raises(StorageError, match=f"{URI}/manifest.json at http://127.0.0.1:{port}: "):
        open_packed(gone)
    away = type(data)(gone, data.manifest)
    with pytest.raises(StorageError, match=rf"{URI}/train-0000\d.parquet at http://127.0.0.1"):
        ids(away)


def test_a_reader_that_is_closed_stops_waiting(s3):
    with free_ports() as ports:
        port = next(ports)
    store = through(port, s3, patience_s=600)()
    failed = []

    def read():
        with pytest.raises(StorageError) as caught:
            store.read(f"{URI}/manifest.json")
        failed.append(str(caught.value))

    reading = threading.Thread(target=read)
    reading.start()
    store.close()
    reading.join(30)
    assert failed == [f"{URI}/manifest.json: reading was given up"]


def test_objects_are_seen_by_the_same_client_as_everything_else():
    assert issubclass(RangeStore, ObjectStore)
