"""A small study of drawn faces, a real server for it, and participants who speak plain HTTP."""

import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from numpy.typing import NDArray

from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.survey.questions import Drawn, Sheet, draw

LOOKS = ("Male", "Blond_Hair", "Bald")


@dataclass(frozen=True)
class Faces:
    pictures: NDArray[np.uint8]
    person: NDArray[np.int64]
    looks: NDArray[np.uint8]


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    cookies: list[str]

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Browser:
    """Keeps cookies, follows nothing, runs no script."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def send(
        self,
        method: str,
        path: str,
        fields: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        sent = dict(headers or {})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        body = None
        if fields is not None:
            body = urlencode(fields)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            line.request(method, path, body, sent)
            got = line.getresponse()
            pairs = got.getheaders()
            reply = Reply(
                got.status,
                {k.lower(): v for k, v in pairs},
                got.read(),
                [v for k, v in pairs if k.lower() == "set-cookie"],
            )
        finally:
            line.close()
        for cookie in reply.cookies:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return reply

    def get(self, path: str) -> Reply:
        return self.send("GET", path)

    def post(self, path: str, **fields: str) -> Reply:
        return self.send("POST", path, fields)

    def begin(self) -> Reply:
        return self.post("/", agree="yes")

    def form(self) -> tuple[dict[str, str], list[str]]:
        """Hidden fields of the current question, and its four choices."""
        text = self.get("/question").text
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text))
        return hidden, re.findall(r'name="choice" value="([^"]*)"', text)


@dataclass
class Serving:
    port: int
    token: str
    store: Any

    def browser(self) -> Browser:
        return Browser(self.port)


@pytest.fixture(scope="session")
def faces() -> Faces:
    source = Synthetic(count=400, seed=3)
    table = source.read()
    pictures, _ = source.load(table.images, (72, 60))
    return Faces(pictures, table.people(), table.columns(LOOKS))


@pytest.fixture(scope="session")
def make_sheet(faces: Faces) -> Callable[..., Sheet]:
    def make(count: int = 6, seed: int = 0, noise: float = 25.0, **changes: Any) -> Sheet:
        drawn: Drawn = draw(faces.pictures, faces.person, faces.looks, count, "matched", seed)
        asked = faces.pictures[drawn.rows[np.arange(count), drawn.answer]]
        grain = np.random.default_rng(seed).normal(scale=noise, size=asked.shape)
        rebuilt = np.clip(asked * 0.6 + 40 + grain, 0, 255).astype(np.uint8)
        parts: dict[str, Any] = {
            "defence": tuple(("deepobfuscator", "undefended")[q % 2] for q in range(count)),
            "rebuilt": rebuilt,
            "options": faces.pictures[drawn.rows],
            "answer": drawn.answer,
            "mode": "matched",
            "seed": seed,
            "agreed": drawn.agreed,
            "looks": LOOKS,
        }
        return Sheet(**parts | changes)

    return make


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """A function that serves a sheet until the test ends, on a port of its own."""
    uvicorn = pytest.importorskip("uvicorn", reason="needs the extra [survey]")
    from deepobfuscator.survey.app import create_app

    running: list[tuple[Any, threading.Thread, socket.socket, Any]] = []

    def start(sheet: Sheet, **wishes: Any) -> Serving:
        app = create_app(sheet, tmp_path / "survey.sqlite", **wishes)
        listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        running.append((server, thread, listener, app.state.store))
        return Serving(listener.getsockname()[1], app.state.token, app.state.store)

    yield start
    for server, thread, listener, store in running:
        server.should_exit = True
        thread.join()
        listener.close()
        store.close()
