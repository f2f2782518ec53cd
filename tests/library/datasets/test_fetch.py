"""A source that has no end is refused before it fills the disk."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bakebook.datasets.fetch import DOWNLOAD, fetched
from bakebook.errors import BadInput


class Endless(BaseHTTPRequestHandler):
    """Sends rows until the caller goes away; a short table at /short.csv."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"a,b\n1,2\n")
        try:
            while self.path != "/short.csv":
                self.wfile.write(b"1,2\n" * 10_000)
        except OSError:
            pass

    def log_message(self, *ignored: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_address_that_gives_no_end_is_left(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DOWNLOAD, "5000000")
    told = pytest.raises(BadInput, match="the address gives more than 5 MB")
    with told as caught, fetched(tmp_path, f"{address}/rows.csv", ""):
        pass
    assert f"set the variable {DOWNLOAD} to more bytes" in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_limit_that_is_no_number_is_named(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DOWNLOAD, "10GB")
    told = pytest.raises(BadInput, match=f"{DOWNLOAD} is '10GB', not a whole number → set it to 10000000000 or more")
    with told, fetched(tmp_path, f"{address}/short.csv", ""):
        pass


def test_an_address_that_ends_is_fetched(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DOWNLOAD, "5000000")
    with fetched(tmp_path, f"{address}/short.csv", "") as found:
        assert found.place.read_bytes() == b"a,b\n1,2\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has neither devices nor pipes among its files")
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_what_is_no_file_is_not_read(kind: str, tmp_path: Path) -> None:
    source = Path("/dev/zero")
    if kind == "pipe":
        source = tmp_path / "pipe"
        os.mkfifo(source)
    said = "is a device or a pipe, which may have no end → save it as a file first"
    with pytest.raises(BadInput, match=said), fetched(tmp_path, str(source), ""):
        pass
