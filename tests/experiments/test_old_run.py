"""A run folder of the version before the public API (narrow-code, smoke preset, drawn faces)."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

import deepobfuscator as do


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(Path(__file__).with_name("old_run.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "run"


def test_an_old_run_is_loaded(old: Path) -> None:
    run = do.load(old)
    code = run.encoder(torch.rand(3, 3, 32, 32))
    assert code.shape == (3, 8)
    assert set(np.unique(code.detach().numpy())) <= {-1.0, 1.0}
    assert run.result.card["parameters"]["O"] == sum(p.numel() for p in run.encoder.parameters())


def test_an_old_audit_is_read_and_reported_without_a_new_fit(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr(torch.optim.Adam, "step", refuse)
    records = (old / "records.jsonl").read_bytes()
    report = do.audit(old)
    assert (old / "records.jsonl").read_bytes() == records
    assert report["Male"].excess.value == pytest.approx(-0.0217, abs=1e-3)
    assert "narrow-code" in (old / "report.html").read_text()
