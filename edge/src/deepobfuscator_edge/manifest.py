"""An exported folder: what its files are, what leaves the device, what the service answers."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deepobfuscator_edge.errors import EdgeError

FORMAT = "deepobfuscator-export/1"
MANIFEST, SUMS, CARD = "manifest.json", "SHA256SUMS", "README.md"
AUDIT = "audit.json"
EDGE, INT8, CLOUD = "edge.onnx", "edge.int8.onnx", "cloud.onnx"
ATTACKER = "attacker.onnx"
"""A reconstructor of the payload, where one was exported; no device or service needs it."""
PTE = "edge.pte"
"""The encoder for ExecuTorch, where it was exported: (1, 3, *size), uint8, to the payload."""
BITS = (1, 2, 4, 8, 16)
"""Bits of one value on the wire; 16 are a float16, fewer a whole number."""
LARGEST = 1 << 26
"""Bytes of one picture's payload, at most."""
HALF = 0.5
"""Chance from which an attribute of 0 and 1 is called present."""


@dataclass(frozen=True)
class Wire:
    """How the features of a picture lie in a message's payload."""

    bits: int
    """Of one value: 1, 2, 4 or 8 (a level, packed, the first value in the lowest bits), or 16
    (IEEE float16, little endian)."""
    shape: tuple[int, ...]
    """Of one picture's features: (c, h, w) or (b,)."""
    low: tuple[float, ...] = ()
    """The value of level 0, for each channel (the first axis); none for float16."""
    step: tuple[float, ...] = ()
    """What each level adds, for each channel."""
    zstd: bool = False
    """Whether messages are compressed, where that makes them smaller."""

    def __post_init__(self) -> None:
        if self.bits not in BITS or not self.shape or min(self.shape) < 1:
            raise EdgeError(f"{self.bits} bits of shape {self.shape} are no wire setting")
        if len(self.low) != len(self.step) or len(self.low) != self.shape[0] * (self.bits < 16):
            raise EdgeError("a wire setting needs one low and one step for each channel")
        if self.bytes > LARGEST:
            raise EdgeError(f"{self.bytes} bytes a picture are more than {LARGEST}")

    @property
    def values(self) -> int:
        """Numbers in one picture's features."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of one picture's payload, before compression."""
        return -(-self.values * self.bits // 8)

    @property
    def name(self) -> str:
        """As the command line calls it: ``int4``, ``float16``."""
        return "float16" if self.bits == 16 else f"int{self.bits}"

    @property
    def scales(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``low`` and ``step``, each to be broadcast over features of one picture."""
        column = (-1, *(1,) * (len(self.shape) - 1))
        low, step = (np.array(v, np.float32).reshape(column) for v in (self.low, self.step))
        return low, step

    def features(self, payload: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (n, *shape) that the service sees of a payload (n, `bytes`)."""
        if self.bits == 16:
            return payload.view("<f2").astype(np.float32).reshape(-1, *self.shape)
        shifts = np.arange(0, 8, self.bits, dtype=np.uint8)
        levels = (payload[:, :, None] >> shifts & np.uint8(2**self.bits - 1)).reshape(
            len(payload), -1
        )
        found = levels[:, : self.values].reshape(-1, *self.shape).astype(np.float32)
        low, step = self.scales
        return found * step + low

    def pack(self, features: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The inverse of `features`, to the nearest level: (n, *shape) to (n, `bytes`)."""
        flat = (len(features), -1)
        if self.bits == 16:
            return features.astype("<f2").reshape(flat).view(np.uint8)
        low, step = self.scales
        levels = np.clip(np.rint((features - low) / step), 0, 2**self.bits - 1)
        padded = np.zeros((len(features), self.bytes * 8 // self.bits), np.uint8)
        padded[:, : self.values] = levels.reshape(flat)
        parts = padded.reshape(len(features), self.bytes, 8 // self.bits)
        shifts = np.arange(0, 8, self.bits, dtype=np.uint8)
        return np.asarray((parts << shifts).sum(2), dtype=np.uint8)


@dataclass(frozen=True)
class Attribute:
    """What the service tells of a picture."""

    name: str
    classes: tuple[str, ...] = ()
    """Names of its classes, one score each, of which the highest is told; none of an attribute of
    0 and 1, which has one score."""
    threshold: float = HALF
    """Score from which an attribute of 0 and 1 is called present."""

    @property
    def columns(self) -> int:
        """How many scores it has."""
        return len(self.classes) or 1

    def told(self, scores: NDArray[np.float32]) -> dict[str, Any]:
        """What one picture's scores (`columns`,) say: ``value``, and ``score`` or ``scores``."""
        if not self.classes:
            score = float(scores[0])
            return {"value": score >= self.threshold, "score": score}
        return {
            "value": self.classes[int(scores.argmax())],
            "scores": dict(zip(self.classes, map(float, scores), strict=True)),
        }


@dataclass(frozen=True)
class Audited:
    """The audit of an export, whose summary lies in the same folder as ``audit.json``."""

    sha256: str
    """Of ``audit.json``."""
    files: Mapping[str, str]
    """SHA-256 of each graph when it was audited."""
    suite: str
    """How many attackers."""
    line: str
    """The verdict in a sentence."""
    gates: Mapping[str, str]
    """Limits of ``--fail-if`` as text, and what became of each: ``passed`` or why not."""
    passed: bool
    """Whether every limit was kept, and the audit itself was sound."""


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``."""

    name: str
    """Of the model, in addresses of the service."""
    model: str
    """Twelve hexadecimal digits that tell this export from every other."""
    size: tuple[int, int]
    """Height and width in px that the edge graph fits pictures to."""
    wire: Wire
    """What leaves the device."""
    attributes: tuple[Attribute, ...]
    """In the order of the scores."""
    edge: str
    """The edge graph that is meant to run on devices, the one that was audited."""
    files: Mapping[str, str]
    """SHA-256 of each graph."""
    stochastic: bool = False
    """Whether the edge graph draws noise."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from and what was measured while exporting; nothing depends on it."""
    audit: Audited | None = None
    """What attackers found in the messages; None before an audit of the folder."""

    @property
    def columns(self) -> int:
        """Scores of one picture."""
        return sum(a.columns for a in self.attributes)

    def told(self, scores: NDArray[np.float32]) -> list[dict[str, Any]]:
        """An answer for each picture, by attribute, of scores (n, `columns`)."""
        ends = np.cumsum([a.columns for a in self.attributes])
        parts = np.split(scores, ends[:-1], axis=1)
        return [
            {a.name: a.told(part[i]) for a, part in zip(self.attributes, parts, strict=True)}
            for i in range(len(scores))
        ]

    def passed(self, folder: str | Path) -> Audited:
        """The audit that stands for the export in ``folder``.

        Raises:
            EdgeError: there is none, it is not of these graphs, or a limit was exceeded.
        """
        found = self.audit
        if found is None:
            raise EdgeError(
                f"{folder} was not audited since its export: run deepobfuscator audit {folder}, "
                "with --data, --public and --private"
            )
        try:
            digest = _sha256(Path(folder) / AUDIT)
        except OSError:
            digest = ""
        if digest != found.sha256:
            raise EdgeError(f"{Path(folder) / AUDIT} is not what the audit wrote: audit again")
        if found.files != self.files:
            raise EdgeError(f"the graphs in {folder} are not those that were audited: audit again")
        if not found.passed:
            failed = "; ".join(f"{gate}: {o}" for gate, o in found.gates.items() if o != "passed")
            raise EdgeError(
                f"{folder} did not pass its audit ({failed or found.line}): export a run that does"
            )
        return found

    def as_json(self) -> dict[str, Any]:
        """As it is written."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The inverse of `as_json`.

        Raises:
            EdgeError: another format, or a field is missing or wrong.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise EdgeError(f"no manifest of the format {FORMAT}: export again")
        try:
            rest = {k: v for k, v in data.items() if k != "format"}
            wire: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in rest.pop("wire").items()
            }
            attributes = tuple(
                Attribute(a["name"], tuple(a["classes"]), float(a["threshold"]))
                for a in rest.pop("attributes")
            )
            height, width = map(int, rest.pop("size"))
            told = rest.pop("audit", None)
            found = cls(
                size=(height, width),
                wire=Wire(**wire),
                attributes=attributes,
                audit=None if told is None else Audited(**told),
                **rest,
            )
            bytes.fromhex(found.model)
        except (KeyError, TypeError, ValueError) as error:
            raise EdgeError(f"the manifest has a wrong field ({error}): export again") from None
        if len(found.model) != 12 or not attributes or found.edge not in found.files:
            raise EdgeError("the manifest lacks a model id, attributes or a graph: export again")
        return found

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """The manifest of an exported folder, after checking every checksum.

        Raises:
            EdgeError: no export there, or one that was cut short or altered.
        """
        folder = Path(folder)
        try:
            lines = (folder / SUMS).read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            raise EdgeError(
                f"{folder} holds no export: make one (deepobfuscator export RUN {folder})"
            ) from None
        listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        for name in {MANIFEST, *listed}:
            try:
                digest = _sha256(folder / Path(name).name)
            except OSError as error:
                raise EdgeError(f"{folder / name}: {error.strerror}: export again") from None
            if digest != listed.get(name):
                raise EdgeError(
                    f"{folder / name} does not match {SUMS}, so it was cut short or altered: "
                    "export again"
                )
        found = cls.from_json(json.loads((folder / MANIFEST).read_text()))
        if any(listed.get(name) != digest for name, digest in found.files.items()):
            raise EdgeError(f"{folder / MANIFEST} and {SUMS} name different files: export again")
        return found


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
