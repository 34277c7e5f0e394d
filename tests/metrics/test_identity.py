from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.metrics import identity
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.identity import verification

Embeddings = NDArray[np.float64]
People = NDArray[np.int64]


def faces(
    seed: int, people: int = 30, each: int = 2, noise: float = 1.0, size: int = 5
) -> tuple[Embeddings, Embeddings, People, People]:
    """Probes, gallery and who is on them, in no order."""
    draw = np.random.default_rng(seed)
    centre = draw.normal(size=(people, size))
    known = draw.permutation(people)
    person = draw.permutation(np.repeat(np.arange(people), each))
    gallery = centre[known] + noise * draw.normal(size=(people, size))
    probes = centre[person] + noise * draw.normal(size=(len(person), size))
    return probes, gallery, person, known


def reference_eer(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
    """Where the polyline through every threshold's two error rates meets their diagonal."""
    cuts = np.unique(np.concatenate((genuine, impostor)))
    points = [(np.mean(genuine < t), np.mean(impostor >= t)) for t in [*cuts, np.inf]]
    for (fail, accept), (fail_next, accept_next) in pairwise(points):
        if fail_next >= accept_next:
            gap, gap_next = fail - accept, fail_next - accept_next
            return float(fail + (fail_next - fail) * -gap / (gap_next - gap))
    raise AssertionError("the rates never meet")


@pytest.mark.parametrize("digits", [0, 8])
@pytest.mark.parametrize("noise", [0.2, 1.0, 5.0])
def test_figures_are_those_of_brute_force(digits: int, noise: float) -> None:
    probes, gallery, person, known = faces(1, noise=noise)
    # Signs alone make equal embeddings, and so ties.
    probes, gallery = (np.sign(v) if digits == 0 else v for v in (probes, gallery))
    auc, rank1, mates, strangers = [], [], [], []
    for probe, who in zip(probes, person, strict=True):
        similar = [
            round(probe @ g / np.sqrt((probe @ probe) * (g @ g)), identity.DECIMALS)
            for g in gallery
        ]
        mate = similar[list(known).index(who)]
        others = [s for s, other in zip(similar, known, strict=True) if other != who]
        auc.append(np.mean([(mate > s) + (mate == s) / 2 for s in others]))
        rank1.append(0 if max(others) > mate else 1 / similar.count(mate))
        mates.append(mate)
        strangers += others
    found = verification(Bootstrap(person, draws=2), probes, gallery, person, known)
    assert found["auc"].value == pytest.approx(np.mean(auc))
    assert found["rank1"].value == pytest.approx(np.mean(rank1))
    expected = reference_eer(np.array(mates), np.array(strangers))
    assert found["eer"].value == pytest.approx(expected)


def test_replicates_are_the_figures_of_the_people_drawn() -> None:
    probes, gallery, person, known = faces(2)
    bootstrap = Bootstrap(person, draws=10)
    found = verification(bootstrap, probes, gallery, person, known)
    for draw in range(10):
        rows = np.repeat(np.arange(len(person)), bootstrap._weights[draw][person])
        again = verification(
            Bootstrap(person[rows], draws=1), probes[rows], gallery, person[rows], known
        )
        for metric, sample in found.items():
            assert sample.draws[draw] == pytest.approx(again[metric].value)


def test_thinned_thresholds_hardly_move_the_equal_error_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probes, gallery, person, known = faces(3, people=100)
    bootstrap = Bootstrap(person, draws=2)
    exact = verification(bootstrap, probes, gallery, person, known)["eer"].value
    monkeypatch.setattr(identity, "LEVELS", 40)
    thinned = verification(bootstrap, probes, gallery, person, known)["eer"].value
    assert thinned != exact
    assert thinned == pytest.approx(exact, abs=1 / 40)


def test_embeddings_that_tell_nothing_score_as_guesses() -> None:
    _, _, person, known = faces(4, people=25)
    for blank in (np.zeros, np.ones):
        found = verification(
            Bootstrap(person), blank((len(person), 7)), blank((25, 7)), person, known
        )
        assert {m: s.value for m, s in found.items()} == pytest.approx(
            {"auc": 0.5, "rank1": 1 / 25, "eer": 0.5}
        )


def test_embeddings_that_name_the_person_are_perfect_and_still_uncertain() -> None:
    _, _, person, known = faces(5)
    names = np.eye(30)
    found = verification(Bootstrap(person), names[person], names[known], person, known)
    assert {m: s.value for m, s in found.items()} == {"auc": 1, "rank1": 1, "eer": 0}
    for sample in found.values():
        interval = sample.interval()
        assert 0 <= interval.low <= interval.high <= 1
        assert interval.high - interval.low > 0.05


def test_length_and_orientation_of_embeddings_do_not_matter() -> None:
    probes, gallery, person, known = faces(6)
    turn, _ = np.linalg.qr(np.random.default_rng(7).normal(size=(5, 5)))
    bootstrap = Bootstrap(person, draws=2)
    one = verification(bootstrap, probes, gallery, person, known)
    other = verification(bootstrap, 3 * probes @ turn, gallery @ turn, person, known)
    assert {m: s.value for m, s in one.items()} == {m: s.value for m, s in other.items()}


def test_unusable_embeddings_are_refused() -> None:
    probes, gallery, person, known = faces(8)
    bootstrap = Bootstrap(person)
    with pytest.raises(InputError, match="at least 2"):
        verification(Bootstrap([0]), probes[:1], gallery[:1], [0], [0])
    with pytest.raises(ValueError, match="exactly once"):
        verification(bootstrap, probes, gallery, person, np.where(known == 3, 4, known))
    with pytest.raises(ValueError, match="exactly once"):
        verification(bootstrap, probes, gallery, person + 1, known)
    with pytest.raises(ValueError, match="finite"):
        verification(bootstrap, probes, np.full_like(gallery, np.nan), person, known)
    with pytest.raises(ValueError, match="similarities"):
        verification(bootstrap, probes[1:], gallery, person, known)
