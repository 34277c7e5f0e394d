"""Files that an audit keeps: arrays, a reconstructor's weights, reconstructed images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import Tensor

from deepobfuscator.attacks.base import Attack, Fitted
from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.attacks.threat import AttackerData, Guess, Threat
from deepobfuscator.attacks.trained import ReconstructionAttack
from deepobfuscator.auditing.threat_models import AttackSpec
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.rows import evenly_spaced
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.training.bundle import apply
from deepobfuscator.training.loop import derive_seed

SHOWN = 8
"""Number of test images shown in the report, each of a different person."""

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""Arrays of any dtype by name, as in an .npz file."""


def kept_reconstructor(
    attack: ReconstructionAttack,
    threat: Threat,
    context: Context,
    path: Path,
    title: str = "attack by ",
) -> Fitted:
    """A reconstructor whose weights are kept in ``path``; trained now if the file is missing."""
    if path.exists():
        network, state = context.place(attack.network(threat)).eval(), load_file(path)
        curve = tuple(state.pop("curve").tolist())
        network.load_state_dict(state)
        return Fitted(attack.guess(network), curve, network=network)
    checkpoint = path.with_suffix(".ckpt")
    fitted = attack.fit(threat, context, checkpoint, title)
    assert fitted.network is not None
    state = {k: v.cpu().contiguous() for k, v in fitted.network.state_dict().items()}
    write_atomic(path, as_bytes(state | {"curve": torch.tensor(fitted.curve)}))
    checkpoint.unlink(missing_ok=True)
    return fitted


def strongest_reconstructor(
    attacks: Sequence[Attack], threat: Threat, context: Context, folder: Path
) -> Fitted:
    """The best on validation of those ``attacks`` that are reconstructors with predictions in
    ``folder``; the mirror if there are none.
    """
    best = best_reconstructor(attacks, folder)
    kept = (folder / AttackSpec(best).file).with_suffix(".safetensors")
    return kept_reconstructor(best, threat, context, kept)


def best_reconstructor(attacks: Sequence[Attack], folder: Path) -> ReconstructionAttack:
    """The attack that `strongest_reconstructor` takes."""
    tried = dict[Path, ReconstructionAttack]()
    for attack in attacks:
        path = folder / AttackSpec(attack).file
        if isinstance(attack, ReconstructionAttack) and path.exists():
            tried[path] = attack

    def reached(path: Path) -> float:
        with np.load(path, allow_pickle=False) as held:
            return float(held["curve"].max())

    if len(tried) > 1:
        return tried[max(tried, key=reached)]
    return next(iter(tried.values()), Mirror())


def image_quality(
    guess: Guess,
    data: AttackerData,
    context: Context,
    rows: NDArray[np.int64],
    metrics: Mapping[str, Callable[[Tensor, Tensor], Tensor]],
) -> dict[str, NDArray[np.float64]]:
    """Each of ``metrics`` for reconstructions against the true images, (len(rows),)."""
    values: dict[str, list[Tensor]] = {m: [] for m in metrics}
    with torch.no_grad():
        for some in data.chunks(rows):
            truth = as_input(data.pictures(some), context.device)
            guessed = apply(guess, data.features_of(some), context)
            for metric, function in metrics.items():
                values[metric].append(function(guessed, truth).cpu())
    return {m: torch.cat(v).numpy().astype(np.float64) for m, v in values.items()}


def reconstruct(
    guess: Guess, data: AttackerData, context: Context, rows: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Reconstructions (n, H, W, 3) in 0..255 of the given rows."""
    images = apply(guess, data.features_of(rows), context).permute(0, 2, 3, 1)
    return np.asarray((images.cpu().numpy() * 255).round().astype(np.uint8))


def shown_rows(people: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the images that the report shows: `SHOWN` people spread over the part."""
    _, first = np.unique(people, return_index=True)
    chosen = evenly_spaced(len(first), SHOWN)
    return np.asarray(np.sort(first)[chosen])


def whole_people(person: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Rows of randomly drawn people, the same for all encoders: as many people as have ``most``
    inputs in total, at least two.
    """
    order = np.random.default_rng(derive_seed(len(person), most)).permutation(person.max() + 1)
    total = np.cumsum(np.bincount(person)[order])
    kept = order[: max(2, int(np.searchsorted(total, most, side="right")))]
    return np.flatnonzero(np.isin(person, kept))


def most_exposed(
    quality: NDArray[np.float64], rows: NDArray[np.int64], person: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The best reconstructed rows, best first, each of a different person."""
    order = np.argsort(-quality, kind="stable")
    _, first = np.unique(person[rows[order]], return_index=True)
    return rows[order[np.sort(first)[:SHOWN]]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as .npz, atomically."""

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    write_atomic(path, write)


def read_arrays(path: Path) -> Arrays:
    """What `write_arrays` wrote."""
    with np.load(path, allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def under(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays whose names start with ``prefix``, by the rest of their names."""
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
