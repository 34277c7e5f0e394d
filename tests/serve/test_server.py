"""The server as a process: stock clients, our own, keys and budgets, what it does when it is full,
killed or told to stop.
"""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from deepobfuscator.core.errors import InputError
from deepobfuscator.serve.keys import Keys
from deepobfuscator.serve.run import bound
from deepobfuscator_edge import AsyncClient, Client, Edge, ServiceError

Serve = Callable[..., Any]
RED = np.full((4, 5, 3), (255, 51, 102), np.uint8)


def test_stock_and_own_clients_get_the_same_answers(export: Path, serving: Serve) -> None:
    from tritonclient import http as triton

    server = serving(export, "--port", "0")
    assert json.loads(server.first)["event"] == "ready"
    answer = {
        "Red": {"value": True, "score": 1.0},
        "Rest": {
            "value": "blue",
            "scores": {"green": pytest.approx(0.2), "blue": pytest.approx(0.4)},
        },
    }
    with Client(server.url, Edge(export, threads=1)) as client:
        assert client.classify(RED) == answer
        assert client.classify_all([RED, RED[:2], 255 - RED])[1] == answer
        assert client.classify_all([RED] * 130) == [answer] * 130  # three messages
        everything = [client.edge.encode([RED]) for _ in range(3)]
    payload = np.array([[255, 51, 102], [0, 0, 255]], np.uint8)
    stock = triton.InferenceServerClient(server.url.removeprefix("http://"))
    assert stock.is_server_live()
    assert stock.is_server_ready()
    assert stock.is_model_ready("tiny")
    assert stock.is_model_ready("tiny", "1")
    assert stock.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert stock.get_model_metadata("tiny")["inputs"][0]["shape"] == [-1, 3]
    for binary in (True, False):
        tensor = triton.InferInput("payload", [2, 3], "UINT8")
        tensor.set_data_from_numpy(payload, binary_data=binary)
        wanted = [triton.InferRequestedOutput("scores", binary_data=binary)]
        found = stock.infer("tiny", [tensor], outputs=wanted, request_id="7")
        np.testing.assert_allclose(found.as_numpy("scores"), payload / np.float32(255), rtol=1e-6)
        assert found.get_response()["id"] == "7"
    stock.close()

    async def crowd() -> list[Any]:
        async with AsyncClient(server.url, Edge(export, threads=1)) as client:
            assert await client.classify_all([RED] * 65) == [answer] * 65
            return await asyncio.gather(*(client.ask(everything[i % 3]) for i in range(200)))

    assert asyncio.run(crowd()) == [[answer]] * 200
    log = server.stop()
    assert server.process.returncode == 0
    lines = [json.loads(line) for line in log.splitlines()]
    assert lines[-1]["event"] == "stopped"
    told = [line for line in lines if line["event"] == "request"]
    assert len(told) == 209
    assert {key for line in told for key in line} == {
        "time", "level", "event", "request", "route", "status", "ms", "pictures",
    }  # fmt: skip


def test_refusals_leave_it_running(export: Path, serving: Serve) -> None:
    server = serving(export, "--port", "0", "--batch", "4")
    address = "/v2/models/tiny"
    with httpx2.Client(base_url=server.url) as http:
        for body, status in ((b"", 400), (b"{", 400), (b"[" * 50_000, 400), (bytes(100_000), 413)):
            assert http.post(f"{address}/infer", content=body).status_code == status
            assert "error" in http.post(f"{address}/message", content=body).json()
        gzip = {"Content-Encoding": "gzip"}
        assert http.post(f"{address}/message", content=b"x", headers=gzip).status_code == 415
        chunks = http.post(f"{address}/message", content=iter([bytes(1000)] * 1000))
        assert chunks.status_code == 413
        assert http.get("/v2/models/other").status_code == 404
        assert http.get(f"{address}/infer").status_code == 405
        named = http.post(f"{address}/message", content=b"", headers={"X-Request-ID": "a-1"})
        assert named.headers["X-Request-ID"] == "a-1"
        broken = http.post(f"{address}/message", content=b"", headers={"X-Request-ID": "a b"})
        assert broken.headers["X-Request-ID"] != "a b"
        described = http.get("/openapi.json").json()
        assert f"{address}/message" in described["paths"]
        assert "http" not in http.get("/").text.replace("/v2", "")
        figures = http.get("/metrics").text
        assert 'version="0123456789ab"' in figures
        assert http.get("/v2/health/ready").status_code == 200
    assert "Traceback" not in server.stop()


