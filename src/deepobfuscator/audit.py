"""The audit: every attack is fitted afresh on the frozen encoder and scored here, the same way.

Each part (the references, one attack) leaves its records in a file of its own, so that an audit
that was stopped goes on at the part it was stopped in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepobfuscator.attacks._base import Attack, Own, Threat
from deepobfuscator.bundle import Bundle, apply
from deepobfuscator.data.batches import Data, Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.files import write_atomic
from deepobfuscator.floors import attribute_floors, label_decoder, labels_only, mean_face
from deepobfuscator.game import Setting
from deepobfuscator.records import (
    CEILING,
    FLOORS,
    IMAGE,
    IN_GAME,
    LABEL_ONLY,
    SERVICE,
    Record,
    headline,
    read_jsonl,
    write_jsonl,
)
from deepobfuscator.runtime import Run
from deepobfuscator.scoring import Scorer

FACES = 8
"""Test pictures shown in the report, each of another person."""


def suite() -> list[Attack]:
    """Every registered attack at its defaults; attribute inference first."""
    attacks = [kind() for kind in Attack.members().values()]
    return sorted(attacks, key=lambda a: (a.target, a.name))


@dataclass
class Audit:
    """One bundle under attack."""

    bundle: Bundle
    """What is attacked."""
    trial: str
    """Key of its trial."""
    defence: str
    """Name of its defence."""
    task: Task
    """Public and private attributes."""
    data: Data
    """The attacker's pictures and the test pictures."""
    setting: Setting
    """The attackers' budget."""
    folder: Path
    """Where the parts are kept."""
    run: Run
    """Device and progress."""
    ceiling: Sequence[Record] | None = None
    """Records of the undefended encoder's audit on the same data; None if this is that one."""
    ceiling_folder: Path | None = None
    """Where that audit kept its parts."""

    @cached_property
    def scorer(self) -> Scorer:
        """Makes this trial's records."""
        return Scorer(self.trial, self.defence, self.setting.seed, self.task, self.data, self.run)

    @cached_property
    def test(self) -> Own:
        """The test part as the wire shows it; for scoring alone."""
        return self.seen(self.data.test)

    @cached_property
    def threat(self) -> Threat:
        """An attacker who knows the architecture and has pictures of their own; no test picture."""
        setting, encoder = self.setting, self.bundle.encoder
        return Threat(
            self.seen(self.data.attacker),
            self.seen(self.data.validation),
            setting.size,
            setting,
            lambda: encoder.mirror(setting.size, setting.width),
        )

    def seen(self, part: Labelled) -> Own:
        """Pictures with what the frozen encoder makes of them."""
        bundle, run = self.bundle, self.run
        query = lambda pictures, seed: bundle.encode(pictures, run, seed)  # noqa: E731
        encoder = bundle.encoder
        salt = 1 + [id(p) for p in vars(self.data).values()].index(id(part))
        return Own(part, query, encoder.features, salt, encoder.draws)

    def records(self, attacks: Sequence[Attack]) -> list[Record]:
        """Fit and score what is not yet scored; all records, with floors and ceiling."""
        records = self.references()
        for attack in attacks:
            records += self.part(attack)
        records += self.ceilings(records)
        floors: dict[tuple[str, str], float] = {}
        for r in records:
            if r.attack in FLOORS:
                at = (r.subject, r.metric)
                floors[at] = max(r.value, floors.get(at, r.value))
        self.show_faces(headline(records, IMAGE, "ms_ssim").attack)
        return [replace(r, floor=floors.get((r.subject, r.metric))) for r in records]

    def part(self, attack: Attack) -> list[Record]:
        """The records of one attack, fitted now unless its file is there already."""
        path = self.folder / f"{attack.name}.jsonl"
        checkpoint = path.with_suffix(".ckpt")
        if not path.exists():
            network = attack.fit(self.threat, self.run, checkpoint)
            write_jsonl(path, self.score(attack, network))
        checkpoint.unlink(missing_ok=True)
        return read_jsonl(path)

    def score(self, attack: Attack, network: nn.Module) -> list[Record]:
        """Figures of a fitted attacker on its own validation pictures and on test."""
        if attack.target == "image":
            self.keep_faces(attack.name, network, self.test)
            return [
                *self.images(attack.name, network, self.threat.validation, "validation"),
                *self.images(attack.name, network, self.test, "test"),
            ]
        own, test = self.logits(network, self.threat.validation), self.logits(network, self.test)
        return [
            record
            for k, subject in enumerate(self.task.private)
            for record in self.scorer.attribute(attack.name, subject, own[:, k], test[:, k])
        ]

    def logits(self, network: nn.Module, own: Own) -> NDArray[np.float32]:
        """(n, labels) outputs of a classifier."""
        outputs = [apply(network, own.features_of(rows), self.run) for rows in own.chunks()]
        return torch.cat(outputs).cpu().numpy()

    def images(self, attack: str, network: nn.Module, own: Own, split: str) -> list[Record]:
        """Records of a decoder's reconstructions."""
        return self.scorer.images(
            attack,
            own.labelled,
            split,
            lambda rows: apply(network, own.features_of(rows), self.run),
        )

    def references(self) -> list[Record]:
        """The service, the game's own adversaries as the game left them, and the floors."""
        path = self.folder / "references.jsonl"
        checkpoint = path.with_suffix(".ckpt")
        if not path.exists():
            write_jsonl(path, [*self.players(), *self.floors(checkpoint)])
        checkpoint.unlink(missing_ok=True)
        return read_jsonl(path)

    def players(self) -> list[Record]:
        """C on the public attributes, AC on the private ones, AR on the pictures."""
        records: list[Record] = []
        for name, role, subjects in (
            ("C", SERVICE, self.task.public),
            ("AC", IN_GAME, self.task.private),
        ):
            if name in self.bundle.players:
                logits = self.logits(self.bundle.players[name], self.test).astype(np.float64)
                chances = 1 / (1 + np.exp(-logits))
                for k, subject in enumerate(subjects):
                    records += self.scorer.naive(role, subject, chances[:, k])
        if "AR" in self.bundle.players:
            records += self.images(IN_GAME, self.bundle.players["AR"], self.test, "test")
        return records

    def floors(self, checkpoint: Path) -> list[Record]:
        """The floors, or those of the ceiling's audit: they do not depend on the defence."""
        if self.ceiling is not None:
            return [
                replace(r, trial=self.trial, defence=self.defence, seed=self.setting.seed)
                for r in self.ceiling
                if r.attack in FLOORS
            ]
        decoder = label_decoder(self.data, self.setting, self.run, checkpoint)
        labels = labels_only(self.data.test)
        self.keep_faces(LABEL_ONLY, decoder, labels)
        return [
            *attribute_floors(self.scorer, self.task),
            *mean_face(self.scorer),
            *self.images(LABEL_ONLY, decoder, labels, "test"),
        ]

    def ceilings(self, records: Sequence[Record]) -> list[Record]:
        """The undefended encoder's headline for every subject and metric."""
        source = records if self.ceiling is None else self.ceiling
        pairs = dict.fromkeys((r.subject, r.metric) for r in records if r.split == "validation")
        return [
            replace(
                headline(source, *pair),
                trial=self.trial,
                defence=self.defence,
                seed=self.setting.seed,
                attack=CEILING,
            )
            for pair in pairs
        ]

    def faces(self) -> NDArray[np.int64]:
        """Rows of the test pictures that the report shows."""
        _, first = np.unique(self.data.test.people, return_index=True)
        chosen = np.linspace(0, len(first) - 1, min(FACES, len(first))).round().astype(int)
        shown: NDArray[np.int64] = np.sort(first)[chosen]
        return shown

    def keep_faces(self, attack: str, decoder: nn.Module, own: Own) -> None:
        """Keep what a decoder paints of the pictures in `faces`."""
        painted: Tensor = apply(decoder, own.features_of(self.faces()), self.run)
        pixels = (painted.permute(0, 2, 3, 1).cpu().numpy() * 255).round().astype(np.uint8)
        write_arrays(self.folder / f"{attack}.npz", painted=pixels)

    def show_faces(self, strongest: str) -> None:
        """``faces.npz`` for the report: raw, by the strongest reconstructor, by the floor's."""
        floor = (self.ceiling_folder or self.folder) / f"{LABEL_ONLY}.npz"
        write_arrays(
            self.folder.parent / "faces.npz",
            raw=self.data.test.pictures[self.faces()],
            reconstructed=np.load(self.folder / f"{strongest}.npz")["painted"],
            label_only=np.load(floor)["painted"],
            attack=np.array(strongest),
        )


def write_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Write arrays as .npz, whole or not at all."""

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    write_atomic(path, write)
