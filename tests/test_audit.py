"""Floors against brute force, and audits of encoders whose leak is known because it was planted."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.infer import MLP, LinearProbe
from deepobfuscator.audit import Audit
from deepobfuscator.bundle import Bundle
from deepobfuscator.data.batches import Data, Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.floors import codes, label_table
from deepobfuscator.game import Setting
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.records import Record, fresh, select
from deepobfuscator.runtime import Run

TASK = Task(("A",), ("P",))
SETTING = Setting(
    size=(32, 32),
    width=1 / 64,
    batch_size=64,
    infer_epochs=5,
    reconstruct_epochs=0.05,
    learning_rate=1e-2,
)


def labels(n: int, seed: int, agreement: float = 0.6) -> NDArray[np.uint8]:
    """(n, 2): A at random, P equal to it with the given chance."""
    draw = np.random.default_rng(seed)
    public = draw.integers(0, 2, n, dtype=np.uint8)
    same = draw.random(n) < agreement
    return np.stack((public, np.where(same, public, 1 - public)), 1).astype(np.uint8)


def part(n: int, seed: int) -> Labelled:
    """Noise pictures with A in pixel (0, 0) and P in pixel (0, 1)."""
    y = labels(n, seed)
    pictures = np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    pictures[:, 0, 0] = 255 * y[:, :1]
    pictures[:, 0, 1] = 255 * y[:, 1:]
    return Labelled(pictures, y[:, :1], y[:, 1:], np.arange(n) + 10_000 * seed)


class Planted(Encoder):
    """Sees only a few values of the picture."""

    features = (2,)
    wire_bits = 64

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, pictures: Tensor) -> Tensor:
        public, private = pictures[:, 0, 0, :2].unbind(1)
        coin = (pictures[:, 0, 5, 5] > 0.5).float()
        if self.what == "bit":
            return torch.stack((public, private), 1)
        if self.what == "flipped":
            return torch.stack((public, 1 - private), 1)
        if self.what == "xor":
            return torch.stack((coin, (private - coin).abs()), 1)
        return torch.stack((public, coin), 1)


@pytest.fixture
def data() -> Data:
    return Data(part(64, 1), part(2000, 2), part(400, 3), part(1000, 4), {}, False)


def audited(what: str, data: Data, folder: Path) -> list[Record]:
    """Attribute records of the planted encoder."""
    run = Run(folder)
    run.console.quiet = True
    bundle = Bundle({"O": Planted(what).eval()}, {})
    audit = Audit(bundle, "key", what, TASK, data, SETTING, folder, run)
    return [r for attack in (LinearProbe(), MLP()) for r in audit.part(attack)]


def best(records: list[Record], metric: str = "balanced_accuracy") -> Record:
    return max(fresh(records, "P", metric), key=lambda r: r.value)


@pytest.mark.parametrize("what", ["bit", "flipped", "xor"])
def test_a_planted_leak_is_found(what: str, data: Data, tmp_path: Path) -> None:
    assert best(audited(what, data, tmp_path)).value > 0.99


def test_no_leak_beyond_the_public_label_is_reported_where_there_is_none(
    data: Data, tmp_path: Path
) -> None:
    """The features hold A, which says P in 60 % of the cases, and a coin."""
    found = best(audited("public", data, tmp_path))
    assert found.low <= 0.6 <= found.high
    assert found.high < 0.65


def test_label_table_is_the_best_guess_from_labels(data: Data) -> None:
    table = label_table(data.attacker, 0)
    y, z = data.attacker.public[:, 0], data.attacker.private[:, 0]
    np.testing.assert_allclose(table, [z[y == 0].mean(), z[y == 1].mean()])


def test_label_table_counts_combinations() -> None:
    draw = np.random.default_rng(0)
    public, private = draw.integers(0, 2, (2, 500, 3), dtype=np.uint8)
    public[:, 2] &= public[:, 1]  # (0, 0, 1) and (1, 0, 1) never occur
    some = Labelled(np.zeros((500, 1, 1, 3), np.uint8), public, private, np.arange(500))
    table = label_table(some, 1)
    for combination in product((0, 1), repeat=3):
        rows = (public == combination).all(1)
        expected = private[rows, 1].mean() if rows.any() else private[:, 1].mean()
        cell = codes(np.array([combination], dtype=np.uint8))[0]
        assert table[cell] == pytest.approx(expected)


def test_floors_are_the_majority_and_the_label_table(data: Data, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.console.quiet = True
    bundle = Bundle({"O": Planted("bit").eval()}, {})
    audit = Audit(bundle, "key", "planted", TASK, data, SETTING, tmp_path, run)
    floors = audit.floors(tmp_path / "floor.ckpt")
    y, z = data.test.public[:, 0], data.test.private[:, 0]

    def of(attack: str, metric: str) -> float:
        (record,) = select(floors, attack=attack, metric=metric, subject="P")
        return record.value

    assert of("majority", "accuracy") == pytest.approx(max(z.mean(), 1 - z.mean()))
    assert of("majority", "balanced_accuracy") == of("majority", "auc") == 0.5
    assert of("label-only", "accuracy") == pytest.approx((y == z).mean())
    by_hand = ((y[z == 1] == 1).mean() + (y[z == 0] == 0).mean()) / 2
    assert of("label-only", "balanced_accuracy") == pytest.approx(by_hand)
    assert of("label-only", "auc") == pytest.approx(by_hand)


def test_the_mean_face_is_the_attackers_mean(data: Data, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.console.quiet = True
    bundle = Bundle({"O": Planted("bit").eval()}, {})
    audit = Audit(bundle, "key", "planted", TASK, data, SETTING, tmp_path, run)
    floors = audit.floors(tmp_path / "floor.ckpt")
    (psnr,) = select(floors, attack="mean-face", metric="psnr")
    mean = data.attacker.pictures.mean(0) / 255
    errors = ((data.test.pictures / 255 - mean) ** 2).mean((1, 2, 3))
    assert psnr.value == pytest.approx(float((-10 * np.log10(errors)).mean()), abs=1e-3)
