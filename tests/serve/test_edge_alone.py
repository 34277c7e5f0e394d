"""The edge distribution from its wheel, with what it requires and nothing else, asks a server."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .conftest import Server, make_export, needed

ROOT = Path(__file__).parents[2]
LINES = """
import importlib.util, json, sys
from deepobfuscator_edge import Client, Edge

assert Edge.__module__.startswith("deepobfuscator_edge")
assert importlib.util.find_spec("torch") is None
assert importlib.util.find_spec("deepobfuscator") is None
ship, url, *pictures = sys.argv[1:]
with Client(url, edge=Edge(ship)) as client:
    print(json.dumps([answer["Red"]["value"] for answer in client.classify_all(pictures)]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages: the edge's wheel, installed, and links to what it requires."""
    folder = tmp_path_factory.mktemp("edge")
    shutil.copytree(
        ROOT / "edge", folder / "source", ignore=shutil.ignore_patterns("*.egg-info", "build")
    )
    options = ["--no-deps", "--no-build-isolation", "--quiet"]
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", *options, "--wheel-dir", folder, folder / "source"], check=True)
    (wheel,) = folder.glob("deepobfuscator_edge-*.whl")
    place = folder / "packages"
    subprocess.run([*pip, "install", "--no-deps", "--quiet", "--target", place, wheel], check=True)
    for name in needed(["deepobfuscator-edge"], set()) - {"deepobfuscator-edge"}:
        with suppress(PackageNotFoundError):
            found = distribution(name)
            for top in {Path(file).parts[0] for file in found.files or []} - {"..", "__pycache__"}:
                if not (place / top).exists():
                    (place / top).symlink_to(str(found.locate_file(top)))
    return place


def test_the_edge_alone_asks_a_server(
    place: Path, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    make_export(tmp_path / "ship")
    server = serving(tmp_path / "ship", "--port", "0")
    for name, colour in (("red", (250, 9, 9)), ("blue", (9, 9, 250))):
        Image.fromarray(np.full((40, 50, 3), colour, np.uint8)).save(tmp_path / f"{name}.png")
    # -S: no packages but those in PYTHONPATH
    command: list[Any] = [sys.executable, "-S", "-c", LINES, tmp_path / "ship", server.url]
    command += [tmp_path / "red.png", tmp_path / "blue.png"]
    told = {**os.environ, "PYTHONPATH": str(place)}
    ran = subprocess.run(command, env=told, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "[true, false]\n"
