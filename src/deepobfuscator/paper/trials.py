"""The trials behind the paper's exhibits, named by content hash so that exhibits share them."""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import deepobfuscator as do
from deepobfuscator.paper.keys import Set

PUBLIC = ("Smiling", "High_Cheekbones")
PRIVATE = ("Male", "Heavy_Makeup")
"""The roles' attributes in the paper, by CelebA's names."""

Roles = tuple[str | None, ...]
"""Attributes of the data in the roles of `PUBLIC` or of `PRIVATE`; None if it has none."""


@dataclass(frozen=True)
class Trials:
    """Everything that determines the trials of one reproduction."""

    base: do.Trial
    """Source, size, lengths; its task and defence are replaced."""
    public: Roles
    private: Roles
    seeds: tuple[int, ...]
    """Seeds of every trial."""
    out: Path
    """Folder of ``trials/`` and the exhibits' files."""
    sigma: float | None = None
    """Deviation of the noise baseline; None until it is calibrated."""
    labels: str = ""
    """`AttributeTable.fingerprint` of the data: a source's path is not in a trial's key."""

    @classmethod
    def of(
        cls,
        trial: do.Trial,
        *,
        public: Sequence[str] = (),
        private: Sequence[str] = (),
        seeds: int = 1,
        sigma: float | None = None,
        out: Path | None = None,
    ) -> Self:
        """The trials of a reproduction on the data of ``trial``, with its size and lengths.

        Args:
            trial: its task and defence are ignored.
            public: attributes in the roles of `PUBLIC`; by default found by name.
            private: attributes in the roles of `PRIVATE`; likewise.
            seeds: number of seeds per trial, counted from that of ``trial``.
            sigma: deviation of the noise baseline; by default it is calibrated.
            out: folder; by default ``runs/reproduce-KEY``.

        Raises:
            InputError: a number out of range, or a missing attribute.
        """
        if seeds < 1:
            raise do.InputError("--seeds must be at least 1")
        if sigma is not None and sigma < 0:
            raise do.InputError("--sigma must not be negative")
        table, first = trial.source.read(), trial.setting.seed
        found = cls(
            base=trial,
            public=cast(table, tuple(public), PUBLIC),
            private=cast(table, tuple(private), PRIVATE),
            seeds=tuple(range(first, first + seeds)),
            out=Path("."),
            sigma=sigma,
            labels=table.fingerprint(),
        )
        return replace(found, out=out or Path("runs") / f"reproduce-{found.key}")

    def check_roles(self) -> None:
        """Check that each side has an attribute in its first role.

        Raises:
            InputError: one has none; the message suggests similar names.
        """
        sides = (("public", self.public, PUBLIC[0]), ("private", self.private, PRIVATE[0]))
        for side, roles, paper in sides:
            if not any(roles):
                near = do.suggest(paper, list(self.base.source.read().attributes))
                raise do.InputError(
                    f"no attribute for the role of {paper} in this data: name one with --{side} "
                    f"({near})"
                )

    @property
    def key(self) -> str:
        """Content hash of the reproduction."""
        return self._hashed(replace(self.base, task=do.Task(("public",), ("private",))).key)

    def _hashed(self, told: str) -> str:
        return hashlib.sha256(f"{told}{self.labels}".encode()).hexdigest()[:12]

    def folder(self, trial: do.Trial) -> Path:
        """Run folder of a trial, named by the trial and the labels."""
        return self.out / "trials" / f"{trial.defence.name}-{self._hashed(f'{trial.key} ')}"

    def task(self, of: Set) -> do.Task:
        """The task of one of the six sets.

        Raises:
            InputError: the data has no attribute for a role.
        """
        public, private = of.value
        played = [(self.public[role], PUBLIC[role]) for role in public]
        hidden = [(self.private[role], PRIVATE[role]) for role in private]
        for name, role in (*played, *hidden):
            if name is None:
                raise do.InputError(
                    f"set {of} is left out: the data has no attribute for the role of {role}; "
                    "name one with --public or --private"
                )
        return do.Task(tuple(str(n) for n, _ in played), tuple(str(n) for n, _ in hidden))

    def undefended(self, trial: do.Trial) -> do.Trial:
        """The ceiling of a trial.

        It does not depend on the private attributes: one trial, whose attackers predict every
        private attribute at once, serves all sets with these public attributes.
        """
        hidden = tuple(name for name in self.private if name is not None)
        return replace(trial, task=do.Task(trial.task.public, hidden), defence=do.Undefended())

    def specs(self, of: Set, defence: do.Defence, *also: str) -> list[do.RunSpec]:
        """The runs of a defence on a set, one per seed; ``also``: attacks beyond the brief suite.

        Raises:
            InputError: the data has no attribute for a role.
        """
        found = []
        for seed in self.seeds:
            setting = replace(self.base.setting, seed=seed)
            trial = replace(self.base, task=self.task(of), defence=defence, setting=setting)
            if isinstance(defence, do.Undefended):  # or with noise
                trial = replace(self.undefended(trial), defence=defence)
            found.append(self._spec(trial, also))
        return found

    def longer(self) -> list[do.RunSpec]:
        """Undefended runs of set (a) in which O moves as often as in `DeepObfuscator`'s game and
        the pre-training before it together.

        Raises:
            InputError: the data has no attribute for a role.
        """
        found = []
        for spec in self.specs(Set.A, do.Undefended()):
            setting = spec.trial.setting
            passes = sum(
                p.epochs * sum("O" in s.movers for s in p.stages) / len(p.stages)
                for p in do.DeepObfuscator().phases(setting)
            )
            found.append(self._spec(replace(spec.trial, setting=replace(setting, epochs=passes))))
        return found

    def _spec(self, trial: do.Trial, also: tuple[str, ...] = ()) -> do.RunSpec:
        above = self.undefended(trial)
        ceiling = None if above == trial else self.folder(above)
        return do.RunSpec(trial, self.folder(trial), ceiling, do.AuditConfig(do.BRIEF, also=also))

    @property
    def noise(self) -> do.PixelNoise:
        """The noise baseline.

        Raises:
            InputError: it is not calibrated yet.
        """
        if self.sigma is None:
            raise do.InputError(
                "the noise baseline is left out: its deviation is not calibrated yet"
            )
        return do.PixelNoise(self.sigma)

    def first(self) -> do.Trial:
        """The undefended trial of the first set that the data allows, on whose data noise is
        calibrated.

        Raises:
            InputError: the data allows none.
        """
        for of in Set:
            with suppress(do.InputError):
                return self.specs(of, do.Undefended())[0].trial
        return self.specs(Set.A, do.Undefended())[0].trial

    def batches(self) -> tuple[int, int]:
        """Batches in a pass over the defender's and over the attacker's pictures.

        Raises:
            InputError: as `first`.
        """
        trial = self.first()
        parts = do.split(trial.source.read(), trial.limit, trial.split_seed, trial.protocol)
        defender, attacker = (len(rows) for rows in (parts.defender, parts.attacker))
        return trial.setting.per_pass(defender), trial.setting.per_pass(attacker)

    def merged(self, specs: Iterable[do.RunSpec]) -> list[do.RunSpec]:
        """Each trial once, with all requested attacks; ceilings first."""
        found: dict[Path, do.RunSpec] = {}
        for spec in specs:
            above = self._spec(self.undefended(spec.trial))
            named = spec.ceiling in (None, above.folder)  # else it is asked for by itself
            for one in (above, spec) if named else (spec,):
                before = found.get(one.folder, one).config
                found[one.folder] = replace(one, config=one.config.joined(before))
        return sorted(found.values(), key=lambda spec: spec.ceiling is not None)


def cast(table: do.AttributeTable, given: tuple[str, ...], paper: tuple[str, ...]) -> Roles:
    """The data's attributes in the paper's roles.

    Without ``given`` they are found by the paper's names, whatever their case and punctuation.

    Raises:
        InputError: a given attribute is missing, or more are given than there are roles.
    """
    if len(given) > len(paper):
        raise do.InputError(
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
