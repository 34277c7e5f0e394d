"""One audit from start to end (plan, fit, predictions, records), and its notes."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from time import monotonic

from deepobfuscator.attacks.base import BRIEF, STANDARD, SUITES
from deepobfuscator.attacks.recognise import NOT_INSTALLED, Recognise
from deepobfuscator.auditing.artifacts import Arrays, write_arrays
from deepobfuscator.auditing.certify import certified
from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.auditing.evaluation import Evaluation
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.threat_models import (
    BUDGETS,
    COMMON,
    COMMON_KEY,
    QUERIES,
    STEPS,
    AttackSpec,
)
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.records import (
    IMAGE,
    PERCEPTUAL,
    Record,
    headline,
    headline_metric,
    read_jsonl,
    select,
    write_jsonl,
)
from deepobfuscator.data.batches import Parts
from deepobfuscator.data.table import Source
from deepobfuscator.defences.external import External
from deepobfuscator.nn.onnx_file import is_onnx

YOUNGER = ("lookup", "knn", "codebook", "mirror-l1", "recognise")
"""Attacks added after existing audits may have been written, oldest first: such an audit counts as
finished without them until a larger suite is requested."""

CURVES = {"attributes": "cross-entropy", "image": "MS-SSIM", "identity": "verification AUC"}
"""What attackers monitor on their own validation samples, epoch by epoch."""


def attack(config: AuditConfig, target: Target) -> list[Record]:
    """Train every attacker of ``config`` on ``target``; returns and writes all records."""
    began = monotonic()
    audit = Audit(target, config)
    guessed, not_tried = list[tuple[AttackSpec, Arrays]](), dict[str, str]()
    with target.context.progress("whole audit", len(audit.specs), whole=True) as bar:
        for spec in audit.specs:
            if why := audit.lacks(spec):
                model = spec.threat_model
                what = f"attackers by {model.words}" if model.why_not else spec.attack.label
                not_tried[what] = why
            else:
                guessed.append((spec, audit.guesses(spec)))
            bar.advance()
    if target.ceiling is None and config.suite != BRIEF:
        guessed += [(spec, audit.guesses(spec)) for spec in strongest_half(guessed)]
    evaluation = Evaluation(audit, guessed)
    records = evaluation.records()
    images = {s.attack.label: g for s, g in evaluation.of("image") if s.threat_model.common}
    strongest = headline(records, IMAGE, "ms_ssim").attack
    proved, codebook = certified(audit)
    records += proved.records
    if codebook:
        write_arrays(target.folder / "codebook.npz", codebook)
    audit.show_images(strongest, images | audit.reference_images())
    notes = {
        "suite": config.suite,
        "whole": config.whole,
        "also": list(config.also),
        "other": target.other[0] if target.other else None,
        "attacks": digest(config),
        "command": target.command,
        "seconds": round(monotonic() - began, 1),
        "target": described(audit),
        "ceiling": target.ceiling[1][0].defence if target.ceiling else None,
        "certified": {k: v for k, v in vars(proved).items() if k != "records"},
        "parts": described_parts(target.data),
        "curves": [
            {
                "attack": spec.attack.label,
                "given": spec.threat_model.words,
                "target": spec.attack.target,
                "metric": CURVES[spec.attack.target],
                "scores": [float(score) for score in guesses["curve"]],
            }
            for spec, guesses in guessed
            if len(guesses["curve"])
        ],
        "doubled": doubled(records, [spec for spec, _ in guessed]),
        "not_tried": [
            *({"what": what, "why": why} for what, why in not_tried.items()),
            *untried(config, measured={r.metric for r in records}),
        ],
        "gates": [],
    }
    # Notes of this audit must never be stored beside the records of a smaller one.
    (target.context.folder / "records.jsonl").unlink(missing_ok=True)
    write_atomic(target.folder / "notes.json", f"{json.dumps(notes, indent=1)}\n".encode())
    write_jsonl(target.context.folder / "records.jsonl", records)
    for path in target.folder.glob("game-*.ckpt"):
        path.unlink()
    return records


def strongest_half(guessed: Sequence[tuple[AttackSpec, Arrays]]) -> list[AttackSpec]:
    """The attribute and image attackers that were best on validation, with half their training
    length: the gain from doubling their budget is part of the positive control, and halving costs a
    quarter of what doubling would. Attackers that also run at twice the length are left out.
    """
    found, tried = list[AttackSpec](), {spec for spec, _ in guessed}
    for target in ("attributes", "image"):
        scores = {
            spec.attack: float(max(guesses["curve"]))
            for spec, guesses in guessed
            if spec.attack.target == target and spec.threat_model == COMMON
            if spec.attack.passes == 1 and len(guesses["curve"])
        }
        if scores:
            best = max(scores, key=lambda attack: scores[attack])
            if AttackSpec(replace(best, passes=2.0)) not in tried:
                found.append(AttackSpec(replace(best, passes=0.5)))
    return found


def described(audit: Audit) -> dict[str, object]:
    """What was attacked."""
    target = audit.target
    encoder, defence = target.bundle.encoder, target.defence
    kind, name = "bundle", defence.name
    if isinstance(defence, External):
        kind = "onnx" if is_onnx(defence.encoder) else "torch"
        name = Path(defence.encoder).name
    taken = str(getattr(encoder, "intake", ""))
    return {
        "kind": kind,
        "name": name,
        "features": list(encoder.features),
        "wire_bits": encoder.wire_bits,
        "picture_bits": 24 * prod(target.setting.size),
        "draws": encoder.stochastic,
        "one_at_a_time": bool(getattr(encoder, "one_at_a_time", False)),
        "differentiable": audit.threat.encoder is not None,
        **({"takes": taken} if taken else {}),
    }


def described_parts(data: Parts) -> dict[str, dict[str, object] | None]:
    """Number of inputs and people in each part, and the hash of their identities."""
    told = {k: data.summary.get(k) or {} for k in ("pictures", "people", "sha256")}
    return {
        name: {k: v.get(name) for k, v in told.items()} if told["pictures"].get(name) else None
        for name in ("defender", "attacker", "validation", "test")
    }


def doubled(records: Sequence[Record], tried: Sequence[AttackSpec]) -> list[dict[str, object]]:
    """What attackers gained from twice the budget, on their own validation samples."""
    own = {
        (r.attack, r.subject): r.value
        for r in select(records, split="validation", threat=COMMON_KEY)
        if r.metric == headline_metric(r.subject)
    }
    return [
        {
            "attack": once,
            "subject": subject,
            "metric": headline_metric(subject),
            "once": value,
            "twice": own[twice.label, subject],
        }
        for twice in (spec.attack for spec in tried)
        if (once := replace(twice, passes=twice.passes / 2).label) != twice.label
        for (attack, subject), value in own.items()
        if attack == once and (twice.label, subject) in own
    ]


def untried(config: AuditConfig, measured: Collection[str]) -> list[dict[str, str]]:
    """What larger suites would run, what a missing package would measure, what no suite covers."""
    larger = SUITES[SUITES.index(config.suite) + 1 :]
    mine, found = config.labels, list[dict[str, str]]()
    for suite in larger:
        more = [a.label for a in AuditConfig(suite).attacks if a.label not in mine]
        if suite == STANDARD:
            more += ["attackers with other pictures", "or with several pictures of a person"]
            more += ["or with the defender's pictures"]
        found.append(
            {"what": f"what --suite {suite} adds", "why": f"not asked for: {', '.join(more)}"}
        )
        mine |= set(more)
    if PERCEPTUAL not in measured:
        why = f"{NOT_INSTALLED}; then audit into a new folder"
        found.append({"what": "perceptual distance", "why": why})
    why = "its backbone's weights cannot be installed as a package"
    return [*found, {"what": "LPIPS", "why": why}]


def named(source: Source) -> str:
    """A short description of a source: its kind, its folder or count, the hash of its labels."""
    what = [str(getattr(v, "name", v)) for v in vars(source).values()]
    return " ".join([source.name, *what, source.read().fingerprint()[:6]])


def finished(folder: Path, config: AuditConfig, source: Source) -> list[Record] | None:
    """The records of an audit that did everything ``config`` requests; None if there is none."""
    path, before = folder / "records.jsonl", noted(folder)
    if not path.exists() or before is None:
        return None
    done, other = before
    if missed(folder):
        return None
    enough = SUITES.index(done.suite) >= SUITES.index(config.suite) and done.whole >= config.whole
    elsewhere = config.elsewhere(source)
    if elsewhere is not None and other != named(elsewhere):
        enough = False
    return read_jsonl(path) if enough and config.labels <= done.labels else None


def noted(folder: Path) -> tuple[AuditConfig, str | None] | None:
    """The configuration and other inputs of the audit in ``folder``; None if there is none, or if
    its attacks had other hyperparameters than today's.

    Raises:
        InputError: its notes cannot be read.
    """
    path = folder / "audit" / "notes.json"
    if not path.exists():
        return None
    try:
        notes = json.loads(path.read_text())
        also = tuple(map(str, notes.get("also", ())))
        config = AuditConfig(str(notes["suite"]), None, bool(notes["whole"]), also)
        younger = (YOUNGER[n:] for n in range(len(YOUNGER) + 1))
        same = notes["attacks"] in {digest(config, without) for without in younger}
    except (ValueError, KeyError, TypeError, AttributeError, InputError):
        raise InputError(f"{path}: not readable; delete it and audit again") from None
    return (config, notes.get("other")) if same else None


def missed(folder: Path) -> bool:
    """Whether an attack was skipped in ``folder`` for lack of a package that is installed now."""
    notes = json.loads((folder / "audit" / "notes.json").read_text())
    return Recognise.installed() and any(
        told["why"] == NOT_INSTALLED for told in notes.get("not_tried", ())
    )


def digest(config: AuditConfig, without: tuple[str, ...] = ()) -> str:
    """Hash of the attacks of a suite with all their hyperparameters, without some by name."""
    tried = [a.described for a in config.attacks if a.name not in without]
    told = [*tried, BUDGETS, QUERIES, STEPS]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
