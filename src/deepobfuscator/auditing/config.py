"""What an audit is configured to do, and what it attacks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deepobfuscator.attacks.base import BRIEF, QUICK, SUITES, Attack
from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import Record
from deepobfuscator.core.registry import suggest
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.data.table import Source, Task
from deepobfuscator.defences.base import Defence
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import Players, TrainConfig

OTHERS = 4000
"""Synthetic faces for an attacker that has no real ones."""


@dataclass(frozen=True)
class AuditConfig:
    """Which attackers are run."""

    suite: str = QUICK
    """One of `SUITES`."""
    other: Source | None = None
    """Data source of an attacker without inputs like the defender's; from `STANDARD` on."""
    whole: bool = True
    """Whether to run alternative threat models too: a ceiling needs none."""
    also: tuple[str, ...] = ()
    """Attacks of larger suites to run as well, by name."""

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise InputError(f"--suite {self.suite}: {suggest(self.suite, list(SUITES))}")
        for name in self.also:
            Attack.find(name)
        if self.other is not None and self.suite in (BRIEF, QUICK):
            raise InputError(
                f"--other-data: no attacker of the suite {self.suite!r} has other pictures: "
                "take --suite standard"
            )

    @property
    def attacks(self) -> list[Attack]:
        """Every attack to run; those that others depend on come first."""
        found = list[Attack]()
        for name, kind in Attack.members().items():
            larger = kind.suite if name in self.also else self.suite
            found += kind.variants(max(self.suite, larger, key=SUITES.index))
        first = ("attributes", "image", "identity")
        return sorted(found, key=lambda a: (first.index(a.target), a.label != Mirror.name, a.label))

    @property
    def labels(self) -> set[str]:
        """The labels of `attacks`."""
        return {attack.label for attack in self.attacks}

    def elsewhere(self, source: Source) -> Source | None:
        """The other source of inputs for an attacker, given the audited ``source``; None if the
        suite has no such attacker.
        """
        if self.suite in (BRIEF, QUICK) or not self.whole:
            return None
        drawn = None if isinstance(source, Synthetic) else Synthetic(OTHERS)
        return self.other or drawn

    def joined(self, before: "AuditConfig") -> "AuditConfig":
        """The union of this audit and a previous one: its records replace the previous ones, and
        none may be lost.
        """
        return replace(
            self,
            suite=max(self.suite, before.suite, key=SUITES.index),
            whole=self.whole or before.whole,
            also=tuple(dict.fromkeys((*before.also, *self.also))),
        )


@dataclass(frozen=True)
class Target:
    """What an audit attacks, and the data and budget that it may use."""

    key: str
    """Key of the trial."""
    defence: Defence
    """The defence that was trained, or the external encoder."""
    task: Task
    """Public and private attributes."""
    setting: TrainConfig
    """The attackers' budget."""
    bundle: Bundle
    """The frozen players."""
    data: Parts
    """The attacker's samples, and the test samples."""
    context: Context
    """Device and run folder."""
    command: str = ""
    """The command line."""
    ceiling: tuple[Path, Sequence[Record]] | None = None
    """Folder and records of the audit of the undefended encoder; None if this is that one."""
    other: tuple[str, Labelled] | None = None
    """Another source's name and its samples, for an attacker that has no others."""
    games: Callable[[int], Players] | None = None
    """The known defence: the players of its game, 0 for the original, others retrained on the
    attacker's samples; None if it is unknown."""

    @property
    def folder(self) -> Path:
        """Folder of the attackers' predictions."""
        return self.context.folder / "audit"
