"""The audit: every attacker is fitted afresh on the frozen encoder, and its guesses are kept.

Each attacker leaves its guesses in a file of its own, so that an audit that was stopped goes on at
the attacker it was stopped in, and a larger suite does none of a smaller one twice. `judge` makes
records of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from deepobfuscator.attacks.base import QUICK, SUITES, Attack, Fitted, outputs
from deepobfuscator.attacks.identify import NO_PEOPLE, can_tell_people, trial_rows
from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.attacks.threat import AttackerData, Threat
from deepobfuscator.auditing.artifacts import (
    FACES,
    as_pixels,
    kept_network,
    most_exposed,
    paint,
    write_arrays,
)
from deepobfuscator.auditing.baselines import labels_only, mean_face
from deepobfuscator.auditing.scoring import Scorer
from deepobfuscator.auditing.threat_models import STEPS, AttackSpec, ThreatModel, plan
from deepobfuscator.core.records import IN_GAME, LABEL_ONLY, MEAN_FACE
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.data.table import Task
from deepobfuscator.nn.vgg import differentiable
from deepobfuscator.training.bundle import Bundle, apply
from deepobfuscator.training.objectives import TrainConfig

DECODER = f"{Path(AttackSpec(Mirror()).file).stem}.safetensors"
"""Weights of the reconstructor that other attacks build on."""

Guesses: TypeAlias = dict[str, NDArray[Any]]
"""What one attacker guessed: ``validation`` and ``test`` logits or embeddings, or the quality of
its reconstructions picture by picture."""


def attacks(suite: str, also: Sequence[str] = ()) -> list[Attack]:
    """The attacks of a suite, and those ``also`` names; those that others build on come first."""
    found = list[Attack]()
    for name, kind in Attack.members().items():
        larger = kind.suite if name in also else suite
        found += kind.variants(max(suite, larger, key=SUITES.index))
    first = ("attributes", "image", "identity")
    return sorted(found, key=lambda a: (first.index(a.target), a.label != Mirror.name, a.label))


@dataclass
class Audit:
    """One encoder under attack."""

    bundle: Bundle
    """What is attacked."""
    task: Task
    """Public and private attributes."""
    data: Parts
    """The attacker's pictures and the test pictures."""
    setting: TrainConfig
    """The attackers' budget."""
    folder: Path
    """Where the guesses are kept."""
    context: Context
    """Device and progress."""
    scorer: Scorer
    """Compares pictures."""
    suite: str = QUICK
    """Which attackers: one of `SUITES`."""
    whole: bool = True
    """Whether attackers who know more or less than usual have their turn: a ceiling needs none."""
    other: tuple[str, Labelled] | None = None
    """Another source's name and its pictures, for an attacker who has no others."""
    games: Any = None
    """(number, labelled pictures) to the players of a game of the known defence; or None."""
    also: tuple[str, ...] = ()
    """Attacks of larger suites that have their turn too."""
    floor_folder: Path | None = None
    """Where the ceiling's audit keeps the label-only decoder: floors do not depend on a defence."""

    @cached_property
    def parts(self) -> list[AttackSpec]:
        """Every attacker, in order."""
        service = self.bundle.players.get("C")
        ask = None if service is None else partial(apply, service, context=self.context)
        found = plan(
            *(
                attacks(self.suite, self.also),
                self.suite,
                self.data,
                self.bundle.encoder.stochastic,
            ),
            *(ask, self.other),
        )
        return [p for p in found if self.whole or not p.knowledge.given]

    @cached_property
    def own(self) -> AttackerData:
        """The attacker's pictures as the wire shows them."""
        return self.seen(self.data.attacker)

    @cached_property
    def validation(self) -> AttackerData:
        """The attacker's pictures to choose on."""
        return self.seen(self.data.validation)

    @cached_property
    def test(self) -> AttackerData:
        """The test part as the wire shows it; for scoring alone."""
        return self.seen(self.data.test)

    def seen(self, part: Labelled) -> AttackerData:
        """Pictures with what the frozen encoder makes of them."""
        bundle, context = self.bundle, self.context
        query = lambda pictures, seed: bundle.encode(pictures, context, seed)  # noqa: E731
        encoder = bundle.encoder
        data = self.data
        parts = (data.defender, data.attacker, data.validation, data.test)
        salt = 1 + [id(p) for p in parts].index(id(part))
        return AttackerData(part, query, encoder.features, salt, encoder.stochastic)

    @cached_property
    def threat(self) -> Threat:
        """The common attacker, who knows the architecture, and the weights where that helps."""
        setting, encoder = self.setting, self.bundle.encoder
        games = self.games
        threat = Threat(
            *(self.own, self.validation, setting.size, setting),
            lambda: encoder.mirror(setting.size, setting.width),
            encoder if differentiable(encoder, setting.size, self.context.device) else None,
            cache(partial(games, labelled=self.data.attacker)) if games else None,
        )
        path = self.folder / DECODER
        threat.decoder = partial(kept_network, Mirror(), threat, self.context, path)
        return threat

    def threat_of(self, knowledge: ThreatModel) -> Threat:
        """What an attacker of this kind is handed."""
        common = self.threat
        own, validation = (
            knowledge.learn(knowledge.see(seen), choosing)
            for seen, choosing in ((common.own, False), (common.validation, True))
        )
        setting = common.setting
        if knowledge.pictures is not None:
            passes = STEPS * min(setting.batch_size, len(own)) / len(own)
            longer = {
                name: max(getattr(setting, name), passes)
                for name in ("infer_epochs", "reconstruct_epochs")
            }
            setting = replace(setting, **longer)
        if own.features != common.own.features:
            return Threat(own, validation, setting.size, setting)
        return Threat(
            *(own, validation, setting.size, setting),
            *(common.mirror, common.encoder, common.games, common.decoder),
        )

    def lacks(self, part: AttackSpec) -> str:
        """Why an attacker cannot be tried here; empty where it can."""
        if part.attack.target == "identity" and not can_tell_people(self.test):
            return NO_PEOPLE
        return part.knowledge.why_not or part.attack.lacks(self.threat_of(part.knowledge))

    def guesses(self, part: AttackSpec) -> Guesses:
        """The guesses of one attacker, fitted now unless its file is there already."""
        path = self.folder / part.file
        checkpoint = path.with_suffix(".ckpt")
        if not path.exists():
            threat = self.threat_of(part.knowledge)
            given = f"{part.knowledge.given}: " if part.knowledge.given else ""
            undeclared = "undeclared: " if part.knowledge.subjects == "undeclared" else ""
            if part.attack == Mirror() and not given:
                fitted = kept_network(
                    part.attack, threat, self.context, self.folder / DECODER, "attack by "
                )
            else:
                fitted = part.attack.fit(
                    threat, self.context, checkpoint, f"{given}{undeclared}attack by "
                )
            found = self.asked(part.attack, fitted, part.knowledge)
            write_arrays(path, **found, curve=np.array(fitted.curve))
        checkpoint.unlink(missing_ok=True)
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}

    def asked(self, attack: Attack, fitted: Fitted, knowledge: ThreatModel) -> Guesses:
        """What a fitted attacker guesses of its own validation pictures and of test."""
        validation, test = knowledge.see(self.validation), knowledge.see(self.test)
        if attack.target == "image":
            return self.painted(fitted, validation, test, attack.most)
        found = {}
        for split, own in (("validation", validation), ("test", test)):
            found[split] = outputs(fitted, own, self.context).numpy()
            if fitted.gallery is not None:
                known = trial_rows(own.person)[0]
                raw = [own.pictures(rows) for rows in np.array_split(known, -(-len(known) // 256))]
                look = [apply(fitted.gallery, torch.from_numpy(p), self.context) for p in raw]
                found[f"{split}_gallery"] = torch.cat(look).cpu().numpy()
        return found

    def painted(
        self, fitted: Any, validation: AttackerData, test: AttackerData, most: int | None = None
    ) -> Guesses:
        """Quality of every reconstruction, and pictures of the faces the report shows."""
        found: Guesses = {}
        for split, own in (("validation", validation), ("test", test)):
            few = len(own) if most is None else min(most, len(own))
            rows = np.linspace(0, len(own) - 1, few).round().astype(np.int64)
            guess = partial(paint, fitted, own, self.context)
            found |= {
                f"{split}_{metric}": values
                for metric, values in self.scorer.compare(own.labelled, rows, guess).items()
            }
            found[f"{split}_rows"] = rows
        exposed = most_exposed(found["test_ms_ssim"], found["test_rows"], test.person)
        found["exposed_rows"] = exposed
        found["exposed"] = as_pixels(paint(fitted, test, self.context, exposed))
        found["faces"] = as_pixels(paint(fitted, test, self.context, self.faces()))
        return found

    def players(self) -> dict[str, NDArray[np.float64]]:
        """Probabilities on test by C and by the game's own AC, as the game left them."""
        found: dict[str, NDArray[np.float64]] = {}
        for name in ("C", "AC"):
            if name in self.bundle.players:
                logits = outputs(self.bundle.players[name], self.test, self.context)
                found[name] = torch.sigmoid(logits.double()).numpy()
        return found

    def reconstructions(self) -> dict[str, Guesses]:
        """The floors' and the game's own reconstructions, in the form of an attacker's."""
        path = self.folder / "floors.npz"
        if path.exists():
            with np.load(path) as held:
                flat = {name: held[name] for name in held.files}
        else:
            mean = mean_face(self.data.attacker).to(self.context.device)
            own, test = labels_only(self.data.validation), labels_only(self.data.test)
            all_found = {
                LABEL_ONLY: self.painted(self.label_decoder(), own, test),
                MEAN_FACE: self.painted(lambda f: mean.expand(len(f), -1, -1, -1), own, test),
            }
            if "AR" in self.bundle.players:
                all_found[IN_GAME] = self.painted(
                    self.bundle.players["AR"], self.validation, self.test
                )
            flat = {f"{who}/{k}": v for who, found in all_found.items() for k, v in found.items()}
            write_arrays(path, **flat)
        grouped: dict[str, Guesses] = {}
        for name, values in flat.items():
            who, _, what = name.partition("/")
            grouped.setdefault(who, {})[what] = values
        return grouped

    def label_decoder(self) -> Fitted:
        """A mirror that sees the public labels alone."""
        own, validation = labels_only(self.data.attacker), labels_only(self.data.validation)
        path = (self.floor_folder or self.folder) / f"{LABEL_ONLY}-{DECODER}"
        threat = Threat(own, validation, self.setting.size, self.setting)
        return kept_network(Mirror(), threat, self.context, path, "floor: labels to pictures, ")

    def faces(self) -> NDArray[np.int64]:
        """Rows of the test pictures that the report shows."""
        _, first = np.unique(self.data.test.people, return_index=True)
        chosen = np.linspace(0, len(first) - 1, min(FACES, len(first))).round().astype(int)
        shown: NDArray[np.int64] = np.sort(first)[chosen]
        return shown

    def show_faces(self, strongest: str, guesses: Mapping[str, Guesses]) -> None:
        """The report's pictures: some people, and those whom ``strongest`` exposes most."""
        pictures, best, floor = self.data.test.pictures, guesses[strongest], guesses[LABEL_ONLY]
        write_arrays(
            self.folder.parent / "faces.npz",
            raw=pictures[self.faces()],
            reconstructed=best["faces"],
            label_only=floor["faces"],
            attack=np.array(strongest),
        )
        exposed, test = best["exposed_rows"], labels_only(self.data.test)
        place = {int(row): i for i, row in enumerate(best["test_rows"])}
        write_arrays(
            self.folder / "faces.npz",
            worst_raw=pictures[exposed],
            worst_rebuilt=best["exposed"],
            worst_label_only=as_pixels(paint(self.label_decoder(), test, self.context, exposed)),
            worst_ms_ssim=best["test_ms_ssim"][[place[int(row)] for row in exposed]],
            attack=np.array(strongest),
        )
