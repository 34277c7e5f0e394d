"""The paper as a careful script would have it: what the product is compared with.

Plain torch in float32: Table 1's networks, equations 1 to 9, Algorithm 1; pytorch-msssim; Adam;
Pillow in a data loader of two workers. Neither hampered nor tuned.
"""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_msssim import ms_ssim
from pytorch_msssim.ssim import _fspecial_gauss_1d, _ssim
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
RATE = 1e-3
Batch = list[Tensor]
"""Pictures (n, 3, H, W) in [0, 1], public labels (n, M), private labels (n, K)."""


def conv3(inputs: int, outputs: int) -> nn.Sequential:
    """A convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def deconv3(inputs: int, outputs: int) -> nn.Sequential:
    """A transposed convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def obfuscator(width: float) -> nn.Sequential:
    """O of Table 1."""
    a, b = round(64 * width), round(128 * width)
    return nn.Sequential(
        *(conv3(3, a), conv3(a, a), nn.MaxPool2d(2)),
        *(conv3(a, b), conv3(b, b), nn.MaxPool2d(2)),
    )


def classifier(size: tuple[int, int], width: float, labels: int) -> nn.Sequential:
    """C and AC of Table 1; their sigmoid is in the loss."""
    channels, hidden = round(128 * width), round(4096 * width)
    layers: list[nn.Module] = []
    for outputs in (round(256 * width), round(512 * width), round(512 * width)):
        layers += [conv3(channels, outputs), conv3(outputs, outputs), conv3(outputs, outputs)]
        layers.append(nn.MaxPool2d(2))
        channels = outputs
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(channels * (size[0] // 32) * (size[1] // 32), hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, labels),
    )


def reconstructor(width: float) -> nn.Sequential:
    """AR of Table 1, the mirror of O."""
    a, b = round(64 * width), round(128 * width)
    return nn.Sequential(
        *(nn.Upsample(scale_factor=2), deconv3(b, b), deconv3(b, a)),
        *(nn.Upsample(scale_factor=2), deconv3(a, a), nn.ConvTranspose2d(a, 3, 3, padding=1)),
        nn.Sigmoid(),
    )


def likeness(x: Tensor, y: Tensor) -> Tensor:
    """MS-SSIM of each pair, (n,), at as many of the five scales as the pictures hold.

    Below 161 px the library refuses, so its own steps are repeated here with fewer scales.
    """
    side = min(x.shape[-2:])
    if side > 160:
        return ms_ssim(x, y, data_range=1, size_average=False)
    scales = max(s for s in range(1, 6) if side > 10 * 2 ** (s - 1))
    weights = torch.tensor(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    window = _fspecial_gauss_1d(11, 1.5).repeat(3, 1, 1, 1)
    terms = []
    for scale in range(scales):
        whole, structure = _ssim(x, y, data_range=1, win=window, size_average=False)
        terms.append(torch.relu(structure if scale < scales - 1 else whole))
        padding = [side % 2 for side in x.shape[2:]]
        x = functional.avg_pool2d(x, 2, padding=padding)
        y = functional.avg_pool2d(y, 2, padding=padding)
    return torch.prod(torch.stack(terms) ** weights.view(-1, 1, 1), 0).mean(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Equations 1 and 3: summed over attributes, mean over the batch."""
    loss = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return loss.sum(1).mean()


def against(pictures: Tensor, target: Tensor) -> Tensor:
    """Equations 6 and 8."""
    return 1 - likeness(pictures, target).mean()


class Game:
    """Algorithm 1 after its pre-training: four stages, one batch each."""

    def __init__(
        self, size: tuple[int, int], width: float, public: int = 1, private: int = 1
    ) -> None:
        self.networks: dict[str, nn.Module] = {
            "O": obfuscator(width),
            "C": classifier(size, width, public),
            "AC": classifier(size, width, private),
            "AR": reconstructor(width),
        }
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), lr=RATE)
            for name, network in self.networks.items()
        }
        self.stages = (self.defend_against_ar, self.defend_against_ac, self.attack, self.recover_c)

    def step(self, loss: Tensor, *movers: str) -> float:
        """Move ``movers`` down ``loss``."""
        for optimiser in self.optimisers.values():
            optimiser.zero_grad()
        loss.backward()
        for name in movers:
            self.optimisers[name].step()
        return loss.item()

    def moving(self, *movers: str) -> None:
        """Batch norm learns in ``movers`` alone."""
        for name, network in self.networks.items():
            network.train(name in movers)

    def defend_against_ar(self, pictures: Tensor, public: Tensor, private: Tensor) -> None:
        """Equation 9."""
        self.moving("O")
        features = self.networks["O"](pictures)
        guess = self.networks["AR"](features)
        noise = (0.5 + 0.25 * torch.randn_like(pictures)).clamp(0, 1)
        service = cross_entropy(self.networks["C"](features), public)
        self.step(service + against(guess, noise) - against(guess, pictures), "O")

    def defend_against_ac(self, pictures: Tensor, public: Tensor, private: Tensor) -> None:
        """Equation 5."""
        self.moving("O")
        features = self.networks["O"](pictures)
        service = cross_entropy(self.networks["C"](features), public)
        self.step(service - cross_entropy(self.networks["AC"](features), private), "O")

    def attack(self, pictures: Tensor, public: Tensor, private: Tensor) -> None:
        """Equations 7 and 4."""
        self.moving("AR", "AC")
        with torch.no_grad():
            features = self.networks["O"](pictures)
        self.step(against(self.networks["AR"](features), pictures), "AR")
        self.step(cross_entropy(self.networks["AC"](features), private), "AC")

    def recover_c(self, pictures: Tensor, public: Tensor, private: Tensor) -> None:
        """Equation 1 for C alone."""
        self.moving("C")
        with torch.no_grad():
            features = self.networks["O"](pictures)
        self.step(cross_entropy(self.networks["C"](features), public), "C")

    def cycle(self, loader: Iterator[Batch]) -> None:
        """Four batches."""
        for stage in self.stages:
            stage(*next(loader))


class Pictures(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Picture files with labels, decoded and augmented whenever they are asked for."""

    def __init__(
        self,
        paths: list[str],
        public: NDArray[np.uint8],
        private: NDArray[np.uint8],
        size: tuple[int, int],
        shift: bool = True,
        mirror: bool = True,
    ) -> None:
        self.paths, self.size, self.shift, self.mirror = paths, size, shift, mirror
        self.public = torch.from_numpy(public).float()
        self.private = torch.from_numpy(private).float()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        with Image.open(self.paths[row]) as file:
            pixels = np.array(fit(file.convert("RGB"), self.size))
        if self.shift:
            pixels = shifted(pixels)
        if self.mirror and torch.rand(()) < 0.5:
            pixels = pixels[:, ::-1]
        picture = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / 255
        return picture.contiguous(), self.public[row], self.private[row]


def fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Crop about the centre to ``size``; where that loses over 4 px a side, resample as well."""
    height, width = size
    left, top = (image.width - width) / 2, (image.height - height) / 2
    if 0 <= left <= 2 and 0 <= top <= 2:
        return image.crop((int(left), int(top), int(left) + width, int(top) + height))
    scale = min(image.width / width, image.height / height)
    left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
    box = (max(0, left), max(0, top), image.width - max(0, left), image.height - max(0, top))
    return image.resize((width, height), Image.Resampling.BICUBIC, box=box)


def shifted(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Moved by up to a sixteenth of each side, edges repeated."""
    height, width, _ = pixels.shape
    y, x = height // 16, width // 16
    padded = np.pad(pixels, ((y, y), (x, x), (0, 0)), mode="edge")
    top, left = int(torch.randint(2 * y + 1, ())), int(torch.randint(2 * x + 1, ()))
    return padded[top : top + height, left : left + width]


def loader(pictures: Pictures, batch: int, shuffle: bool = True) -> DataLoader[Batch]:
    """Batches in random order by two workers, the last short one dropped; or all in order."""
    return DataLoader(
        *(pictures, batch, shuffle),
        num_workers=2,
        drop_last=shuffle,
        persistent_workers=True,
    )


def endless(batches: DataLoader[Batch]) -> Iterator[Batch]:
    """Epoch after epoch."""
    while True:
        yield from batches


Loss = Callable[[Tensor, Batch], Tensor]


def image_loss(output: Tensor, batch: Batch) -> Tensor:
    """Equation 6, of a reconstructor."""
    return against(output, batch[0])


def private_loss(output: Tensor, batch: Batch) -> Tensor:
    """Equation 3, of an attribute attacker."""
    return cross_entropy(output, batch[2])


def fit_attacker(
    network: nn.Module,
    encoder: nn.Module,
    loss: Loss,
    rate: float,
    train: DataLoader[Batch],
    validation: DataLoader[Batch],
    count: int,
) -> nn.Module:
    """Train ``network`` on a frozen ``encoder`` for ``count`` batches of pictures.

    It is kept as it was at the epoch's end (and at the last batch) that was best on validation.
    """
    encoder.eval()
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    best, state = float("inf"), copy.deepcopy(network.state_dict())
    batches = endless(train)
    for done in range(1, count + 1):
        network.train()
        batch = next(batches)
        with torch.no_grad():
            features = encoder(batch[0])
        optimiser.zero_grad()
        loss(network(features), batch).backward()
        optimiser.step()
        if done % len(train) and done < count:
            continue
        network.eval()
        total = 0.0
        with torch.no_grad():
            for batch in validation:
                total += loss(network(encoder(batch[0])), batch).item() * len(batch[0])
        if total < best:
            best, state = total, copy.deepcopy(network.state_dict())
    network.load_state_dict(state)
    return network.eval()
