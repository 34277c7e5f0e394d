"""What an audit of one run folder does: which attackers, and what is written down of it."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from deepobfuscator.attacks.base import BRIEF, QUICK, STANDARD, SUITES, Attack
from deepobfuscator.auditing.fit import Audit, attacks
from deepobfuscator.auditing.judge import Judge
from deepobfuscator.auditing.scoring import Scorer
from deepobfuscator.auditing.threat_models import BUDGETS, QUERIES, STEPS, AttackSpec
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.records import (
    IMAGE,
    Record,
    headline,
    headline_metric,
    read_jsonl,
    select,
    write_jsonl,
)
from deepobfuscator.core.registry import suggest
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.data.table import Source, Task
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.external import External
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import Players, TrainConfig

OTHERS = 4000
"""Drawn faces for an attacker who has no real ones."""

CURVES = {"attributes": "cross-entropy", "image": "MS-SSIM", "identity": "verification AUC"}
"""What attackers look at on their own validation pictures, epoch by epoch."""


@dataclass(frozen=True)
class AuditConfig:
    """Which attackers are let loose."""

    suite: str = QUICK
    """One of `SUITES`."""
    other: Source | None = None
    """Where an attacker gets pictures who has none like the defender's."""
    whole: bool = True
    """Whether attackers who know more or less than usual have their turn: a ceiling needs none."""

    also: tuple[str, ...] = ()
    """Attacks of larger suites that have their turn too, by name."""

    def elsewhere(self, source: Source) -> Source | None:
        """The source of an attacker's other pictures beside the audited ``source``; None
        where the suite has no such attacker.
        """
        if self.suite in (BRIEF, QUICK) or not self.whole:
            return None
        drawn = None if isinstance(source, Synthetic) else Synthetic(OTHERS)
        return self.other or drawn

    def joined(self, before: "AuditConfig") -> "AuditConfig":
        """All that this order and one before it ask for: records replace those of an audit
        before, and none may be lost.
        """
        return replace(
            self,
            suite=max(self.suite, before.suite, key=SUITES.index),
            whole=self.whole or before.whole,
            also=tuple(dict.fromkeys((*before.also, *self.also))),
        )

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise InputError(f"--suite {self.suite}: {suggest(self.suite, list(SUITES))}")
        for name in self.also:
            Attack.find(name)


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
    """Its parts."""
    context: Context
    """Device and folder."""
    command: str
    """What was typed."""
    ceiling: tuple[Path, Sequence[Record]] | None = None
    """Folder and records of the audit of the undefended encoder; None if this is that one."""
    ceiling_name: str | None = None
    """Name of that encoder's defence."""
    other: tuple[str, Labelled] | None = None
    """Another source's name and its pictures."""
    games: Callable[[int, Labelled], Players] | None = None
    """Plays the defence anew on given pictures."""


def attack(order: AuditConfig, target: Target) -> list[Record]:
    """Fit every attacker of ``order`` on ``target``; all records, also written to the folder."""
    bundle, data, context, ceiling = target.bundle, target.data, target.context, target.ceiling
    began = monotonic()
    scorer = Scorer(
        target.key, target.defence.name, target.setting.seed, target.task, data, context
    )
    floor_folder = ceiling[0] / "audit" if ceiling else None
    audit = Audit(
        bundle=bundle,
        task=target.task,
        data=data,
        setting=target.setting,
        folder=context.folder / "audit",
        context=context,
        scorer=scorer,
        suite=order.suite,
        whole=order.whole,
        other=target.other,
        games=target.games,
        also=order.also,
        floor_folder=floor_folder,
    )
    guessed, not_tried = [], dict[str, str]()
    for part in audit.parts:
        if why := audit.lacks(part):
            nobody = part.knowledge.why_not
            not_tried[f"attackers by {part.knowledge.given}" if nobody else part.label] = why
        else:
            guessed.append((part, audit.guesses(part)))
    records = Judge(audit, guessed, ceiling[1] if ceiling else None).records()
    common = [(p.attack, g) for p, g in guessed if not p.knowledge.given]
    images = {a.label: g for a, g in common if a.target == "image"}
    strongest = headline(records, IMAGE, "ms_ssim").attack
    audit.show_faces(strongest, images | audit.reconstructions())
    notes = {
        "suite": order.suite,
        "whole": order.whole,
        "also": list(order.also),
        "other": target.other[0] if target.other else None,
        "attacks": digest(order.suite, order.also),
        "command": target.command,
        "seconds": round(monotonic() - began, 1),
        "target": described(target, audit),
        "ceiling": target.ceiling_name,
        "parts": parts(data),
        "curves": [
            {
                "attack": p.attack.label,
                "given": p.knowledge.given or p.knowledge.subjects.removeprefix("private"),
                "target": p.attack.target,
                "metric": CURVES[p.attack.target],
                "scores": [float(s) for s in g["curve"]],
            }
            for p, g in guessed
            if len(g["curve"])
        ],
        "doubled": doubled(records, [p for p, _ in guessed]),
        "not_tried": [
            *({"what": what, "why": why} for what, why in not_tried.items()),
            *untried(order),
        ],
        "gates": [],
    }
    # Notes of this audit must never stand beside the records of a smaller one.
    (context.folder / "records.jsonl").unlink(missing_ok=True)
    write_atomic(
        context.folder / "audit" / "notes.json", f"{json.dumps(notes, indent=1)}\n".encode()
    )
    write_jsonl(context.folder / "records.jsonl", records)
    for path in (context.folder / "audit").glob("game-*.ckpt"):
        path.unlink()
    return records


