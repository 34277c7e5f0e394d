"""What an audit is asked to do, and what it attacks."""

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
"""Drawn faces for an attacker who has no real ones."""


@dataclass(frozen=True)
class AuditConfig:
    """Which attackers are run."""

    suite: str = QUICK
    """One of `SUITES`."""
    other: Source | None = None
    """Where an attacker gets inputs who has none like the defender's; from `STANDARD` on."""
    whole: bool = True
    """Whether attackers who know more or less than usual have their turn: a ceiling needs none."""
    also: tuple[str, ...] = ()
    """Attacks of larger suites that have their turn too, by name."""

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
        """Every attack that is tried; those that others build on come first."""
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
        """The source of an attacker's other inputs beside the audited ``source``; None where the
        suite has no such attacker.
        """
        if self.suite in (BRIEF, QUICK) or not self.whole:
            return None
        drawn = None if isinstance(source, Synthetic) else Synthetic(OTHERS)
        return self.other or drawn

    def joined(self, before: "AuditConfig") -> "AuditConfig":
        """All that this audit and one before it ask for: records replace those of an audit
        before, and none may be lost.
        """
        return replace(
            self,
            suite=max(self.suite, before.suite, key=SUITES.index),
            whole=self.whole or before.whole,
            also=tuple(dict.fromkeys((*before.also, *self.also))),
        )


@dataclass(frozen=True)
class Target:
    """What an audit attacks, and what it may use."""

    key: str
    """Key of the trial."""
    defence: Defence
    """What was trained, or the encoder made elsewhere."""
    task: Task
    """Public and private attributes."""
    setting: TrainConfig
    """The attackers' budget."""
    bundle: Bundle
    """The frozen players."""
    data: Parts
    """The attacker's samples, and those it is scored on."""
    context: Context
    """Device and run folder."""
    command: str = ""
    """What was typed."""
    ceiling: tuple[Path, Sequence[Record]] | None = None
    """Folder and records of the audit of the undefended encoder; None if this is that one."""
    other: tuple[str, Labelled] | None = None
    """Another source's name and its samples, for an attacker who has no others."""
    games: Callable[[int], Players] | None = None
    """The known defence: the players of its game, 0 as it was played, others played anew on the
    attacker's samples; None where it is not known."""

    @property
    def folder(self) -> Path:
        """Where the attackers' guesses are kept."""
        return self.context.folder / "audit"
