"""Small trained runs on drawn faces, and their exports; made once."""

from collections.abc import Callable
from pathlib import Path

import pytest

import deepobfuscator as do
from deepobfuscator.cli import main

pytest.importorskip("onnxscript", reason="needs the extra [export]")

SHORT = do.TrainConfig(
    size=(32, 32),
    width=1 / 16,
    batch_size=32,
    learning_rate=2e-3,
    epochs=4.0,
    adversary_epochs=0.5,
    game_epochs=0.5,
)


@pytest.fixture(scope="session")
def data() -> do.Data:
    return do.Data.synthetic(1000, public="Male", private="Smiling")


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, data: do.Data
) -> Callable[[do.Defence], do.Run]:
    made: dict[str, do.Run] = {}

    def train(defence: do.Defence) -> do.Run:
        if defence.name not in made:
            folder = tmp_path_factory.mktemp("runs") / defence.name
            made[defence.name] = do.train(defence, data, config=SHORT, device="cpu", out=folder)
        return made[defence.name]

    return train


@pytest.fixture(scope="session")
def shipped(
    tmp_path_factory: pytest.TempPathFactory, trained: Callable[[do.Defence], do.Run]
) -> tuple[do.Run, Path]:
    """An undefended run with its export, beside it ``models`` for Triton."""
    run, out = trained(do.Undefended()), tmp_path_factory.mktemp("out") / "ship"
    words = ["--wire", "int8", "--device", "cpu", "--triton", str(out.with_name("models"))]
    assert main(["export", str(run.folder), str(out), *words]) == 0
    return run, out