def described(target: Target, audit: Audit) -> dict[str, Any]:
    """What was attacked."""
    encoder, defence = target.bundle.encoder, target.defence
    kind, name = "bundle", defence.name
    if isinstance(defence, External):
        kind = "onnx" if defence.encoder.endswith(".onnx") else "torch"
        name = Path(defence.encoder).name
    height, width = target.setting.size
    return {
        "kind": kind,
        "name": name,
        "features": list(encoder.features),
        "wire_bits": encoder.wire_bits,
        "picture_bits": 24 * height * width,
        "draws": encoder.stochastic,
        "one_at_a_time": bool(getattr(encoder, "one_at_a_time", False)),
        "differentiable": audit.threat.encoder is not None,
    }


def parts(data: Parts) -> dict[str, Any]:
    """How many pictures of how many people each part has, and the hash of who they are."""
    pictures, people, hashes = (data.summary.get(k) or {} for k in ("pictures", "people", "sha256"))
    return {
        name: {
            "pictures": pictures[name],
            "people": people.get(name),
            "sha256": hashes.get(name),
        }
        if pictures.get(name)
        else None
        for name in ("defender", "attacker", "validation", "test")
    }


def doubled(records: Sequence[Record], tried: Sequence[AttackSpec]) -> list[dict[str, Any]]:
    """What attackers gained who learned twice as long, on their own validation pictures."""
    found = []
    for once, twice in [(p.attack.label.replace(" passes=2.0", ""), p.attack) for p in tried]:
        if twice.passes == 1 or twice.label == once:
            continue
        own = {
            (r.attack, r.subject): r.value
            for r in select(records, split="validation", given="")
            if r.attack in (once, twice.label) and r.metric == headline_metric(r.subject)
        }
        for (attack, subject), value in own.items():
            if attack == once and (twice.label, subject) in own:
                found.append(
                    {
                        "attack": once,
                        "subject": subject,
                        "metric": headline_metric(subject),
                        "once": value,
                        "twice": own[twice.label, subject],
                    }
                )
    return found


def untried(order: AuditConfig) -> list[dict[str, str]]:
    """What larger suites would try, and what no suite has."""
    larger = SUITES[SUITES.index(order.suite) + 1 :]
    mine = {a.label for a in attacks(order.suite, order.also)}
    found = []
    for suite in larger:
        more = [a.label for a in attacks(suite) if a.label not in mine]
        if suite == STANDARD:
            more += ["attackers with other pictures", "or with several pictures of a person"]
        found.append(
            {"what": f"what --suite {suite} adds", "why": f"not asked for: {', '.join(more)}"}
        )
        mine |= set(more)
    return [
        *found,
        {"what": "LPIPS", "why": "its backbone's weights cannot be installed as a package"},
        {"what": "a face recogniser trained on millions", "why": "nor can its weights"},
    ]


def named(source: Source) -> str:
    """A source in a few words: its kind, its folder or count, the hash of its labels."""
    what = [str(getattr(v, "name", v)) for v in vars(source).values()]
    return " ".join([source.name, *what, source.read().fingerprint()[:6]])


def finished(folder: Path, order: AuditConfig, source: Source) -> list[Record] | None:
    """The records of an audit that did all that ``order`` asks for; None where there is none."""
    path, before = folder / "records.jsonl", noted(folder)
    if not path.exists() or before is None:
        return None
    done, other = before
    enough = SUITES.index(done.suite) >= SUITES.index(order.suite) and done.whole >= order.whole
    elsewhere = order.elsewhere(source)
    if elsewhere is not None and other != named(elsewhere):
        enough = False
    mine = {a.label for a in attacks(order.suite, order.also)}
    had = {a.label for a in attacks(done.suite, done.also)}
    return read_jsonl(path) if enough and mine <= had else None


def noted(folder: Path) -> tuple[AuditConfig, str | None] | None:
    """What the audit in ``folder`` was, and its other pictures; None where there is none, or one
    by attacks that have other hyperparameters today.

    Raises:
        InputError: its notes cannot be read.
    """
    path = folder / "audit" / "notes.json"
    if not path.exists():
        return None
    try:
        notes = json.loads(path.read_text())
        also = tuple(map(str, notes.get("also", ())))
        order = AuditConfig(str(notes["suite"]), None, bool(notes["whole"]), also)
        same = notes["attacks"] == digest(order.suite, also)
    except (ValueError, KeyError, TypeError, AttributeError, InputError):
        raise InputError(f"{path}: not readable; delete it and audit again") from None
    return (order, notes.get("other")) if same else None


def digest(suite: str, also: Sequence[str] = ()) -> str:
    """Names the attacks of a suite with all their hyperparameters."""
    told = [*(a.described for a in attacks(suite, also)), BUDGETS, QUERIES, STEPS]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
