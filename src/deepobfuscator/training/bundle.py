"""The frozen artefact of a defence: edge encoder, cloud classifier, training adversaries.

A bundle is a folder of safetensors files, ``card.json`` and ``SHA256SUMS`` over all of them; it
holds no code and no pickle.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import checksums, replaced, sha256, write_atomic
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.objectives import Players

SUMS = "SHA256SUMS"
CARD = "card.json"
CHUNK = 256
"""Number of inputs encoded at a time."""


@dataclass
class Bundle:
    """Frozen players and the card that documents them."""

    players: Players
    """O and C, and the training adversaries if the defence has them; in evaluation mode."""
    card: dict[str, Any]
    """Everything that determined the run, as JSON."""

    @property
    def encoder(self) -> Encoder:
        """O, what runs on the device."""
        encoder = self.players["O"]
        assert isinstance(encoder, Encoder)
        return encoder

    def encode(self, inputs: NDArray[np.uint8], context: Context, seed: int = 0) -> Tensor:
        """Features (n, *shape) of inputs (n, H, W, 3) in 0..255, float32, on ``context.device``.

        ``seed`` fixes a noisy encoder's random draws.

        Raises:
            InputError: NaN or infinite features.
        """
        gpus = [context.device] if context.device.type == "cuda" else []
        with torch.random.fork_rng(devices=gpus):  # the caller's random state is unchanged
            torch.manual_seed(seed)
            features = apply(self.encoder, torch.from_numpy(np.ascontiguousarray(inputs)), context)
        if not (finite := torch.isfinite(features).flatten(1).all(1)).all():
            raise InputError(
                f"the encoder gives NaN or infinite features for {int((~finite).sum())} of "
                f"{len(features)} pictures: fix it (a division by zero, float16 out of range?)"
            )
        return features

    def save(self, folder: Path) -> None:
        """Write the bundle to ``folder``, atomically.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        with replaced(folder) as new:
            for name, player in self.players.items():
                state = {k: v.cpu().contiguous() for k, v in player.state_dict().items()}
                write_atomic(new / f"{name}.safetensors", as_bytes(state))
            write_atomic(new / CARD, (json.dumps(self.card, indent=1) + "\n").encode())
            write_atomic(new / SUMS, checksums(new.iterdir()))


@torch.no_grad()
def apply(network: Callable[[Tensor], Tensor], inputs: Tensor, context: Context) -> Tensor:
    """``network`` on many inputs, in chunks, as float32 on ``context.device``.

    Args:
        network: in evaluation mode, if it is one.
        inputs: features, or raw inputs (n, H, W, 3), uint8.
        context: device and precision.
    """
    outputs = []
    for start in range(0, len(inputs), CHUNK):
        chunk = inputs[start : start + CHUNK]
        if chunk.dtype == torch.uint8:
            chunk = as_input(chunk.numpy(), context.device)
        with context.autocast():
            outputs.append(network(chunk.to(context.device)).float())
    return torch.cat(outputs)


def check(folder: Path) -> dict[str, Any]:
    """The card of the bundle in ``folder``, after verifying every checksum.

    Raises:
        InputError: no bundle there, or an incomplete or altered one.
    """
    if not (folder / SUMS).is_file():
        raise InputError(f"{folder} holds no finished bundle: train first (deepobfuscator train)")
    lines = (folder / SUMS).read_text(errors="replace").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in {CARD, "O.safetensors"} | set(listed):
        path = folder / Path(name).name
        if not path.is_file():
            raise InputError(
                f"{path} is missing: the bundle was cut short; delete {folder} and train again"
            )
        if sha256(path) != listed.get(name):
            raise InputError(
                f"{path} does not match {SUMS}, so it was cut short or altered: "
                f"delete {folder} and train again"
            )
    return dict(json.loads((folder / CARD).read_text()))


def load(folder: Path, players: Players, context: Context) -> Bundle:
    """Load the weights of the bundle in ``folder`` into newly built ``players``.

    Raises:
        InputError: as `check`, or weights of another architecture.
    """
    card = check(folder)
    for name, player in players.items():
        try:
            player.load_state_dict(load_file(folder / f"{name}.safetensors"))
        except (SafetensorError, RuntimeError, FileNotFoundError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(f"{folder}/{name}.safetensors does not fit: {reason}") from None
        context.place(player).eval()
    return Bundle(players, card)
