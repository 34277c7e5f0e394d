"""The encoder on the device: pictures to a message."""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from deepobfuscator_edge.errors import EdgeError
from deepobfuscator_edge.manifest import Manifest
from deepobfuscator_edge.message import encode
from deepobfuscator_edge.pictures import Picture, pixels, several

BATCH = 16
"""Pictures that the graph is given at a time."""


class Edge:
    """An exported encoder.

    ``graph`` names another graph of the folder than the one that was made for devices
    (`Manifest.edge`); ``threads`` are those of onnxruntime, by default one for each core.

    Raises:
        EdgeError: no whole export there, or no graph of that name in it.
    """

    def __init__(self, folder: str | Path, *, graph: str | None = None, threads: int = 0) -> None:
        self.manifest = Manifest.read(folder)
        name = graph or self.manifest.edge
        if name not in self.manifest.files:
            raise EdgeError(f"no graph {name!r}: take one of {', '.join(self.manifest.files)}")
        if self.manifest.stochastic:  # else onnxruntime draws from the clock, which can be guessed
            onnxruntime.set_seed(secrets.randbits(63))
        self.session = open_session(Path(folder) / name, threads)

    def payload(self, pictures: Sequence[Picture]) -> NDArray[np.uint8]:
        """What leaves the device of n pictures, before compression: (n, `Wire.bytes`).

        Raises:
            EdgeError: no picture, or one that cannot be read.
        """
        shaped = defaultdict[tuple[int, ...], list[int]](list)
        found = [pixels(picture) for picture in several(pictures)]
        for row, picture in enumerate(found):
            shaped[picture.shape].append(row)
        payload = np.empty((len(found), self.manifest.wire.bytes), np.uint8)
        for rows in shaped.values():
            for start in range(0, len(rows), BATCH):
                some = rows[start : start + BATCH]
                (answer,) = self.session.run(None, {"pictures": np.stack([found[i] for i in some])})
                payload[some] = answer.view(np.uint8)
        return payload

    def encode(self, pictures: Sequence[Picture]) -> bytes:
        """The message of some pictures, in the form of docs/wire.md; raises as `payload`."""
        return encode(self.payload(pictures), self.manifest)


def open_session(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """A graph on the processor; 0 ``threads`` is one for each core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, and said once
    # Threads that spin while they wait cost a device its battery and a server its other cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
