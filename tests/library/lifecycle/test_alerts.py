"""An alarm arrives once: it is sent again only where it certainly did not arrive."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bakebook.database.store import Store
from bakebook.lifecycle import alerts

MODEL = "0123456789ab"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    answer = 200
    requests = 0
    pause_s = 0.0  # before the answer
    is_dripping = False  # the answer comes byte by byte, and never ends


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:  # its name is the standard library's
        self.server.requests += 1
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(self.server.pause_s)
        with suppress(OSError):
            self.answer()

    def answer(self) -> None:
        self.send_response(self.server.answer)
        self.send_header("retry-after", "3600")
        if self.server.is_dripping:
            self.send_header("content-length", "1000000")
            self.end_headers()
            while True:
                self.wfile.write(b".")
                time.sleep(0.1)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def outcomes(store: Store) -> list[str]:
    return [row["outcome"] for row in store.list_decisions(10)][::-1]


@pytest.mark.parametrize(("answer", "sent", "kept"), [(200, 1, ["done"]), (302, 2, ["done", "failed"] * 2)])
def test_what_arrived_is_not_sent_again(store: Store, server: Server, answer: int, sent: int, kept: list[str]) -> None:
    server.answer = answer
    for _ in range(2):
        alerts.send(store, f"http://127.0.0.1:{server.server_address[1]}/", MODEL, "f1_macro has fallen below 0.55")
    assert (server.requests, outcomes(store)) == (sent, kept)


@pytest.mark.parametrize(("answer", "times"), [(503, 4), (500, 1), (504, 1)])
def test_only_a_busy_server_is_asked_again_at_once_and_not_when_it_says(
    store: Store, server: Server, answer: int, times: int
) -> None:
    server.answer = answer
    alerts.send(store, f"http://127.0.0.1:{server.server_address[1]}/", MODEL, "text")
    assert server.requests == times
    assert outcomes(store) == (["done"] if answer == 504 else ["done", "failed"])


def test_a_server_that_is_not_there_or_not_trusted_has_nothing(store: Store, server: Server) -> None:
    plain = f"https://127.0.0.1:{server.server_address[1]}/secret4711"
    for address in ("http://127.0.0.1:1/secret4711", plain, "http://no.such.host.invalid/secret4711"):
        alerts.send(store, address, MODEL, "text")
    assert outcomes(store) == ["done", "failed"] * 3
    assert "4711" not in str(store.list_decisions(10))


def test_a_server_that_hangs_is_left_and_not_asked_again(store: Store, server: Server) -> None:
    server.pause_s = alerts.READ_TIMEOUT_S + 2
    for _ in range(2):
        alerts.send(store, f"http://127.0.0.1:{server.server_address[1]}/", MODEL, "text")
    assert (server.requests, outcomes(store)) == (1, ["done"])


@pytest.mark.parametrize("answer", [200, 503])
def test_an_answer_that_never_ends_is_left(
    store: Store, server: Server, answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "TOTAL_S", 1.0)
    server.answer, server.is_dripping = answer, True
    alerts.send(store, f"http://127.0.0.1:{server.server_address[1]}/", MODEL, "text")
    assert (server.requests, outcomes(store)) == (1, ["done"])


def test_without_an_address_nothing_is_sent(store: Store) -> None:
    alerts.send(store, "", MODEL, "text")
    assert outcomes(store) == []
