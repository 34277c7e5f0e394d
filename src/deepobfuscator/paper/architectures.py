"""Tables 1 and 2, generated from the networks themselves."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import nn

import deepobfuscator as do

SIZE = (216, 176)
"""Height and width of the paper's pictures."""

HEADERS = ("Layer", "Output", "Parameters", "In the paper")

O_LAYERS = ["conv3-64", "conv3-64", "maxpool", "conv3-128", "conv3-128", "maxpool"]
AR_LAYERS = ["upsample", "deconv3-128", "deconv3-64", "upsample", "deconv3-64", "deconv3-3"]
CONVOLUTIONS = [[f"conv3-{c}"] * 3 + ["maxpool"] for c in (256, 512, 512)]
C_LAYERS = [*chain(*CONVOLUTIONS), "FC-4096", "FC-4096", "FC-label length"]
PRINTED = {"FC-1": "FC-label length"}
"""What the paper prints for the layer that has one label here."""

RES_1 = "residual [transconv3-64, conv3-64, conv3-64]"
RES_2 = "residual [conv3-64, conv3-64]"
RESREC_LAYERS = [RES_1, RES_1, "upsample", RES_2, RES_2, "upsample", "conv1-3", "sigmoid"]


def urec_layers(repeats: int) -> list[str]:
    """URec#1 and URec#2 as Table 2 prints them."""
    blocks = [[f"conv3-{c}"] * repeats for c in (64, 128, 256)]
    end = ("conv3-3", "conv1-3", "sigmoid")
    return [*blocks[0], "upsample", *blocks[1], "upsample", *blocks[2], *end]


def table_1() -> list[tuple[str, do.Table]]:
    """O, AR, C and AC at the paper's size; C and AC have one label here."""
    with torch.device("meta"):
        encoder = do.Obfuscator(SIZE)
        inputs = encoder.features
        reconstructor, classifier = do.mirror(inputs, SIZE), do.Classifier(inputs, 1, SIZE)
    return [
        described("Obfuscator O", encoder, (3, *SIZE), O_LAYERS),
        described("Adversary reconstructor AR", reconstructor, inputs, AR_LAYERS),
        described("Classifier C and adversary classifier AC", classifier, inputs, C_LAYERS),
    ]


def table_2() -> list[tuple[str, do.Table]]:
    """URec#1, URec#2 and ResRec at the paper's size."""
    with torch.device("meta"):
        inputs = do.Obfuscator(SIZE).features
        one, two, residual = (build(inputs, SIZE) for build in (do.urec1, do.urec2, do.resrec))
    return [
        described("URec#1", one, inputs, urec_layers(3)),
        described("URec#2", two, inputs, urec_layers(2)),
        described("ResRec", residual, inputs, RESREC_LAYERS),
    ]


def described(
    name: str, network: nn.Module, inputs: Sequence[int], paper: Sequence[str]
) -> tuple[str, do.Table]:
    """A heading, and one row per layer of ``network`` (on the meta device, for inputs of this
    shape), with the paper's entries in order.
    """
    found: list[tuple[str, tuple[int, ...], int]] = []

    def note(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        found.append((label(layer), tuple(output.shape[1:]), count(layer)))

    for layer in layers(network):
        layer.register_forward_hook(note)
    with torch.no_grad():
        network.eval()(torch.empty((1, *inputs), device="meta"))
    left, rows = list(paper), []
    for what, shape, parameters in found:
        here = left and left[0] in (what, PRINTED.get(what))
        size = " × ".join(map(str, (*shape[1:], shape[0])))
        rows.append((what, size, f"{parameters:,}", left.pop(0) if here else "–"))
    if left:
        raise AssertionError(f"{name} lacks the paper's {left}")
    rows.append(("all", "", f"{count(network):,}", ""))
    return name, do.Table(HEADERS, tuple(rows))


def count(network: nn.Module) -> int:
    """Number of trainable parameters of a network."""
    return sum(p.numel() for p in network.parameters())


def layers(network: nn.Module) -> list[nn.Module]:
    """The parts that the tables count, in order."""
    found: list[nn.Module] = []
    for child in network.children():
        whole = type(child).__name__ in ("Normed", "Residual", "Resize")
        if whole or not list(child.children()):
            found += [] if isinstance(child, nn.Flatten | nn.ReLU) else [child]
        else:
            found += layers(child)
    return found


def label(layer: nn.Module) -> str:
    """A layer in the paper's notation."""
    if isinstance(layer, nn.Linear):
        return f"FC-{layer.out_features}"
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        name = "conv" if isinstance(layer, nn.Conv2d) else "deconv"
        return f"{name}{layer.kernel_size[0]}-{layer.out_channels}"
    kind = type(layer).__name__
    if kind == "Normed":
        return label(layer.get_submodule("convolution"))
    if kind == "Residual":
        inner = ", ".join(map(label, layers(layer.get_submodule("layers"))))
        return f"residual [{inner.replace('deconv', 'transconv')}]"
    return {"MaxPool2d": "maxpool", "Resize": "upsample", "Sigmoid": "sigmoid"}[kind]
