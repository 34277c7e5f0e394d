"""O of narrow-code: the conv front of the paper's O, three more blocks, B signs."""

import torch
from torch import Tensor, nn

from deepobfuscator.nn.decoders import Decoder, deconv, mirror
from deepobfuscator.nn.fit import Lift, Resize, straight_through
from deepobfuscator.nn.vgg import Encoder, Obfuscator, conv, scaled

HARD, SOFT, NOISY = "hard", "soft", "noisy"
"""Bits as signs, as values of tanh, or drawn at random with these as means."""
BLOCKS = (256, 256, 256)
"""Widths of the three additional blocks (conv3, maxpool) between the front and the code."""


def signs(values: Tensor, soft: Tensor) -> Tensor:
    """The signs of values, -1 or 1; gradients pass as those of ``soft`` (straight through)."""
    return straight_through(torch.where(values >= 0, 1.0, -1.0), soft)


class NarrowEncoder(Encoder):
    """(n, 3, H, W) in [0, 1] to (n, bits) of -1 and 1."""

    form = HARD
    """What bits are while training: ``HARD``, ``SOFT`` or ``NOISY``; not part of the state."""
    sharpness = 1.0
    """Factor of logits in tanh for noisy bits."""

    def __init__(self, size: tuple[int, int], width: float, bits: int, flip: float = 0.0) -> None:
        super().__init__()
        self.front = Obfuscator(size, width)
        channels, *grid = self.front.features
        layers: list[nn.Module] = []
        self.maps: list[tuple[int, int, int]] = []
        for block in BLOCKS:
            self.maps.append((channels, grid[0], grid[1]))
            layers.append(conv(channels, scaled(block, width)))
            channels = scaled(block, width)
            if min(grid) >= 2:
                layers.append(nn.MaxPool2d(2))
                grid = [grid[0] // 2, grid[1] // 2]
        self.blocks = nn.Sequential(*layers)
        self.last = (channels, grid[0], grid[1])
        self.code = nn.Linear(channels * grid[0] * grid[1], bits, bias=False)
        self.norm = nn.BatchNorm1d(bits)
        self.features = (bits,)
        self.wire_bits = bits
        self.flip, self.stochastic = flip, flip > 0

    def forward(self, pictures: Tensor) -> Tensor:
        """The code, each bit flipped with probability ``flip``, redrawn at every query."""
        code = self.bits_of(pictures)
        if not self.flip:
            return code
        return torch.where(torch.rand_like(code) < self.flip, -code, code)

    def bits_of(self, pictures: Tensor) -> Tensor:
        """Signs of the logits; gradients pass as if they were tanh (straight through). While
        training they may be soft or noisy instead.

        Noisy bits are drawn with mean tanh. Sent as they are, such means would hide from an
        adversary that counts what C reads from them next to 0, and what their signs reveal.
        """
        logits = self.norm(self.code(self.blocks(self.front(pictures)).flatten(1)).float())
        form = self.form if self.training else HARD
        soft = torch.tanh(self.sharpness * logits if form == NOISY else logits)
        if form == SOFT:
            return soft
        return signs((soft + 1) / 2 - torch.rand_like(soft) if form == NOISY else soft, soft)

    def mirror(self, size: tuple[int, int], width: float) -> nn.Module | None:
        """Code to map, the three blocks reversed, then the mirror of the front (Table 1)."""
        layers: list[nn.Module] = [Lift(self.features[0], self.last)]
        channels = self.last[0]
        for outputs, *grid in reversed(self.maps):
            layers += [Resize((grid[0], grid[1])), deconv(channels, outputs)]
            channels = outputs
        return Decoder(*layers, *mirror(self.front.features, size, width))
