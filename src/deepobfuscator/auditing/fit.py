"""The audit: every attacker is newly trained on the frozen encoder, and its predictions are kept.

Each attacker writes its predictions to its own file, so an interrupted audit resumes at the current
attacker, and a larger suite reuses the results of a smaller one. `evaluation` turns the predictions
into records.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.base import Fitted
from deepobfuscator.attacks.identify import NO_PEOPLE, can_tell_people, trial_rows
from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.attacks.threat import AttackerData, Guess, Threat
from deepobfuscator.attacks.trained import ReconstructionAttack, outputs
from deepobfuscator.auditing.artifacts import (
    Arrays,
    image_quality,
    kept_reconstructor,
    most_exposed,
    read_arrays,
    reconstruct,
    shown_rows,
    strongest_reconstructor,
    under,
    whole_people,
    write_arrays,
)
from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.auditing.scoring import IMAGE_METRICS, SPLITS
from deepobfuscator.auditing.threat_models import STEPS, AttackSpec, ThreatModel, plan
from deepobfuscator.core.records import IN_GAME, LABEL_ONLY, MEAN_FACE, PERCEPTUAL, ThreatKind
from deepobfuscator.core.rows import evenly_spaced
from deepobfuscator.data.batches import Labelled
from deepobfuscator.metrics import perceptual
from deepobfuscator.nn.vgg import differentiable
from deepobfuscator.training.bundle import CHUNK, apply

DECODER = f"{Path(AttackSpec(Mirror()).file).stem}.safetensors"
"""File with the weights of the reconstructor that other attacks depend on."""

COMPARED = 1000
"""Number of test inputs whose perceptual distance is measured; whole people."""


@dataclass
class Audit:
    """One encoder under attack."""

    target: Target
    """What is attacked, and the data and budget that may be used."""
    config: AuditConfig
    """Which attackers to run."""

    @cached_property
    def specs(self) -> list[AttackSpec]:
        """Every attacker, in order."""
        return plan(self.config, self.target)

    @cached_property
    def seen(self) -> dict[str, AttackerData]:
        """The parts ``attacker``, ``validation`` and ``test`` as transmitted features."""
        # The closure captures no more than it needs: an attacker must not reach the test part.
        data, bundle, context = self.target.data, self.target.bundle, self.target.context
        encoder = bundle.encoder

        def query(inputs: NDArray[np.uint8], seed: int) -> Tensor:
            return bundle.encode(inputs, context, seed)

        parts = {"attacker": data.attacker, "validation": data.validation, "test": data.test}
        return {
            name: AttackerData(part, query, encoder.features, salt, encoder.stochastic)
            for salt, (name, part) in enumerate(parts.items(), 2)
        }

    @cached_property
    def threat(self) -> Threat:
        """The common attacker, which knows the architecture, and the weights where that helps."""
        target = self.target
        setting, encoder = target.setting, target.bundle.encoder
        white_box = differentiable(encoder, setting.size, target.context.device)
        threat = Threat(
            own=self.seen["attacker"],
            validation=self.seen["validation"],
            size=setting.size,
            setting=setting,
            mirror=partial(encoder.mirror, setting.size, setting.width),
            encoder=encoder if white_box else None,
            games=cache(target.games) if target.games else None,
        )
        folder, context = target.folder, target.context
        threat.decoder = partial(kept_reconstructor, Mirror(), threat, context, folder / DECODER)
        attacks = self.config.attacks
        threat.strongest = partial(strongest_reconstructor, attacks, threat, context, folder)
        return threat

    def threat_of(self, model: ThreatModel) -> Threat:
        """The threat of an attacker of this kind."""
        common = self.threat
        own = model.learn(model.see(common.own), False)
        validation = model.learn(model.see(common.validation), True)
        setting = common.setting
        if model.key.count:
            passes = STEPS * min(setting.batch_size, len(own)) / len(own)
            setting = replace(
                setting,
                infer_epochs=max(setting.infer_epochs, passes),
                reconstruct_epochs=max(setting.reconstruct_epochs, passes),
            )
        raw = model.key.kind is ThreatKind.RAW
        if raw or own.features != common.own.features:  # knowledge of other features
            return Threat(own, validation, setting.size, setting)
        return replace(common, own=own, validation=validation, setting=setting)

    def lacks(self, spec: AttackSpec) -> str:
        """Why an attacker cannot run here; empty if it can."""
        if spec.attack.target == "identity" and not can_tell_people(self.seen["test"]):
            return NO_PEOPLE
        return spec.threat_model.why_not or spec.attack.lacks(self.threat_of(spec.threat_model))

    def guesses(self, spec: AttackSpec) -> Arrays:
        """One attacker's predictions; it is trained now if its file is missing: ``validation`` and
        ``test`` logits or embeddings, or the quality of each of its reconstructions.
        """
        path = self.target.folder / spec.file
        checkpoint = path.with_suffix(".ckpt")
        if not path.exists():
            model, context = spec.threat_model, self.target.context
            threat = self.threat_of(model)
            if isinstance(spec.attack, ReconstructionAttack) and model.common:
                kept = path.with_suffix(".safetensors")
                fitted = kept_reconstructor(spec.attack, threat, context, kept)
            else:
                title = f"{model.words}: attack by " if model.words else "attack by "
                fitted = spec.attack.fit(threat, context, checkpoint, title)
            found = self.asked(spec, fitted)
            write_arrays(path, found | {"curve": np.array(fitted.curve)})
        checkpoint.unlink(missing_ok=True)
        return read_arrays(path)

    def asked(self, spec: AttackSpec, fitted: Fitted) -> Arrays:
        """A trained attacker's predictions for its own validation samples and for test."""
        parts = {split: spec.threat_model.see(self.seen[split]) for split in SPLITS}
        if spec.attack.target == "image":
            return self.reconstructed(fitted, parts, spec.attack.most)
        context, found = self.target.context, Arrays()
        for split, data in parts.items():
            if spec.attack.target == "identity" and spec.attack.most is not None:
                rows = whole_people(data.person, spec.attack.most)
                data, found[f"{split}_rows"] = data.only(rows), rows
            found[split] = outputs(fitted, data, context).numpy()
            if fitted.gallery is not None:
                known = trial_rows(data.person)[0]
                raw = [data.pictures(r) for r in np.array_split(known, -(-len(known) // CHUNK))]
                look = [apply(fitted.gallery, torch.from_numpy(p), context) for p in raw]
                found[f"{split}_gallery"] = torch.cat(look).cpu().numpy()
        return found

    def reconstructed(
        self, guess: Guess, parts: Mapping[str, AttackerData], most: int | None = None
    ) -> Arrays:
        """Quality of every reconstruction (``most`` per split), and those the report shows."""
        context, test, found = self.target.context, parts["test"], Arrays()
        for split in SPLITS:
            data = parts[split]
            rows = evenly_spaced(len(data), len(data) if most is None else most)
            quality = image_quality(guess, data, context, rows, IMAGE_METRICS)
            found |= {f"{split}_{metric}": values for metric, values in quality.items()}
            found[f"{split}_rows"] = rows
        if perceptual.installed():
            rows = found["test_rows"]
            if len(rows) > COMPARED:
                rows = whole_people(test.person, COMPARED)
            distance = {PERCEPTUAL: perceptual.perceptual}
            found |= image_quality(guess, test, context, rows, distance)
            found[f"{PERCEPTUAL}_rows"] = rows
        exposed = most_exposed(found["test_ms_ssim"], found["test_rows"], test.person)
        shown = shown_rows(self.target.data.test.people)
        found["exposed_rows"] = exposed
        found["exposed"] = reconstruct(guess, test, context, exposed)
        found["faces"] = reconstruct(guess, test, context, shown)
        return found

    def reference_images(self) -> dict[str, Arrays]:
        """The reconstructions of baselines and training adversary, in the format of `guesses`."""
        path = self.target.folder / "floors.npz"
        if not path.exists():
            data, players = self.target.data, self.target.bundle.players
            mean = mean_face(data.attacker).to(self.target.context.device)
            labels = {"validation": labels_only(data.validation), "test": labels_only(data.test)}
            found = {
                LABEL_ONLY: self.reconstructed(self.label_decoder(), labels),
                MEAN_FACE: self.reconstructed(lambda f: mean.expand(len(f), -1, -1, -1), labels),
            }
            if "AR" in players:
                found[IN_GAME] = self.reconstructed(players["AR"], self.seen)
            write_arrays(
                path, {f"{who}/{k}": v for who, arrays in found.items() for k, v in arrays.items()}
            )
        held = read_arrays(path)
        names = dict.fromkeys(name.partition("/")[0] for name in held)
        return {who: under(held, f"{who}/") for who in names}

    def label_decoder(self) -> Fitted:
        """A mirror that sees only the public labels; kept with the ceiling's audit, since baselines
        do not depend on a defence.
        """
        target = self.target
        own, validation = labels_only(target.data.attacker), labels_only(target.data.validation)
        folder = target.ceiling[0] / "audit" if target.ceiling else target.folder
        threat = Threat(own, validation, target.setting.size, target.setting)
        path = folder / f"{LABEL_ONLY}-{DECODER}"
        title = "floor: labels to pictures, "
        return kept_reconstructor(Mirror(), threat, target.context, path, title)

    def show_images(self, strongest: str, guesses: Mapping[str, Arrays]) -> None:
        """The report's images: some people, and those whom ``strongest`` reconstructs best."""
        context, part = self.target.context, self.target.data.test
        best, floor = guesses[strongest], guesses[LABEL_ONLY]
        write_arrays(
            context.folder / "faces.npz",
            {
                "raw": part.pictures[shown_rows(part.people)],
                "reconstructed": best["faces"],
                "label_only": floor["faces"],
                "attack": np.array(strongest),
            },
        )
        exposed = best["exposed_rows"]
        by_labels = reconstruct(self.label_decoder(), labels_only(part), context, exposed)
        place = np.searchsorted(best["test_rows"], exposed)
        write_arrays(
            self.target.folder / "faces.npz",
            {
                "worst_raw": part.pictures[exposed],
                "worst_rebuilt": best["exposed"],
                "worst_label_only": by_labels,
                "worst_ms_ssim": best["test_ms_ssim"][place],
                "attack": np.array(strongest),
            },
        )


def mean_face(part: Labelled) -> Tensor:
    """The mean of the attacker's own pictures, (3, H, W) in [0, 1]."""
    mean = np.asarray(part.pictures.mean(0, dtype=np.float64)) / 255
    return torch.from_numpy(mean).float().permute(2, 0, 1)


def labels_only(part: Labelled) -> AttackerData:
    """The part with the true public labels in place of features."""
    labels = torch.from_numpy(part.public).float()
    return AttackerData(part, None, (part.public.shape[1],), kept={False: labels, True: labels})
