import socket
import threading

import pytest

from serving.bench.artifacts import NUM_FILES, measure
from serving.bench.cut_proxy import CutProxy


def test_a_small_artifact_reaches_the_targets_of_the_large_one(tmp_path):
    found = {one.name: one for one in measure(tmp_path / "bench", 24_000_000)}
    missed = {name: one.value for name, one in found.items() if one.reached is False}
    assert not missed
    for way in ("put", "fetch"):
        assert found[f"artifact/disk_ratio_{way}"].value < 1.02
        # The tar lies beside the folder, at its largest for a moment that a look may miss.
        assert found[f"artifact/disk_ratio_{way}"].baseline >= 1
    assert 0 < found["artifact/finished_at_the_cut"].value < NUM_FILES
    assert not (tmp_path / "bench").exists()


@pytest.fixture
def echo():
    """A server that says what it hears."""

    def answer(connection):
        with connection:
            while heard := connection.recv(1 << 16):
                connection.sendall(heard)

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)


def test_the_proxy_counts_what_passes_until_it_cuts(echo):
    with CutProxy(*echo) as proxy:
        request = b"PUT /bucket/a/b.bin?partNumber=1 HTTP/1.1\r\n"
        with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
            # In two pieces, as may happen.
            for piece in (request[:9], request[9:]):
                connection.sendall(piece)
                assert connection.recv(100) == piece
            assert (proxy.num_up, proxy.num_down) == (len(request), len(request))
            assert proxy.put_keys == {"bucket/a/b.bin"}
            proxy.start_again(cut_after=10)
            connection.sendall(b"0123456789")
            assert connection.recv(100) == b""
        assert proxy.is_cut
        with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
            assert connection.recv(100) == b""
        proxy.start_again()
        with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
            connection.sendall(b"again")
            assert connection.recv(100) == b"again"
