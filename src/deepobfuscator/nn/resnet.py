"""A small residual network on any features: far fewer weights than C or AC of Table 1."""

from torch import nn

from deepobfuscator.nn.decoders import Residual
from deepobfuscator.nn.fit import Shape, lifted
from deepobfuscator.nn.vgg import conv, scaled

FINEST = 32
"""Side of the largest map that residual blocks work on: whole pictures would take four times the
time."""


def residual_classifier(
    features: Shape, labels: int, width: float, channels: int = 256
) -> nn.Sequential:
    """Three residual blocks and a global average: features to one logit per label.

    ``channels`` are those of the last block at width 1; the first two have half.
    """
    layers, values = trunk(features, width, channels)
    return nn.Sequential(*layers, nn.Linear(values, labels))


def trunk(features: Shape, width: float, channels: int) -> tuple[list[nn.Module], int]:
    """Layers from features of any shape to one flat vector, and its length."""
    layers, (inputs, height, columns) = lifted(features, (scaled(128, width), 4, 4))
    last = max(16, scaled(channels, width))
    while min(height, columns) > FINEST:
        layers += [conv(inputs, last // 4), nn.MaxPool2d(2)]
        inputs, height, columns = last // 4, height // 2, columns // 2
    for outputs in (last // 2, last // 2, last):
        layers.append(
            Residual(
                inputs,
                outputs,
                conv(inputs, outputs),
                nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
            )
        )
        inputs = outputs
        if min(height, columns) >= 4:
            layers.append(nn.MaxPool2d(2))
            height, columns = height // 2, columns // 2
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], inputs
