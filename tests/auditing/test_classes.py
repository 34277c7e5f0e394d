"""An attribute of several classes, audited: a planted leak is found, and only that."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from deepobfuscator import api
from deepobfuscator.auditing.gates import Gate
from deepobfuscator.auditing.leakage import Status
from deepobfuscator.core.errors import InputError
from deepobfuscator.data.dataset import Data
from deepobfuscator.experiments.presets import preset

CLASSES = ("amber", "blue", "cyan", "dun")


def means(pictures: Tensor) -> Tensor:
    """Four numbers of a picture: the brightness of its quarters."""
    return torch.nn.functional.avg_pool2d(pictures.mean(1, keepdim=True), 16).flatten(1)


def upper(pictures: Tensor) -> Tensor:
    """The upper half of `means` alone."""
    return means(pictures)[:, :2]


@pytest.fixture(scope="module")
def data() -> Data:
    """Quarter 0 shows A; quarter 2 the hue, which A says nothing of; quarters 1, 3 are noise."""
    draw = np.random.default_rng(0)
    n = 800
    shown, hue = draw.integers(0, 2, n), draw.integers(0, 4, n)
    quarters = draw.integers(20, 60, (n, 2, 2))
    quarters[:, 0, 0] += 120 * shown
    quarters[:, 1, 0] += 60 * hue
    images = np.kron(quarters, np.ones((1, 16, 16)))[..., None] + draw.integers(
        0, 9, (n, 32, 32, 3)
    )
    labels = {"A": shown, "hue": [CLASSES[k] for k in hue]}
    return Data.from_arrays(
        images.clip(0, 255).astype(np.uint8), labels, public="A", private="hue", size=(32, 32)
    )


def audited(encoder: object, data: Data, out: Path) -> api.AuditReport:
    config = replace(preset("smoke").config, size=(32, 32), infer_epochs=8.0)
    return api.audit(
        encoder,  # type: ignore[arg-type]
        data,
        suite="brief",
        config=config,
        out=out,
        fail_if=(Gate("hue", "excess", 0.2),),
        device="cpu",
    )


def test_the_planted_class_is_read(data: Data, tmp_path: Path) -> None:
    report = audited(means, data, tmp_path / "run")
    hue = report["hue"]
    assert hue.status is Status.LEAK
    assert hue.floors["majority"].value == 0.25
    assert hue.headline.value > 0.6
    assert hue.excess.low > 0.2
    assert hue.within_labels is not None
    # The same as plain balanced accuracy, scaled so that chance is one half.
    assert hue.within_labels.value == pytest.approx(
        0.5 + (hue.headline.value - 0.25) / 1.5, abs=0.1
    )
    assert report.gates[0].outcome == "exceeded"
    assert report["hue"].ceiling.value > 0.6
    assert "hue" in report.verdict.line


def test_what_is_not_there_is_not_read(data: Data, tmp_path: Path) -> None:
    report = audited(upper, data, tmp_path / "run")
    hue = report["hue"]
    assert hue.status is not Status.LEAK
    assert hue.excess.low <= 0 <= hue.excess.high
    assert hue.within_labels.low <= 0.5


def test_a_class_trains_and_says_what_the_service_is_worth(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = replace(data.task, public=("hue",), private=("A",))
    config = replace(preset("smoke").config, size=(32, 32), epochs=40.0)
    turned = replace(data, task=task)
    run = api.train(api.DeepObfuscator(), turned, out=tmp_path / "run", config=config, device="cpu")
    assert run.classifier(run.encoder(torch.zeros(2, 3, 32, 32))).shape == (2, 4)
    said = capsys.readouterr()
    assert "hue on validation: balanced accuracy" in said.out + said.err
    report = api.audit(run, suite="brief", device="cpu")
    assert report["hue"].service["balanced_accuracy"].value > 0.4
    assert not report["hue"].useless
    names = ("hue", "hue=blue")
    with pytest.raises(InputError, match="not audited"):
        api.audit(run, fail_if=[Gate(names[1], "auc", 0.5)], suite="brief", device="cpu")