def test_keys_budgets_and_a_kill(export: Path, serving: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys.sqlite"
    book = Keys(file, make=True)
    key, minute = book.add("phone", per_day=5), book.add("fast", per_minute=1)
    assert all(secret.encode() not in file.read_bytes() for secret in (key, minute))
    edge = Edge(export, threads=1)
    server = serving(export, "--port", "0", "--keys", file)
    for wrong in (None, "dok_wrong"):
        with Client(server.url, edge, key=wrong) as client, pytest.raises(ServiceError) as refused:
            client.classify(RED)
        assert refused.value.status == 401
    with Client(server.url, edge, key=key, retries=0) as client:
        client.classify_all([RED, RED, RED])
        server.stop(signal.SIGKILL)
        server = serving(export, "--port", server.url.rpartition(":")[2], "--keys", file)
        assert [used for _, used in book.all()] == [3, 0] or [used for _, used in book.all()] == [
            0,
            3,
        ]
        with pytest.raises(ServiceError, match="3 of 5 pictures a day are used") as spent:
            client.classify_all([RED, RED, RED])
        assert spent.value.status == 429
        client.classify_all([RED, RED])
        with pytest.raises(ServiceError, match="5 of 5"):
            client.classify(RED)
        assert book.revoke("phone") == 1
        with pytest.raises(ServiceError) as refused:
            client.classify(RED)
        assert refused.value.status == 401
    with (
        Client(server.url, edge, key=minute, retries=0) as client,
        pytest.raises(ServiceError, match="0 of 1 pictures a minute"),
    ):
        client.classify_all([RED, RED])
    book.close()


def test_a_client_outlasts_a_kill_of_the_server(export: Path, serving: Serve) -> None:
    server = serving(export, "--port", "0")
    port = server.url.rpartition(":")[2]
    with (
        Client(server.url, Edge(export, threads=1), retries=30) as client,
        ThreadPoolExecutor() as pool,
    ):
        client.classify(RED)
        server.stop(signal.SIGKILL)
        asked = pool.submit(client.classify, RED)
        time.sleep(0.5)
        assert not asked.done()
        serving(export, "--port", port)
        assert asked.result()["Red"]["value"] is True


def test_no_part_of_an_answer_waits_for_an_acknowledgement() -> None:
    # Only asyncio's own sockets get it unasked: with ours, every answer took 40 ms more.
    with bound("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_server_imports_no_torch(export: Path) -> None:
    code = (
        "import sys, deepobfuscator.serve.run, deepobfuscator_edge;"
        "assert not {'torch', 'scipy', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bad_options_are_one_line(export: Path, tmp_path: Path) -> None:
    for words, says in (
        ([tmp_path / "none"], "holds no export"),
        ([export, "--keys", tmp_path / "none"], "no keys in"),
        ([export, "--tls-cert", "x"], "belong together"),
        ([export, "--batch", "0"], "--batch must be at least 1"),
        ([export, "--port", "99999"], "cannot listen"),
        ([export, "--require-audit"], "was not audited since its export"),
    ):
        command = [sys.executable, "-m", "deepobfuscator.serve", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_an_altered_export_is_refused(export: Path) -> None:
    path = export / "cloud.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    command = [sys.executable, "-m", "deepobfuscator.serve", str(export)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "does not match SHA256SUMS" in done.stderr


def test_a_key_needs_sensible_limits(tmp_path: Path) -> None:
    book = Keys(tmp_path / "k", make=True)
    for name, limit in (("", 5), ("a", 0)):
        with pytest.raises(InputError):
            book.add(name, per_day=limit)
    book.close()
