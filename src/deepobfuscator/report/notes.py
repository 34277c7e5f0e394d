"""What an audit notes beside its figures, as notes.json holds it."""

from dataclasses import dataclass

from deepobfuscator.auditing.gates import Outcome


@dataclass(frozen=True)
class Target:
    """What was attacked."""

    kind: str
    """``bundle``, ``onnx`` or ``torch``."""
    name: str
    """Name of the defence or the file."""
    features: tuple[int, ...]
    """Shape of one message."""
    wire_bits: int
    """Size of one message."""
    picture_bits: int | None = None
    """Size of the raw picture at 8 bits a value."""
    draws: bool = False
    """Whether features are drawn anew for every query."""
    one_at_a_time: bool = False
    """Whether it takes one picture at a time."""
    differentiable: bool = False
    """Whether attackers could use its gradients."""


@dataclass(frozen=True)
class Part:
    """One of the four disjoint parts of the data."""

    pictures: int
    """How many."""
    people: int | None
    """Of how many people; None where identities are unknown."""
    sha256: str
    """Hash of who is in it."""


@dataclass(frozen=True)
class AuditedParts:
    """The four parts; None where a part is unknown or empty."""

    defender: Part | None
    """The encoder was trained on it."""
    attacker: Part | None
    """Attackers learned from it."""
    validation: Part | None
    """Attackers were chosen on it."""
    test: Part | None
    """Everything was scored on it."""


@dataclass(frozen=True)
class Curve:
    """How one attacker learned."""

    attack: str
    """The attacker."""
    given: str
    """What sets it apart from the common one, in words."""
    target: str
    """``attributes``, ``image`` or ``identity``."""
    metric: str
    """What its score is, in words."""
    scores: tuple[float, ...]
    """On the attacker's own validation part, one for each epoch; higher is better."""


@dataclass(frozen=True)
class Doubled:
    """One attacker with its budget once and twice."""

    attack: str
    """The attacker."""
    subject: str
    """What it read."""
    metric: str
    """By which metric."""
    once: float
    """On the attacker's own validation part."""
    twice: float
    """The same after twice the budget."""


@dataclass(frozen=True)
class NotTried:
    """An attack that was left out."""

    what: str
    """The attack."""
    why: str
    """The reason."""


@dataclass(frozen=True)
class Notes:
    """What an audit noted beside its figures; nothing where none did."""

    suite: str = ""
    """Which attackers were let loose."""
    command: str = ""
    """What to type to make the audit again."""
    seconds: float | None = None
    """How long it took."""
    target: Target | None = None
    """What was attacked."""
    ceiling: str | None = None
    """``undefended`` or ``raw``; None where none was measured."""
    parts: AuditedParts | None = None
    """The data."""
    curves: tuple[Curve, ...] = ()
    """How the attackers learned."""
    doubled: tuple[Doubled, ...] = ()
    """What more training would have given."""
    not_tried: tuple[NotTried, ...] = ()
    """What was left out."""
    gates: tuple[Outcome, ...] = ()
    """Limits and what became of them."""
