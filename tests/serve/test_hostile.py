"""The server among strangers: TLS, replays, slow connections, good and bad requests."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from deepobfuscator.serve.keys import Keys
from deepobfuscator.serve.options import Limits
from deepobfuscator.serve.run import HEAD_SECONDS
from deepobfuscator_edge import Client, Edge, ServiceError

Serve = Callable[..., Any]
RED = np.full((4, 5, 3), (255, 51, 102), np.uint8)
ADDRESS = "/v2/models/tiny/message"
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by its own key; and that key."""
    if shutil.which("openssl") is None:
        pytest.skip("the test of TLS needs openssl: apt-get install openssl")
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"]
    words += ["subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(chain)]
    subprocess.run(words, check=True, capture_output=True)
    return chain, key


def test_tls(export: Path, serving: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, key = certificate(tmp_path, "own")
    _, other = certificate(tmp_path, "other")
    server = serving(export, "--port", "0", "--tls-cert", chain, "--tls-key", key)
    assert server.url.startswith("https://127.0.0.1:")
    edge = Edge(export, threads=1)
    with Client(server.url, edge, retries=0) as client, pytest.raises(ServiceError) as refused:
        client.classify(RED)  # nobody vouches for the certificate
    assert "CERTIFICATE_VERIFY_FAILED" in str(refused.value)
    monkeypatch.setenv("SSL_CERT_FILE", str(chain))
    with Client(server.url, edge, retries=0) as client:
        assert client.classify(RED)["Red"]["value"] is True
    plain = server.url.replace("https", "http")
    with (
        Client(plain, edge, retries=0) as client,
        pytest.raises(ServiceError, match="cannot reach"),
    ):
        client.classify(RED)
    command = [sys.executable, "-m", "deepobfuscator.serve", str(export), "--port", "0"]
    command += ["--tls-cert", str(chain), "--tls-key", str(other)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "cannot use the certificate" in line


def test_a_replay_costs_budget_and_ends_with_the_key(
    export: Path, serving: Serve, tmp_path: Path
) -> None:
    book = Keys(tmp_path / "keys", make=True)
    key = book.add("phone", per_day=3)
    server = serving(export, "--port", "0", "--keys", tmp_path / "keys")
    message = Edge(export, threads=1).encode([RED])
    with httpx2.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}) as http:

        def replay() -> int:
            return http.post(ADDRESS, content=message).status_code

        assert [replay() for _ in range(4)] == [200, 200, 200, 429]
        assert book.revoke("phone") == 1
        assert replay() == 401  # on the connection that it was good on
        ((_, used),) = book.all()
        assert used == 3
    book.close()


def test_slow_connections_end_and_hold_nobody_up(export: Path, serving: Serve) -> None:
    server = serving(export, "--port", "0")
    host, port = server.url.removeprefix("http://").split(":")
    head = b"POST " + ADDRESS.encode() + b" HTTP/1.1\r\nHost: x\r\n"
    slow = {}
    for name, begin in (
        ("silent", b""),
        ("head", head + b"X-A: "),
        ("body", head + b"Content-Length: 100\r\n\r\n"),
    ):
        for _ in range(20):
            one = socket.create_connection((host, int(port)), timeout=60)
            one.sendall(begin)
            slow[one] = name
    began, answers = time.monotonic(), dict[str, set[bytes]]()
    longest = max(HEAD_SECONDS, Limits().body_seconds)
    with Client(server.url, Edge(export, threads=1)) as client:
        while slow and time.monotonic() - began < longest + 40:
            time.sleep(0.5)
            assert client.classify(RED)["Red"]["value"] is True
            for one, name in list(slow.items()):
                one.setblocking(False)
                try:
                    if name != "silent":
                        one.send(b"x")  # a byte now and then does not win any time
                    answer = one.recv(12)
                except BlockingIOError:
                    continue
                except ConnectionError:
                    answer = b""
                answers.setdefault(name, set()).add(answer)
                one.close()
                del slow[one]
    assert slow == {}
    assert answers["silent"] == answers["head"] == {b""}
    assert answers["body"] == {b"HTTP/1.1 408"}


def test_five_seconds_of_good_and_bad_requests(
    export: Path, serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from soak import GROWTH, soak

    server = serving(export, "--port", "0")
    edge = Edge(export, threads=1)
    counts, memory = soak(server.url, edge, server.process.pid, 5.0, threads=2, pause=0.02)
    assert set(counts) == {("good", "200"), ("malformed", "400"), ("oversized", "413")}
    assert max(memory) - memory[0] < GROWTH
    assert "Traceback" not in server.stop()
