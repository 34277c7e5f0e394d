"""Reconstruction: the mirror of the encoder (Table 1) and the decoders of Table 2.

URec#1 and URec#2 take four to six times as long per image as the mirror, so they get a quarter of
its passes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from torch import nn

from deepobfuscator.attacks.base import BRIEF, QUICK, Fitted
from deepobfuscator.attacks.threat import Threat
from deepobfuscator.attacks.trained import LOSSES, ReconstructionAttack, distance
from deepobfuscator.core.runtime import Context
from deepobfuscator.nn.decoders import mirror, resrec, urec1, urec2


@dataclass(frozen=True)
class Mirror(ReconstructionAttack):
    """The reversed encoder if its architecture is known, else the mirror of Table 1."""

    name: ClassVar[str] = "mirror"
    suite: ClassVar[str] = BRIEF

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """Beyond the quick suite, all losses, and one attacker trained twice as long."""
        if suite in (BRIEF, QUICK):
            return (cls(),)
        return (*(cls(loss=loss) for loss in LOSSES), cls(passes=2.0))

    def network(self, threat: Threat) -> nn.Module:
        """AR at the setting's width."""
        reverse = threat.mirror() if threat.mirror else None
        return reverse or mirror(threat.features, threat.size, threat.setting.width)


@dataclass(frozen=True)
class MirrorFromL1(ReconstructionAttack):
    """The mirror with L1 for the first tenth of the passes: better on synthetic faces."""

    name: ClassVar[str] = "mirror-l1"

    def network(self, threat: Threat) -> nn.Module:
        """As `Mirror.network`."""
        return Mirror().network(threat)

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Train with L1, then with the loss selected by the field."""
        return self.train(threat, context, checkpoint, title, first=distance)


@dataclass(frozen=True)
class URec1(ReconstructionAttack):
    """URec#1 of Table 2."""

    name: ClassVar[str] = "urec1"
    share: ClassVar[float] = 1 / 4

    def network(self, threat: Threat) -> nn.Module:
        """URec#1 at the setting's width."""
        return urec1(threat.features, threat.size, threat.setting.width)


@dataclass(frozen=True)
class URec2(ReconstructionAttack):
    """URec#2 of Table 2."""

    name: ClassVar[str] = "urec2"
    share: ClassVar[float] = 1 / 4

    def network(self, threat: Threat) -> nn.Module:
        """URec#2 at the setting's width."""
        return urec2(threat.features, threat.size, threat.setting.width)


@dataclass(frozen=True)
class ResRec(ReconstructionAttack):
    """ResRec of Table 2."""

    name: ClassVar[str] = "resrec"

    def network(self, threat: Threat) -> nn.Module:
        """ResRec at the setting's width."""
        return resrec(threat.features, threat.size, threat.setting.width)
