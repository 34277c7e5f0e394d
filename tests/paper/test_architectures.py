"""Tables 1 and 2 against the paper's lists and sums made here."""

from math import prod

import pytest

from deepobfuscator.paper.architectures import HEADERS, table_1, table_2
from deepobfuscator.report.tables import Table

HEIGHT, WIDTH = 216, 176


def normed(inputs: int, *widths: int) -> int:
    """Weights of a chain of conv3 without bias, and scale and shift of each batch norm."""
    pairs = zip((inputs, *widths[:-1]), widths, strict=True)
    return sum(9 * a * b + 2 * b for a, b in pairs)


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def urec(repeats: int) -> int:
    widths = [c for c in (64, 128, 256) for _ in range(repeats)]
    return normed(128, *widths) + (9 * 256 * 3 + 3) + (3 * 3 + 3)


SKIP = 128 * 64 + 64
"""ResRec's first block changes the channels, so that its skip needs a conv1."""

TOTALS = {
    "Obfuscator O": normed(3, 64, 64, 128, 128),
    "Adversary reconstructor AR": normed(128, 128, 64, 64) + 9 * 64 * 3 + 3,
    "Classifier C and adversary classifier AC": normed(128, *[256] * 3, *[512] * 6)
    + dense(512 * (HEIGHT // 32) * (WIDTH // 32), 4096)
    + dense(4096, 4096)
    + dense(4096, 1),
    "URec#1": urec(3),
    "URec#2": urec(2),
    "ResRec": normed(128, *[64] * 10) + SKIP + (64 * 3 + 3),
}

PAPER = {
    "Obfuscator O": "conv3-64 conv3-64 maxpool conv3-128 conv3-128 maxpool",
    "Adversary reconstructor AR": "upsample deconv3-128 deconv3-64 upsample deconv3-64 deconv3-3",
    "Classifier C and adversary classifier AC": (
        "conv3-256 conv3-256 conv3-256 maxpool conv3-512 conv3-512 conv3-512 maxpool "
        "conv3-512 conv3-512 conv3-512 maxpool FC-4096 FC-4096 FC-1"
    ),
    "URec#1": (
        "conv3-64 conv3-64 conv3-64 upsample conv3-128 conv3-128 conv3-128 upsample "
        "conv3-256 conv3-256 conv3-256 conv3-3 conv1-3 sigmoid"
    ),
    "URec#2": (
        "conv3-64 conv3-64 upsample conv3-128 conv3-128 upsample conv3-256 conv3-256 "
        "conv3-3 conv1-3 sigmoid"
    ),
    "ResRec": (
        "transconv3-64 conv3-64 conv3-64 transconv3-64 conv3-64 conv3-64 upsample "
        "conv3-64 conv3-64 conv3-64 conv3-64 upsample conv1-3 sigmoid"
    ),
}
"""Tables 1 and 2, column by column; C and AC have one label."""

NETWORKS = dict([*table_1(), *table_2()])


@pytest.fixture(params=PAPER)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def column(table: Table, header: str) -> list[str]:
    return [row[HEADERS.index(header)] for row in table.rows]


def test_every_network_of_the_two_tables_is_there() -> None:
    assert list(NETWORKS) == list(PAPER)


def test_the_papers_layers_stand_in_its_order(name: str) -> None:
    listed = " ".join(column(NETWORKS[name], "Layer")[:-1])
    for word in ("residual", "[", "]", ","):
        listed = listed.replace(word, "")
    built, wanted = listed.split(), PAPER[name].split()
    assert built == wanted or built == [*wanted, "sigmoid"]
    printed = [p for p in column(NETWORKS[name], "In the paper") if p not in ("–", "")]
    assert [p.replace("label length", "1") for p in printed] == [
        x for x in column(NETWORKS[name], "Layer")[:-1] if x != "sigmoid" or "sigmoid" in wanted
    ]


def test_parameters_are_those_of_the_layers(name: str) -> None:
    counts = [int(c.replace(",", "")) for c in column(NETWORKS[name], "Parameters")]
    assert counts[-1] == TOTALS[name]
    assert sum(counts[:-1]) == TOTALS[name], "no layer is left out"


def test_the_features_are_54x44x128_and_pictures_come_back_whole(name: str) -> None:
    outputs = [
        tuple(map(int, shape.split(" × "))) for shape in column(NETWORKS[name], "Output")[:-1]
    ]
    if name == "Obfuscator O":
        assert outputs[-1] == (54, 44, 128)
    elif name.startswith("Classifier"):
        assert prod(next(o for o in reversed(outputs) if len(o) == 3)) == 6 * 5 * 512
    else:
        assert outputs[-1] == (HEIGHT, WIDTH, 3)
