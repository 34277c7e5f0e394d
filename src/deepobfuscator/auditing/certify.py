"""Certificates of an encoder whose features take few values: counted on all people that were not
used to train or tune it; no attacker is needed.

The attacker's, validation and test parts are all used: certificates select nothing on them.
"""

from dataclasses import dataclass

import numpy as np

from deepobfuscator.auditing.artifacts import Arrays
from deepobfuscator.auditing.certifier import Certifier
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.values import PARTS, codes_of
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import CERTIFIED, PLUG_IN, Record
from deepobfuscator.core.registry import suggest


@dataclass(frozen=True, repr=False)
class Certified:
    """The certificates of one encoder."""

    records: tuple[Record, ...]
    """Records of `ANY` attacker; empty if nothing can be certified."""
    values: int | None
    """Number of values that the features take; None if they could not be counted."""
    pictures: int
    """Number of held-out inputs that were counted."""
    people: int | None
    """Number of people among them; None if identities are unknown."""
    why_not: str = ""
    """Why nothing is certified; empty otherwise."""
    epsilon: float | None = None
    """ε of local differential privacy for one message, if bits are flipped at random."""

    def __getitem__(self, subject: str) -> Record:
        """The certificate of an attribute, of ``image`` or of ``identity``, against attackers with
        one picture and no side information.

        Raises:
            InputError: there is none; the message says why.
        """
        known = {r.subject: r for r in self.records if (r.metric, r.given) == (CERTIFIED, "")}
        if subject not in known:
            raise InputError(
                f"not certifiable: {self.why_not}"
                if self.why_not
                else f"{subject!r} is not certified; {suggest(subject, list(known))}"
            )
        return known[subject]

    def __repr__(self) -> str:
        if self.why_not:
            return f"not certifiable: {self.why_not}"
        people = "unknown" if self.people is None else f"{self.people:,}"
        head = f"{self.values} values, {self.pictures:,} pictures of {people} people"
        lines = [
            f"  {r.subject}: {r.metric} {r.value:.3f}" + (f", given {r.given}" if r.given else "")
            for r in self.records
            if r.metric != PLUG_IN
        ]
        return "\n".join([head, *lines])


def certified(audit: Audit) -> tuple[Certified, Arrays]:
    """All certificates of the audited encoder, and the codebook for the page."""
    pictures = sum(len(audit.seen[name]) for name in PARTS)
    known = audit.target.data.known_people
    everybody = np.concatenate([audit.seen[name].labelled.people for name in PARTS])
    people = len(np.unique(everybody)) if known else None
    codes = codes_of(audit)
    if isinstance(codes, str):
        return Certified((), None, pictures, people, codes), {}
    certifier = Certifier(audit, codes)
    images, sheet = certifier.images()
    records = (*certifier.records(), *images)
    epsilon = certifier.flips.epsilon if certifier.flips else None
    return Certified(records, codes.values, pictures, people, epsilon=epsilon), sheet
