"""Batches: augmentation against NumPy's padding, on the processor and as a GPU does it."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepobfuscator.data import batches
from deepobfuscator.data.augment import as_input, augment, augment_there, draw_moves
from deepobfuscator.data.batches import Labelled


def pictures(n: int, height: int = 34, width: int = 37) -> NDArray[np.uint8]:
    return np.random.default_rng(n).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def by_padding(picture: NDArray[np.uint8], move: NDArray[np.int64]) -> NDArray[np.uint8]:
    down, right, mirrored = move
    height, width, _ = picture.shape
    if mirrored:
        picture = picture[:, ::-1]
    padded = np.pad(picture, ((9, 9), (9, 9), (0, 0)), mode="edge")
    return padded[9 - down : 9 - down + height, 9 - right : 9 - right + width]


def moves() -> NDArray[np.int64]:
    steps = [(d, r, m) for d in (-2, -1, 0, 1, 2) for r in (-2, 0, 1) for m in (0, 1)]
    return np.array(steps)


def test_augmented_pictures_are_mirrored_moved_and_their_edges_repeated() -> None:
    before = pictures(len(moves()))
    kept = before.copy()
    after = augment(before, moves())
    for picture, move, result in zip(before, moves(), after, strict=True):
        np.testing.assert_array_equal(result, by_padding(picture, move))
    np.testing.assert_array_equal(before, kept)


def test_a_gpu_augments_as_the_processor_does() -> None:
    before = pictures(len(moves()))
    there = augment_there(torch.from_numpy(before), moves())
    here = as_input(augment(before, moves()), torch.device("cpu"))
    assert torch.equal(there, here)
    assert there.is_contiguous(memory_format=torch.channels_last)


def test_half_are_mirrored_and_no_step_is_longer_than_a_sixteenth() -> None:
    drawn = draw_moves(4000, (34, 64), np.random.default_rng(0))
    assert set(drawn[:, 0]) == {-2, -1, 0, 1, 2}
    assert set(drawn[:, 1]) == set(range(-4, 5))
    assert abs(drawn[:, 2].mean() - 0.5) < 0.03


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_a_batch_as_it_would_be_without_them(ranks: int) -> None:
    labels = np.arange(24, dtype=np.uint8)[:, None] % 2
    labelled = Labelled(pictures(24), labels, 1 - labels, np.arange(24))
    rows, device = np.arange(3, 21), torch.device("cpu")

    def batch(part: slice) -> batches.Batch:
        return labelled.batch(rows, device, np.random.default_rng(5), part)

    whole = batch(slice(None))
    for rank in range(ranks):
        part = slice(rank, None, ranks)
        mine = batch(part)
        for name in ("pictures", "public", "private"):
            assert torch.equal(getattr(mine, name), getattr(whole, name)[part])


@pytest.mark.parametrize("free", [0, 10**12])
def test_pictures_stay_on_a_gpu_where_they_fit(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "free_memory", lambda device: free)
    labels = np.zeros((9, 1), dtype=np.uint8)
    labelled = Labelled(pictures(9), labels, labels, np.arange(9))
    device = torch.device("cpu")  # stands in for a GPU
    there = labelled.on(device, np.array([7, 2]))
    np.testing.assert_array_equal(there.numpy(), labelled.pictures[[7, 2]])
    assert (device in labelled.resident) == (free > 0)
