"""The paper's scale: undefended and the game at 216x176, width 1, batch 64, under fresh attackers.

Everything goes the product's own way: train, then the audit of the brief suite, with the
undefended encoder as ceiling. Only the game's length is fitted to the time that is left.
"""

import json
from dataclasses import replace
from time import monotonic
from typing import Any

from common import TASK, Figures

from deepobfuscator.attacks.base import BRIEF
from deepobfuscator.auditing.config import AuditConfig
from deepobfuscator.core import runtime
from deepobfuscator.core.records import Record
from deepobfuscator.data.celeba import Celeba
from deepobfuscator.data.dataset import Data
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.experiments.presets import preset
from deepobfuscator.experiments.runner import Runner
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.training.objectives import TrainConfig

EPOCHS = 400.0
"""The game's most epochs."""
AFTER = 1.25
"""Time kept back for the second audit, in times of the first."""
SHOWN = ("balanced_accuracy", "accuracy", "auc", "excess", "ms_ssim", "psnr")


def main() -> None:
    """Train and audit both; figures of the first are on disk before the second begins."""
    figures = Figures.of_command_line()
    device = runtime.resolve_device("auto")
    runtime.prepare()
    runner = Runner(device, "benchmarks/device/run.sh")
    out = figures.path.parent / "scale"
    data = Data(Celeba(figures.pictures), TASK)
    # The carried pictures are few: half the attackers' passes, at three times the learning rate.
    config = replace(
        preset("paper").config, learning_rate=3e-4, infer_epochs=6.0, reconstruct_epochs=6.0
    )
    if figures.rehearse:
        config = TrainConfig(
            size=(40, 36),
            width=1 / 32,
            batch_size=16,
            epochs=1.0,
            adversary_epochs=1.0,
            infer_epochs=1.0,
            reconstruct_epochs=1.0,
        )
        data = replace(data, limit=200)
    brief = AuditConfig(BRIEF, whole=False)
    undefended = Trial.make(Undefended(), data, config)
    began = monotonic()
    runner.train(undefended, out / "undefended")
    figures.put("seconds to train undefended", monotonic() - began)
    began = monotonic()
    figures.put("undefended", told(runner.audit(out / "undefended", None, brief)))
    audit = monotonic() - began
    figures.put("seconds to audit undefended", audit)
    parts = runner.data(undefended, runner.on(undefended, out))
    figures.put("data", {k: parts.summary[k] for k in ("pictures", "people")})
    rate = game_rate(figures) or len(parts.defender) / 10
    spare = figures.left - AFTER * audit - 12
    pre_training = (config.epochs + config.adversary_epochs) * len(parts.defender) / rate
    epochs = max(1.0, min(EPOCHS, 0.92 * (spare - pre_training) * rate / len(parts.defender)))
    config = replace(config, game_epochs=1.0 if figures.rehearse else round(epochs))
    rounds = int(config.game_epochs * (len(parts.defender) // config.batch_size) / 4)
    figures.put("game", {"epochs": config.game_epochs, "rounds": rounds})
    trial = Trial.make(DeepObfuscator(), data, config)
    began = monotonic()
    runner.train(trial, out / "deepobfuscator")
    figures.put("seconds to train deepobfuscator", monotonic() - began)
    records = runner.audit(out / "deepobfuscator", out / "undefended", brief)
    figures.put("deepobfuscator", told(records))
    curves = (out / "deepobfuscator" / "history.jsonl").read_text().splitlines()
    figures.put("curve", curves[:: max(1, len(curves) // 40)])


def game_rate(figures: Figures) -> float | None:
    """Images a second of the game at the paper's setting, as `fast` found them."""
    file = figures.path.with_name("fast.json")
    found = json.loads(file.read_text()) if file.exists() else {}
    return found.get("game paper", {}).get("images/s")  # type: ignore[no-any-return]


def told(records: list[Record]) -> list[dict[str, Any]]:
    """The test figures, with their floors and intervals."""
    return [
        {
            "attack": r.attack,
            "subject": r.subject,
            "metric": r.metric,
            "value": r.value,
            "low": r.low,
            "high": r.high,
            "floor": r.floor,
            "people": r.n_people,
        }
        for r in records
        if r.split == "test" and r.metric in SHOWN
    ]


if __name__ == "__main__":
    main()
