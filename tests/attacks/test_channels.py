"""A reconstructor that inverts a colour channel is retrained, starting with L1."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from deepobfuscator.attacks.base import Fitted
from deepobfuscator.attacks.channels import any_inverted, correlations
from deepobfuscator.attacks.reconstruct import URec1
from deepobfuscator.attacks.threat import AttackerData, Threat
from deepobfuscator.attacks.trained import ReconstructionAttack, distance
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.data.batches import Labelled
from deepobfuscator.training.objectives import TrainConfig

SIZE = (32, 32)


def smooth(n: int, seed: int) -> AttackerData:
    """Pictures of soft spots of colour; the features are the pictures, small."""
    coarse = torch.rand(n, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    images = functional.interpolate(coarse, SIZE, mode="bilinear", align_corners=True)
    pictures = (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    labels = np.zeros((n, 1), dtype=np.uint8)
    features = functional.adaptive_avg_pool2d(images, (8, 8))
    kept = {False: features, True: features.flip(3)}
    return AttackerData(
        Labelled(pictures, labels, labels, np.arange(n)), None, (3, 8, 8), kept=kept
    )


def test_correlations_tell_channels_apart() -> None:
    truth = torch.rand(6, 3, 8, 8)
    rebuilt = torch.stack(
        (truth[:, 0], 1 - 0.3 * truth[:, 1], torch.full_like(truth[:, 2], 0.5)), 1
    )
    found = correlations(rebuilt, truth)
    torch.testing.assert_close(found, torch.tensor([1.0, -1.0, 0.0]).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("signs", "bad"),
    [((1, 1, 1), False), ((1, -1, 1), True), ((-1, -1, -1), True), ((1, 1, 0), True)],
)
def test_an_inverted_channel_is_noticed(signs: tuple[int, ...], bad: bool, tmp_path: Path) -> None:
    own = smooth(20, 1)
    images = as_input(own.pictures(np.arange(20)), torch.device("cpu"))
    turned = 0.5 + torch.tensor(signs)[:, None, None] * (images - 0.5)
    assert any_inverted(lambda features: turned[: len(features)], own, Context(tmp_path)) is bad


def test_a_reconstructor_with_an_inverted_channel_is_trained_anew_from_l1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The initial weights give the negative of a channel, and the steps are too few to turn it."""
    run = Context(tmp_path)
    run.console.quiet = True
    setting = TrainConfig(
        size=SIZE, width=1 / 16, batch_size=16, learning_rate=1e-3, reconstruct_epochs=40
    )
    threat = Threat(smooth(128, 1), smooth(32, 2), SIZE, setting)
    trained: list[tuple[Any, Fitted]] = []
    train = ReconstructionAttack.train

    def noted(self: ReconstructionAttack, *a: Any, **more: Any) -> Fitted:
        trained.append((more.get("first"), train(self, *a, **more)))
        return trained[-1][1]

    monkeypatch.setattr(ReconstructionAttack, "train", noted)
    good = URec1().fit(threat, run)
    assert [first for first, _ in trained] == [None], "nothing is inverted, nothing done twice"
    assert good.network is not None
    last = [m for m in good.network.modules() if isinstance(m, nn.Conv2d)][-1]
    with torch.no_grad():
        assert last.bias is not None
        for weights in (last.weight, last.bias):
            weights[1] *= -1
    state = {k: v.clone() for k, v in good.network.state_dict().items()}
    assert any_inverted(good.network, threat.validation, run)
    monkeypatch.setattr(URec1, "start", lambda self, network, _: network.load_state_dict(state))
    short = replace(threat, setting=replace(setting, learning_rate=1e-6, reconstruct_epochs=4))
    trained.clear()
    mended = URec1().fit(short, run, tmp_path / "attack.ckpt")
    assert [first for first, _ in trained] == [None, distance]
    assert mended is max((fitted for _, fitted in trained), key=lambda f: f.curve[-1])
    assert not list(tmp_path.glob("*.l1.ckpt"))
    trained.clear()
    URec1(loss="l1").fit(short, run)
    assert [first for first, _ in trained] == [None], "it had L1 from the start"
