"""The face recogniser, with an embedder that reads a planted mark; and dlib's, where it is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.identify import NO_PEOPLE, trial_rows
from deepobfuscator.attacks.recognise import BOXES, NOT_INSTALLED, SIDE, Embedder, Recognise, faces
from deepobfuscator.attacks.threat import AttackerData, Threat
from deepobfuscator.attacks.trained import outputs
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.table import parse_source
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.identity import verification
from deepobfuscator.training.objectives import TrainConfig

CELEBA = Path(__file__).parents[3] / "shared" / "celeba20k"
SIDES = (40, 32)


@dataclass(frozen=True)
class MarkReader(Recognise):
    """Knows people by the colours of the upper left quarter of a face, as four times four."""

    packages = ()

    def embedder(self) -> Embedder:
        def embed(seen: NDArray[np.uint8]) -> NDArray[np.floating]:
            assert seen.shape[1:] == (SIDE, SIDE, 3)
            quarter = (
                torch.from_numpy(seen[:, : SIDE // 2, : SIDE // 2]).float().permute(0, 3, 1, 2)
            )
            return (torch.nn.functional.adaptive_avg_pool2d(quarter, 4) - 127).flatten(1).numpy()

        return embed


def marked(people: int, each: int, seed: int) -> Labelled:
    """Noise; rows 19 to 29 and columns 5 to 15 hold a pattern unique to each person."""
    draw = np.random.default_rng(seed)
    person = np.arange(people).repeat(each)
    pictures = draw.integers(0, 256, (len(person), *SIDES, 3), dtype=np.uint8)
    marks = draw.integers(0, 256, (people, 5, 5, 3), dtype=np.uint8).repeat(2, 1).repeat(2, 2)
    pictures[:, 19:29, 5:15] = marks[person]
    nothing = np.zeros((len(person), 1), dtype=np.uint8)
    return Labelled(pictures, nothing, nothing, person + 1000 * seed)


def queried(part: Labelled, encoder: Callable[[Tensor], Tensor]) -> AttackerData:
    device = torch.device("cpu")
    features = tuple(encoder(as_input(part.pictures[:1], device)).shape[1:])
    return AttackerData(part, lambda p, seed: encoder(as_input(p, device)), features)


def told_apart(threat: Threat, test: AttackerData, folder: Path) -> float:
    context = Context(folder)
    context.console.quiet = True
    fitted = MarkReader().fit(threat, context)
    assert fitted.gallery is not None
    known, asked = trial_rows(test.person)
    gallery = fitted.gallery(as_input(test.pictures(known), torch.device("cpu")))
    probes = outputs(fitted, test, context)[asked]
    people = test.person[asked], test.person[known]
    return verification(Bootstrap(people[0], draws=2), probes, gallery, *people)["auc"].value


def threat_of(encoder: Callable[[Tensor], Tensor]) -> Threat:
    own = queried(marked(20, 3, 2), encoder)
    return Threat(own, own, SIDES, TrainConfig(size=SIDES))


def test_it_finds_the_box_and_tells_raw_faces_apart(tmp_path: Path) -> None:
    def raw(images: Tensor) -> Tensor:
        return images

    test = queried(marked(30, 2, 3), raw)
    assert told_apart(threat_of(raw), test, tmp_path) > 0.95
    device = torch.device("cpu")
    known, asked = trial_rows(test.person)
    people = test.person[asked], test.person[known]
    for box in BOXES[:2]:  # where the mark is not in the upper left quarter, nobody is known
        seen = MarkReader().embedder()(faces(as_input(test.labelled.pictures, device), box))
        found = verification(Bootstrap(people[0], draws=2), seen[asked], seen[known], *people)
        assert found["auc"].value < 0.9


def test_it_sees_what_the_strongest_reconstructor_rebuilds(tmp_path: Path) -> None:
    def negative(images: Tensor) -> Tensor:
        return 1 - images

    test = queried(marked(30, 2, 3), negative)
    threat = replace(threat_of(negative), strongest=lambda: negative)
    assert told_apart(threat, test, tmp_path) > 0.95
    threat.strongest = lambda: lambda features: torch.full_like(features, 0.2)
    assert told_apart(threat, test, tmp_path) == 0.5, "a rebuilt picture that says nothing"


def test_it_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    one = threat_of(lambda images: images.mean((2, 3)))
    assert MarkReader().lacks(one) == "no reconstructor"
    assert MarkReader().lacks(threat_of(lambda images: images)) == ""
    alone = queried(marked(20, 1, 2), lambda images: images)
    assert MarkReader().lacks(replace(one, validation=alone)) == NO_PEOPLE
    monkeypatch.setattr(Recognise, "packages", ("a_package_that_nobody_has",))
    assert Recognise().lacks(one) == NOT_INSTALLED
    assert "pip install 'deepobfuscator[faces]'" in NOT_INSTALLED


def test_a_box_is_cut_where_it_says() -> None:
    images = torch.zeros(1, 3, 100, 60)
    images[..., 60:100, 10:50] = 1
    cut = faces(images, (2 / 3, 1.0))
    assert cut.shape == (1, SIDE, SIDE, 3)
    assert cut.min() == 255
    assert faces(images, (2 / 3, 0.0)).max() == 0
    assert 0 < faces(images, (1.0, 1.0)).mean() < 255


@pytest.mark.skipif(
    not (Recognise.installed() and CELEBA.exists()),
    reason="needs the extra `faces` and photographs of people, in ../shared/celeba20k",
)
def test_dlib_knows_people_on_photographs(tmp_path: Path) -> None:
    source = parse_source(f"celeba:{CELEBA}")
    table = source.read()
    person = table.people()
    twice = np.unique(person, return_counts=True)
    people = twice[0][twice[1] > 1][:14]
    rows = np.concatenate([np.flatnonzero(person == p)[:2] for p in people])
    pictures, _ = source.load([table.images[i] for i in rows], (64, 64))
    nothing = np.zeros((len(rows), 1), dtype=np.uint8)
    part = Labelled(pictures, nothing, nothing, person[rows])
    box = (0.65, 1.0)
    seen = Recognise().embedder()(faces(as_input(part.pictures, torch.device("cpu")), box))
    assert seen.shape == (28, 128)
    bootstrap = Bootstrap(np.arange(14), draws=2)
    found = verification(bootstrap, seen[1::2], seen[::2], np.arange(14), np.arange(14))
    assert found["auc"].value > 0.9
