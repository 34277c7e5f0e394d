"""What an audit keeps: arrays, a reconstructor's weights, pictures that were rebuilt."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import Tensor

from deepobfuscator.attacks.base import Fitted
from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.attacks.threat import AttackerData, Threat
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.runtime import Context
from deepobfuscator.training.bundle import apply

FACES = 8
"""Test pictures shown in the report, each of another person."""


def kept_network(
    attack: Mirror, threat: Threat, context: Context, path: Path, title: str = "attack by "
) -> Fitted:
    """A reconstructor whose weights are kept in ``path``; fitted now unless they are there."""
    if path.exists():
        network, state = context.place(attack.network(threat)).eval(), load_file(path)
        curve = tuple(state.pop("curve").tolist())
        network.load_state_dict(state)
        return Fitted(network, curve, network=network)
    checkpoint = path.with_suffix(".ckpt")
    fitted = attack.fit(threat, context, checkpoint, title)
    assert fitted.network is not None
    state = {k: v.cpu().contiguous() for k, v in fitted.network.state_dict().items()}
    write_atomic(path, as_bytes(state | {"curve": torch.tensor(fitted.curve)}))
    checkpoint.unlink(missing_ok=True)
    return fitted


def paint(fitted: Any, own: AttackerData, context: Context, rows: NDArray[np.int64]) -> Tensor:
    """Reconstructions (n, 3, H, W) of the given rows."""
    return apply(fitted, own.features_of(rows), context)


def as_pixels(pictures: Tensor) -> NDArray[np.uint8]:
    """(n, 3, H, W) in [0, 1] to (n, H, W, 3) in 0..255."""
    pixels: NDArray[np.uint8] = (
        (pictures.permute(0, 2, 3, 1).cpu().numpy() * 255).round().astype(np.uint8)
    )
    return pixels


def most_exposed(
    quality: NDArray[np.float64], rows: NDArray[np.int64], person: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The rows that were rebuilt best, best first, each of another person."""
    order = np.argsort(-quality, kind="stable")
    _, first = np.unique(person[rows[order]], return_index=True)
    exposed: NDArray[np.int64] = rows[order[np.sort(first)[:FACES]]]
    return exposed


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as .npz, whole or not at all."""

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    write_atomic(path, write)
