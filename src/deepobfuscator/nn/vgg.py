"""O, C and AC of Table 1: VGG16 with batch norm, split after its second block."""

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from deepobfuscator.nn.fit import Normed, Shape, lifted

FRONT = (64, 128)
"""Widths of O's two blocks: 2 x conv3-64, maxpool, 2 x conv3-128, maxpool."""
BACK = (256, 512, 512)
"""Widths of C's three blocks of three convolutions, each followed by maxpool."""
HIDDEN = 4096
"""Width of C's two fully connected layers."""


def scaled(channels: int, width: float) -> int:
    """``channels`` times the width multiplier, at least 1."""
    return max(1, round(channels * width))


def conv(inputs: int, outputs: int) -> Normed:
    """conv3 with batch norm and ReLU; the norm's shift makes a bias idle, so there is none."""
    return Normed(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))


def convs(inputs: int, widths: Iterable[int]) -> list[nn.Module]:
    """A chain of `conv`."""
    layers: list[nn.Module] = []
    for outputs in widths:
        layers.append(conv(inputs, outputs))
        inputs = outputs
    return layers


class Encoder(nn.Module):
    """Base of what runs on the device: pictures in [0, 1] to features of one declared shape."""

    features: Shape
    """Shape of one picture's features: (c, h, w), or (b,) for a flat code."""
    wire_bits: int
    """Bits that leave the device per picture, before any compression."""
    stochastic: bool = False
    """Whether it draws noise: the same picture then gives other features at every query."""
    flip: float = 0.0
    """Chance that each bit of `bits_of` is turned, the same for all and independent of all else,
    where that is all the noise there is."""

    def bits_of(self, pictures: Tensor) -> Tensor:
        """The features before any bit is turned: (n, bits) of -1 and 1."""
        raise NotImplementedError

    def mirror(self, size: tuple[int, int], width: float) -> nn.Module | None:
        """A decoder that reverses this encoder layer by layer (section 3.4).

        None where the mirror of Table 1 fits as it is.
        """
        return None


class Tailed(Encoder):
    """An encoder with more layers after it on the device, which may say that they are
    ``stochastic``.
    """

    def __init__(self, front: Encoder, tail: nn.Module) -> None:
        super().__init__()
        self.front, self.tail = front, tail
        self.features, self.wire_bits = front.features, front.wire_bits
        self.stochastic = front.stochastic or bool(getattr(tail, "stochastic", False))

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (n, 3, H, W) through both."""
        return self.tail(self.front(pictures))  # type: ignore[no-any-return]


def differentiable(
    encoder: Encoder, size: tuple[int, int], device: torch.device | None = None
) -> bool:
    """Whether a gradient that is not zero everywhere comes back through ``encoder``."""
    draw = torch.Generator().manual_seed(0)
    pictures = torch.rand((2, 3, *size), generator=draw).to(device).requires_grad_()
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            features = encoder(pictures)
        # A plain sum would not do: that of a softmax is constant.
        weights = torch.randn(features.shape, generator=draw).to(features.device)
        (slope,) = torch.autograd.grad(features.float(), pictures, weights, allow_unused=True)
    except Exception:  # nothing in it asks for a gradient, or it cannot be had
        return False
    return slope is not None and bool(slope.isfinite().all() and slope.any())


class Obfuscator(Encoder):
    """O: (n, 3, H, W) in [0, 1] to (n, 128 width, H/4, W/4); 54x44x128 at 216x176 (Table 1)."""

    def __init__(self, size: tuple[int, int], width: float = 1.0) -> None:
        super().__init__()
        a, b = (scaled(c, width) for c in FRONT)
        pool = nn.MaxPool2d(2)
        self.layers = nn.Sequential(*convs(3, (a, a)), pool, *convs(a, (b, b)), pool)
        self.features = (b, size[0] // 4, size[1] // 4)
        self.wire_bits = 32 * b * (size[0] // 4) * (size[1] // 4)

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode pictures."""
        return self.layers(pictures)  # type: ignore[no-any-return]


class Classifier(nn.Module):
    """C and AC: features to one logit per label (Table 1; its sigmoid is in the loss).

    Fits any features: a flat code is lifted to a map first, a map finer than a quarter of the
    picture is averaged down to it, and a map too small for three pools is pooled less.
    """

    def __init__(
        self, features: Shape, labels: int, size: tuple[int, int], width: float = 1.0
    ) -> None:
        super().__init__()
        layers, (channels, height, columns) = lifted(features, (scaled(FRONT[1], width), 8, 8))
        grid = (size[0] // 4, size[1] // 4)
        if height > grid[0] and columns > grid[1]:
            layers.append(nn.AdaptiveAvgPool2d(grid))
            height, columns = grid
        for block in BACK:
            outputs = scaled(block, width)
            layers += convs(channels, (outputs, outputs, outputs))
            channels = outputs
            if min(height, columns) >= 2:
                layers.append(nn.MaxPool2d(2))
                height, columns = height // 2, columns // 2
        hidden = scaled(HIDDEN, width)
        layers += [
            nn.Flatten(),
            nn.Linear(channels * height * columns, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, labels),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """(n, labels) logits."""
        return self.layers(features)  # type: ignore[no-any-return]


def parameter_count(module: nn.Module) -> int:
    """Learnt numbers in ``module``."""
    return sum(p.numel() for p in module.parameters())


def multiply_accumulates(encoder: nn.Module, size: tuple[int, int]) -> int:
    """Multiply-accumulate operations of ``encoder`` for one picture (3, *size): those of its
    convolutions and matrix products, as device budgets are usually stated.
    """
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    with torch.inference_mode(), FlopCounterMode(display=False) as counted:
        encoder(torch.zeros(1, 3, *size, device=device))
    return int(counted.get_total_flops()) // 2


def initialise(module: nn.Module, seed: int) -> None:
    """He initialisation of every convolution and linear layer, drawn from ``seed`` alone."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(
                layer.weight,
                # A transposed convolution keeps its inputs where the others keep their outputs.
                mode="fan_out" if isinstance(layer, nn.ConvTranspose2d) else "fan_in",
                nonlinearity="relu",
                generator=generator,
            )
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def is_own(module: nn.Module) -> bool:
    """Whether a user built ``module``: its initial weights are then its own as well."""
    return bool(getattr(module, "own", False))


def renew(module: nn.Module, seed: int) -> None:
    """New initial weights and statistics for every layer, in place, drawn from ``seed`` alone."""
    fresh = deepcopy(module).cpu()  # so that no draw depends on the device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in fresh.modules():
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()
    if not is_own(module):  # a user's network keeps its layers' own initialisation
        initialise(fresh, seed)
    module.load_state_dict(fresh.state_dict())
