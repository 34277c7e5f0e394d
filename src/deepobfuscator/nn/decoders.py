"""AR, the mirror of Table 1, and the other reconstructors of Table 2.

Each turns features into pictures (n, 3, H, W) in [0, 1]. The tables start from maps a quarter of
the picture's size; features that are flat or smaller are brought up to that grid first.
"""

from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.nn.fit import Normed, Resize, Shape, lifted
from deepobfuscator.nn.vgg import convs, scaled


class Decoder(nn.Sequential):
    """A reconstructor; ``forward`` gives pictures in [0, 1]."""


def deconv(inputs: int, outputs: int) -> Normed:
    """deconv3: a transposed convolution of stride 1 with batch norm and ReLU."""
    return Normed(nn.ConvTranspose2d(inputs, outputs, 3, padding=1, bias=False))


def up_to_grid(
    features: Shape, size: tuple[int, int], width: float
) -> tuple[list[nn.Module], int, tuple[int, int]]:
    """Layers that bring features to at least the grid (H/4, W/4); their channels and map size."""
    grid = (size[0] // 4, size[1] // 4)
    coarse = (scaled(128, width), -(-size[0] // 16), -(-size[1] // 16))
    layers, (channels, height, columns) = lifted(features, coarse)
    while height < grid[0] or columns < grid[1]:
        height = max(height, min(2 * height, grid[0]))
        columns = max(columns, min(2 * columns, grid[1]))
        layers += [Resize((height, columns)), deconv(channels, scaled(128, width))]
        channels = scaled(128, width)
    return layers, channels, (height, columns)


def halfway(start: tuple[int, int], end: tuple[int, int]) -> tuple[int, int]:
    """The map size between the tables' two upsamplings: twice the start, at most the picture."""
    return min(2 * start[0], end[0]), min(2 * start[1], end[1])


def mirror(features: Shape, size: tuple[int, int], width: float = 1.0) -> Decoder:
    """AR of Table 1: upsample, deconv3-128, deconv3-64, upsample, deconv3-64, deconv3-3."""
    layers, channels, start = up_to_grid(features, size, width)
    a, b = scaled(128, width), scaled(64, width)
    layers += [Resize(halfway(start, size)), deconv(channels, a), deconv(a, b), Resize(size)]
    layers += [deconv(b, b), nn.ConvTranspose2d(b, 3, 3, padding=1), nn.Sigmoid()]
    return Decoder(*layers)


def urec(features: Shape, size: tuple[int, int], width: float, repeats: int) -> Decoder:
    """URec#1 (three convolutions a block) and URec#2 (two) of Table 2."""
    layers, channels, start = up_to_grid(features, size, width)
    for block, end in ((64, halfway(start, size)), (128, size), (256, None)):
        outputs = scaled(block, width)
        layers += convs(channels, [outputs] * repeats)
        channels = outputs
        if end is not None:
            layers.append(Resize(end))
    return Decoder(*layers, nn.Conv2d(channels, 3, 3, padding=1), nn.Conv2d(3, 3, 1), nn.Sigmoid())


def urec1(features: Shape, size: tuple[int, int], width: float = 1.0) -> Decoder:
    """URec#1: 3 x conv3-64, up, 3 x conv3-128, up, 3 x conv3-256, conv3-3, conv1-3, sigmoid."""
    return urec(features, size, width, repeats=3)


def urec2(features: Shape, size: tuple[int, int], width: float = 1.0) -> Decoder:
    """URec#2: as URec#1 with two convolutions instead of three."""
    return urec(features, size, width, repeats=2)


class Residual(nn.Module):
    """Layers with a skip around them; a 1x1 convolution where the channels change."""

    def __init__(self, inputs: int, outputs: int, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w)."""
        return functional.relu(self.layers(features) + self.skip(features))


def resrec(features: Shape, size: tuple[int, int], width: float = 1.0) -> Decoder:
    """ResRec: [transconv3-64, 2 x conv3-64] x 2, up, [2 x conv3-64] x 2, up, conv1-3, sigmoid."""
    layers, channels, start = up_to_grid(features, size, width)
    c = scaled(64, width)
    layers += [
        Residual(channels, c, deconv(channels, c), *convs(c, (c, c))),
        Residual(c, c, deconv(c, c), *convs(c, (c, c))),
        Resize(halfway(start, size)),
        Residual(c, c, *convs(c, (c, c))),
        Residual(c, c, *convs(c, (c, c))),
        Resize(size),
    ]
    return Decoder(*layers, nn.Conv2d(c, 3, 1), nn.Sigmoid())
