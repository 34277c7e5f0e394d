"""What the extra ``faces`` knows of raw pictures: ``python benchmarks/faces.py celeba:PATH``.

The recogniser chooses its box on 40 people and tells others apart, raw pictures against raw ones
(two a person); then how far off a blurred, a noisy and another person's picture are.
"""

import argparse
from pathlib import Path
from tempfile import mkdtemp
from time import process_time

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deepobfuscator.attacks.identify import trial_rows
from deepobfuscator.attacks.recognise import TUNED_ON, Recognise
from deepobfuscator.attacks.threat import AttackerData, Threat
from deepobfuscator.attacks.trained import outputs
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.table import Source, parse_source
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.identity import verification
from deepobfuscator.metrics.images import ms_ssim
from deepobfuscator.metrics.perceptual import perceptual
from deepobfuscator.training.objectives import TrainConfig


def pairs(source: Source, size: tuple[int, int], people: int) -> Labelled:
    """Two pictures of each of ``people`` drawn at random, one after the other."""
    table = source.read()
    person = table.people()
    order = np.random.default_rng(0).permutation(len(person))
    order = order[np.argsort(person[order], kind="stable")]
    first = np.flatnonzero(np.r_[True, np.diff(person[order]) > 0])
    first = first[np.diff(np.r_[first, len(order)]) > 1]
    first = np.random.default_rng(1).permutation(first)[:people]
    rows = np.stack((order[first], order[first + 1]), 1).ravel()
    pictures, _ = source.load([table.images[i] for i in rows], size)
    nothing = np.zeros((len(rows), 1), dtype=np.uint8)
    return Labelled(pictures, nothing, nothing, np.arange(len(rows)) // 2)


def raw(part: Labelled) -> AttackerData:
    """Whose features are the pictures themselves."""
    cpu = torch.device("cpu")
    features = (3, *part.pictures.shape[1:3])
    return AttackerData(part, lambda pictures, seed: as_input(pictures, cpu), features)


def blurred(x: Tensor, deviation: float) -> Tensor:
    """Gaussian blur, ``deviation`` in px."""
    reach = round(3 * deviation)
    window = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * deviation**2))
    kernel = torch.outer(window, window)[None, None] / window.sum() ** 2
    wider = functional.pad(x, (reach,) * 4, mode="reflect")
    return functional.conv2d(wider, kernel.expand(3, 1, -1, -1), groups=3)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=parse_source)
    parser.add_argument("--size", default="64x64", help="height x width in px")
    parser.add_argument("--people", type=int, default=200)
    options = parser.parse_args()
    size = tuple(map(int, options.size.split("x")))
    every = raw(pairs(options.data, size, options.people + TUNED_ON))
    own, test = (every.only(r) for r in np.split(np.arange(len(every)), [2 * TUNED_ON]))
    context = Context(Path(mkdtemp()))
    fitted = Recognise().fit(Threat(own, own, size, TrainConfig(size=size)), context)
    began = process_time()
    embedded = outputs(fitted, test, context).numpy()
    seconds = 1000 * (process_time() - began) / len(test)
    known, asked = trial_rows(test.person)
    people = test.person[asked], test.person[known]
    found = verification(Bootstrap(people[0]), embedded[asked], embedded[known], *people)
    for name, sample in found.items():
        at = sample.interval()
        print(f"{name} {at.value:.3f} ({at.low:.3f} to {at.high:.3f})")
    print(f"{seconds:.0f} s of processor time per 1,000 pictures")
    x = as_input(test.pictures(asked), torch.device("cpu"))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    changed = {f"blurred by {d:g} px": blurred(x, d) for d in (0.5, 1, 2, 4)}
    changed |= {f"noise of {d:g}": (x + d * noise).clamp(0, 1) for d in (0.02, 0.1, 0.3)}
    changed |= {"the person's other picture": as_input(test.pictures(known), x.device)}
    changed |= {"another person's picture": x.roll(1, 0)}
    changed |= {"the mean picture": x.mean(0, keepdim=True).expand_as(x)}
    for name, y in changed.items():
        print(
            f"{name}: MS-SSIM {ms_ssim(x, y).mean():.3f}, perceptual {perceptual(x, y).mean():.3f}"
        )


if __name__ == "__main__":
    main()
