"""The trials behind the paper's exhibits, each named by its content: exhibits share them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepobfuscator.attacks.base import BRIEF
from deepobfuscator.auditing.config import AuditConfig
from deepobfuscator.core.config import key
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import suggest
from deepobfuscator.data.table import AttributeTable, Task
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.defences.naive_sequence import NaiveSequence
from deepobfuscator.defences.pixel_noise import PixelNoise
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.experiments.runner import RunSpec
from deepobfuscator.experiments.trial import Trial

SETS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "a": ((0,), (0,)),
    "b": ((1,), (0,)),
    "c": ((0, 1), (0,)),
    "d": ((0,), (0, 1)),
    "e": ((1,), (0, 1)),
    "f": ((0, 1), (0, 1)),
}
"""The paper's six sets (section 4.5): which of the public and which of the private roles."""

PUBLIC = ("Smiling", "High_Cheekbones")
PRIVATE = ("Male", "Heavy_Makeup")
"""Who plays those roles in the paper, by CelebA's names."""


@dataclass(frozen=True)
class Need:
    """A trial that an exhibit shows, and which attackers it needs there."""

    trial: Trial
    """What is run."""
    also: tuple[str, ...] = ()
    """Attacks beyond the brief suite."""
    ceiling: Trial | None = None
    """The undefended trial it stands beside; None where it is that one."""
    labels: str = ""
    """`AttributeTable.fingerprint` of the data."""

    @property
    def folder(self) -> str:
        """Name of its run folder: the same trial on the same labels, the same name."""
        told = f"{self.trial.key} {self.labels}"
        return f"{self.trial.defence.name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def beside(self) -> "Need | None":
        """Its ceiling, with no attacks beyond the brief suite."""
        return Need(self.ceiling, labels=self.labels) if self.ceiling else None


@dataclass(frozen=True)
class Book:
    """Everything that determines the trials of one reproduction."""

    base: Trial
    """Source, size, lengths; its task and defence are replaced."""
    public: tuple[str | None, ...]
    """Attributes in the roles of smiling and of high cheekbones; None where the data has none."""
    private: tuple[str | None, ...]
    """Attributes in the roles of gender and of heavy make-up; None likewise."""
    seeds: tuple[int, ...]
    """Every trial is run with each."""
    out: Path
    """Holds ``trials/`` and the exhibits' files."""
    sigma: float | None = None
    """Deviation of the noise baseline; None until it is calibrated."""
    labels: str = ""
    """`AttributeTable.fingerprint` of the data: a source's path is not in a trial's key."""

    @property
    def key(self) -> str:
        """Names the reproduction by its content."""
        told = key(replace(self.base, task=Task(("public",), ("private",)))) + self.labels
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def task(self, letter: str) -> Task:
        """The task of one of the six sets.

        Raises:
            InputError: the data has no attribute for a role.
        """
        sides = []
        for names, paper, roles in zip(
            (self.public, self.private), (PUBLIC, PRIVATE), SETS[letter], strict=True
        ):
            for role in roles:
                if names[role] is None:
                    raise InputError(
                        f"set ({letter}) is left out: the data has no attribute for the role of "
                        f"{paper[role]}; name one with --public or --private"
                    )
            sides.append(tuple(str(names[role]) for role in roles))
        return Task(*sides)

    def trial(self, task: Task, defence: Defence, seed: int) -> Trial:
        """One trial of the reproduction."""
        setting = replace(self.base.setting, seed=seed)
        return replace(self.base, task=task, defence=defence, setting=setting)

    def baseline(self, letter: str, seed: int) -> Trial:
        """The undefended trial of a set.

        It does not depend on what is private: one trial, whose attackers read every private
        attribute at once, serves all sets with these public attributes.
        """
        hidden = tuple(name for name in self.private if name is not None)
        return self.trial(Task(self.task(letter).public, hidden), Undefended(), seed)

    def first(self) -> Trial:
        """The undefended trial of the first set that the data allows, on whose data noise is
        calibrated.

        Raises:
            InputError: the data allows none.
        """
        wrong: InputError | None = None
        for letter in SETS:
            try:
                return self.baseline(letter, self.seeds[0])
            except InputError as error:
                wrong = wrong or error
        assert wrong is not None
        raise wrong

    def undefended(self, letter: str, *also: str) -> list[Need]:
        """The baseline without adversarial training."""
        trials = [self.baseline(letter, seed) for seed in self.seeds]
        return [Need(trial, also, None, self.labels) for trial in trials]

    def noise(self, letter: str, *also: str) -> list[Need]:
        """The baseline with noise; like `baseline`, one trial for all sets of equal public side.

        Raises:
            InputError: it is not calibrated yet.
        """
        if self.sigma is None:
            raise InputError("the noise baseline is left out: its deviation is not calibrated yet")
        defence = PixelNoise(self.sigma)
        found = []
        for seed in self.seeds:
            beside = self.baseline(letter, seed)
            found.append(Need(replace(beside, defence=defence), also, beside, self.labels))
        return found

    def game(self, letter: str, *also: str, **fields: Any) -> list[Need]:
        """DeepObfuscator, by default as in the paper."""
        return self._against(letter, DeepObfuscator(**fields), also)

    def sequence(self, letter: str, first: str) -> list[Need]:
        """One defence after the other."""
        return self._against(letter, NaiveSequence(first=first), ())

    def _against(self, letter: str, defence: Defence, also: tuple[str, ...]) -> list[Need]:
        task = self.task(letter)
        return [
            Need(self.trial(task, defence, seed), also, self.baseline(letter, seed), self.labels)
            for seed in self.seeds
        ]

    def works(self, needs: Iterable[Need]) -> list[RunSpec]:
        """What is to be done for ``needs``, each trial once, ceilings first."""
        found: dict[str, Need] = {}
        for need in needs:
            above = need.beside()
            for one in (above, need) if above else (need,):
                also = (*found[one.folder].also, *one.also) if one.folder in found else one.also
                found[one.folder] = replace(one, also=tuple(dict.fromkeys(also)))
        folder = self.out / "trials"
        ordered = sorted(found.values(), key=lambda n: n.ceiling is not None)
        return [
            RunSpec(
                *(n.trial, folder / n.folder),
                folder / above.folder if (above := n.beside()) else None,
                AuditConfig(BRIEF, also=n.also),
            )
            for n in ordered
        ]


def cast(
    table: AttributeTable, given: tuple[str, ...], paper: tuple[str, ...]
) -> tuple[str | None, ...]:
    """Which attributes of the data play the paper's roles.

    Without ``given`` they are found by the paper's names, whatever their case and punctuation.

    Raises:
        InputError: a given attribute is not there, or more are given than there are roles.
    """
    if len(given) > len(paper):
        raise InputError(
            f"{', '.join(given)}: at most {len(paper)} names, in the roles of {', '.join(paper)}"
        )
    if given:
        table.columns(given)
        return (*given, *[None] * (len(paper) - len(given)))
    known = {plain(name): name for name in table.attributes}
    return tuple(known.get(plain(name)) for name in paper)


def plain(name: str) -> str:
    """A name without case and punctuation: LFW and CelebA spell attributes differently."""
    return "".join(c for c in name.lower() if c.isalnum())


def nobody(table: AttributeTable, side: str, paper: str) -> InputError:
    """What to say where no attribute plays a side's first role."""
    near = suggest(paper, list(table.attributes))
    return InputError(
        f"no attribute for the role of {paper} in this data: name one with --{side} ({near})"
    )
