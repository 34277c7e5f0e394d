import numpy as np
import pytest

from deepobfuscator.core.config import from_json, to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.data.table import Source, parse_source


def test_command_line_forms() -> None:
    assert parse_source("synthetic") == Synthetic()
    assert parse_source("synthetic:20000") == Synthetic(count=20000)
    assert from_json(Source, to_json(Synthetic(count=7, seed=3))) == Synthetic(count=7, seed=3)
    for rest in ("0", "-5", "1.5", "many", "²", "1e3", "10000000", " 5"):
        with pytest.raises(InputError, match="pictures"):
            Synthetic.parse(rest)
    with pytest.raises(InputError, match="seed"):
        Synthetic(seed=-1)


def test_five_pictures_of_each_person_who_stays_the_same() -> None:
    table = Synthetic(count=600).read()
    assert len(set(table.images)) == 600
    assert table.images[:2] == ("000001", "000002")
    assert np.all(np.bincount(table.people()) == 5)
    assert table.part is None
    one, later = table.values[::5], table.values[4::5]
    for name in ("Male", "Young", "Blond_Hair", "Bald"):
        k = table.attributes.index(name)
        assert np.array_equal(one[:, k], later[:, k])
    smiling = table.attributes.index("Smiling")
    assert np.any(one[:, smiling] != later[:, smiling])
    assert not np.any(table.columns(["Bald", "Bangs"]).all(axis=1))


def test_rates_and_correlations_are_about_those_of_celeba() -> None:
    table = Synthetic(count=6000).read()
    rates = {"Smiling": 0.48, "High_Cheekbones": 0.45, "Male": 0.42, "Heavy_Makeup": 0.38}
    for name, rate in rates.items():
        assert table.columns([name]).mean() == pytest.approx(rate, abs=0.05)
    for one, other, phi in (
        ("Smiling", "Male", -0.15),
        ("High_Cheekbones", "Male", -0.25),
        ("Smiling", "High_Cheekbones", 0.68),
        ("Heavy_Makeup", "Male", -0.67),
    ):
        measured = np.corrcoef(table.columns([one, other]).T.astype(float))[0, 1]
        assert measured == pytest.approx(phi, abs=0.05), (one, other)
    assert np.all((table.values.mean(axis=0) > 0.01) & (table.values.mean(axis=0) < 0.99))


@pytest.mark.parametrize("size", [(32, 32), (54, 45), (64, 64)])
def test_a_picture_does_not_depend_on_its_company(size: tuple[int, int]) -> None:
    source = Synthetic(count=400)
    names = source.read().images
    together, bad = source.load(names, size)
    assert not bad
    assert together.shape == (400, *size, 3)
    assert together.dtype == np.uint8
    for i in range(0, 400, 9):
        alone, _ = source.load([names[i]], size)
        assert np.array_equal(alone[0], together[i]), names[i]
    shuffled = np.random.default_rng(0).permutation(400)
    again, _ = source.load([names[i] for i in shuffled], size)
    assert np.array_equal(again, together[shuffled])


def test_more_pictures_begin_with_the_same_and_another_seed_differs() -> None:
    few, many = Synthetic(count=33), Synthetic(count=50)
    names = few.read().images
    assert np.array_equal(few.read().values, many.read().values[:33])
    assert np.array_equal(few.load(names, (32, 32))[0], many.load(names, (32, 32))[0])
    other = Synthetic(count=33, seed=1)
    assert not np.array_equal(few.read().values, other.read().values)
    assert not np.array_equal(few.load(names, (32, 32))[0], other.load(names, (32, 32))[0])


def test_one_scene_at_every_size() -> None:
    source = Synthetic(count=24)
    names = source.read().images
    small = source.load(names, (64, 64))[0].astype(float)
    large = source.load(names, (192, 192))[0].reshape(24, 64, 3, 64, 3, 3).mean(axis=(2, 4))
    assert np.mean(np.abs(small - large)) < 6
    # 218 x 178 shows the middle of the square one at the same scale, and more above and below.
    square = source.load(names, (178, 178))[0].astype(float)
    tall = source.load(names, (218, 178))[0][:, 20:198].astype(float)
    unlike = np.mean(np.abs(square - square[::-1]))
    assert np.mean(np.abs(square - tall)) < unlike / 6


def test_stamp_changes_with_what_is_drawn_alone() -> None:
    stamp = Synthetic(count=10).stamp(["000001"])
    assert stamp == Synthetic(count=10).stamp(["000002", "000003"])
    assert len({stamp, Synthetic(count=11).stamp([]), Synthetic(count=10, seed=1).stamp([])}) == 3


def test_attributes_show_in_the_pictures_but_in_no_one_pixel() -> None:
    source = Synthetic(count=1600)
    table = source.read()
    pixels, _ = source.load(table.images, (32, 32))
    x = pixels.reshape(1600, -1) / 255.0
    x = x - x[:1200].mean(axis=0)
    kernel = x @ x[:1200].T
    for name, least in (("Male", 0.75), ("Smiling", 0.57), ("Heavy_Makeup", 0.7)):
        y = 2.0 * table.columns([name])[:, 0] - 1
        weights = np.linalg.solve(kernel[:1200] + 30 * np.eye(1200), y[:1200])
        told = (kernel[1200:] @ weights > 0) == (y[1200:] > 0)
        assert told.mean() > least, name
        present, absent = x[y > 0], x[y < 0]
        gap = np.abs(present.mean(axis=0) - absent.mean(axis=0))
        spread = np.sqrt((present.var(axis=0) + absent.var(axis=0)) / 2)
        assert np.max(gap / spread) < 1.7, name  # d' of 1.7 is 80 % right
