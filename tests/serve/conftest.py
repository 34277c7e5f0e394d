"""A tiny export made without torch, and a server of it in a process of its own."""

import hashlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import distribution
from pathlib import Path

import onnx
import pytest
from onnx import parser

from deepobfuscator_edge.manifest import Attribute, Manifest, Wire

HEAD = '<ir_version: 10, opset_import: ["" : 18]>'
EDGE = f"""{HEAD}
edge (uint8[n, H, W, 3] pictures) => (uint8[n, 3] payload) {{
  numbers = Cast <to = 1> (pictures)
  axes = Constant <value = int64[2] {{1, 2}}> ()
  means = ReduceMean <keepdims = 0> (numbers, axes)
  payload = Cast <to = 2> (means)
}}"""
CLOUD = f"""{HEAD}
cloud (uint8[n, 3] payload) => (float[n, 3] scores) {{
  numbers = Cast <to = 1> (payload)
  white = Constant <value = float {{255}}> ()
  scores = Div (numbers, white)
}}"""

TASK = {"public": ["Red", "Rest"], "private": ["Male"]}
ABOUT = {
    "run": {"key": "k", "trial": {"defence": {"name": "undefended"}, "task": TASK}},
    "measured": {
        "validation_pictures": 8,
        "agreement": {"edge.onnx": 1.0},
        "balanced_accuracy": {"edge.onnx": {"Red": 1.0}},
        "bytes": {"message": 15, "message_of_16": 3.75, "png": 90, "jpeg75": 80},
    },
}
"""What the model card tells of."""


def make_export(folder: Path, name: str = "tiny") -> Manifest:
    """The scores are the means of red, green and blue."""
    folder.mkdir(parents=True)
    files = {}
    for file, text in (("edge.onnx", EDGE), ("cloud.onnx", CLOUD)):
        onnx.save(parser.parse_model(text), folder / file)
        files[file] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    manifest = Manifest(
        name=name,
        model="0123456789ab",
        size=(32, 32),
        wire=Wire(8, (3,), (0.0,) * 3, (1.0,) * 3),
        attributes=(Attribute("Red"), Attribute("Rest", ("green", "blue"))),
        edge="edge.onnx",
        files=files,
        about=ABOUT,
    )
    (folder / "manifest.json").write_text(json.dumps(manifest.as_json()))
    sums = [(hashlib.sha256(p.read_bytes()).hexdigest(), p.name) for p in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for digest, name in sums))
    return manifest


def needed(requirements: list[str], seen: set[str]) -> set[str]:
    """Names of distributions, with all that they need here; those in ``seen`` are not followed."""
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
        if "extra ==" in requirement or name in seen:
            continue
        seen.add(name)
        with suppress(ModuleNotFoundError):  # for another platform or Python
            needed(distribution(name).requires or [], seen)
    return seen


@pytest.fixture
def export(tmp_path: Path) -> Path:
    make_export(tmp_path / "ship")
    return tmp_path / "ship"


class Server:
    """``python -m deepobfuscator.serve`` until it is stopped."""

    def __init__(self, folder: Path, *options: object) -> None:
        words = [sys.executable, "-m", "deepobfuscator.serve", folder, *options, "--threads", "1"]
        # No pipe: it is full after some hundred requests, and the server then waits for a reader.
        self.log = tempfile.TemporaryFile("a+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [str(word) for word in words], stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.url = line.split()[-1] if line else ""
        while not self.told and self.process.poll() is None:
            time.sleep(0.01)
        self.first = self.told.partition("\n")[0]
        """The first line of the log."""

    @property
    def told(self) -> str:
        """The log so far, up to its last whole line."""
        self.log.seek(0)
        return self.log.read().rpartition("\n")[0]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> str:
        """The log after its first line."""
        self.process.send_signal(how)
        self.process.wait(60)
        return self.told.partition("\n")[2]


@pytest.fixture
def serving() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*given: object) -> Server:
        started.append(Server(*given))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)
        assert server.process.stdout is not None
        server.process.stdout.close()
        server.log.close()
