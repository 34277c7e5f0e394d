import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepobfuscator.core.config import from_json, key, to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.data.celeba import Celeba
from deepobfuscator.data.folder_csv import Folder
from deepobfuscator.data.lfw import Lfw
from deepobfuscator.data.splits import split
from deepobfuscator.data.table import Source, parse_source

CELEBA20K = Path(__file__).parents[2].parent / "shared" / "celeba20k"


def noise(height: int = 8, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def celeba(folder: Path) -> Path:
    for i in range(4):
        save(folder / "img_align_celeba" / f"00000{i + 1}.jpg", noise(seed=i))
    (folder / "list_attr_celeba.txt").write_text(
        "4\nMale Smiling Young \n"
        "000001.jpg -1  1  1\n000003.jpg  1 -1  1\n000002.jpg -1 -1 -1\n000004.jpg  1  1 -1\n"
    )
    (folder / "identity_CelebA.txt").write_text(
        "000001.jpg 31\n000002.jpg 5\n000003.jpg 31\n000004.jpg 7\n"
    )
    (folder / "list_eval_partition.txt").write_text(
        "000001.jpg 0\n000002.jpg 1\n000003.jpg 0\n000004.jpg 2\n"
    )
    return folder


def lfw(folder: Path) -> Path:
    for name in ("Ann_Lee/Ann_Lee_0001", "Ann_Lee/Ann_Lee_0012", "Bo/Bo_0001", "Cy/Cy_0001"):
        save(folder / "lfw" / f"{name}.jpg", noise())
    (folder / "lfw_attributes.txt").write_text(
        "# a comment\n#\tperson\timagenum\tMale\tNo Eyewear\n"
        "Ann Lee\t1\t-1.5\t0.25\nAnn Lee\t12\t-0.1\t-2e-3\nBo\t1\t3.0\t0.0\n"
    )
    return folder


def folder_csv(folder: Path) -> Path:
    for name in ("a.png", "sub/b.PNG", "c.png"):
        save(folder / name, noise())
    (folder / "labels.csv").write_text(
        'image,identity,Male,split,Smiling\na.png,"Lee, Ann",1,train,0\n'
        "./sub/b.PNG,Bo,0,test,1\nc.png,Bo,0,validation,0\n"
    )
    return folder


def edit(old: str, new: str, file: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return change


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def test_celeba_reads_labels_identities_and_parts(tmp_path: Path) -> None:
    table = Celeba(celeba(tmp_path)).read()
    assert table.images == ("000001.jpg", "000003.jpg", "000002.jpg", "000004.jpg")
    assert table.attributes == ("Male", "Smiling", "Young")
    assert table.values.tolist() == [[0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 0]]
    assert table.values.dtype == np.uint8
    assert table.identity is not None
    assert table.part is not None
    assert table.identity.tolist() == [31, 31, 5, 7]
    assert table.part.tolist() == [0, 0, 1, 2]


def test_celeba_without_the_optional_lists(tmp_path: Path) -> None:
    celeba(tmp_path)
    (tmp_path / "identity_CelebA.txt").unlink()
    (tmp_path / "list_eval_partition.txt").unlink()
    table = Celeba(tmp_path).read()
    assert table.identity is None
    assert table.part is None


def test_lfw_reads_scores_and_people_and_counts_the_unlabelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = Lfw(lfw(tmp_path)).read()
    assert table.images == (
        "Ann_Lee/Ann_Lee_0001.jpg",
        "Ann_Lee/Ann_Lee_0012.jpg",
        "Bo/Bo_0001.jpg",
    )
    assert table.attributes == ("Male", "No_Eyewear")
    assert table.values.tolist() == [[0, 1], [0, 0], [1, 0]]
    assert table.identity is not None
    assert table.identity[0] == table.identity[1] != table.identity[2]
    assert table.part is None
    assert "1 of 4 pictures" in caplog.text


def test_lfw_people_may_lie_beside_the_list(tmp_path: Path) -> None:
    lfw(tmp_path)
    nested = Lfw(tmp_path).read()
    for person in list((tmp_path / "lfw").iterdir()):
        person.rename(tmp_path / person.name)
    (tmp_path / "lfw").rmdir()
    beside = Lfw(tmp_path)
    assert beside.read().fingerprint() == nested.fingerprint()
    assert beside.load(nested.images, (8, 8))[1] == {}


def test_folder_reads_labels_identities_and_split(tmp_path: Path) -> None:
    table = Folder(folder_csv(tmp_path)).read()
    assert table.images == ("a.png", "sub/b.PNG", "c.png")
    assert table.attributes == ("Male", "Smiling")
    assert table.values.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert table.identity is not None
    assert table.part is not None
    assert table.identity[0] != table.identity[1] == table.identity[2]
    assert table.part.tolist() == [0, 2, 1]


def test_folder_reads_what_a_spreadsheet_saves(tmp_path: Path) -> None:
    save(tmp_path / "é.png", noise())
    (tmp_path / "labels.csv").write_bytes("\ufeffimage, Male\r\né.png, 1\r\n\r\n".encode())
    table = Folder(tmp_path).read()
    assert (table.images, table.attributes, table.values.tolist()) == (("é.png",), ("Male",), [[1]])
    assert table.identity is None
    assert table.part is None


def test_hidden_and_foreign_files_are_no_pictures(tmp_path: Path) -> None:
    folder_csv(tmp_path)
    (tmp_path / "._a.png").write_bytes(b"\0")
    (tmp_path / "notes.md").write_text("mine")
    assert len(Folder(tmp_path).read()) == 3


ATTR, PART, PEOPLE = "list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"
MORE = "img_align_celeba/000009.jpg"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: f.rename(f.with_name("gone")), r"img_align_celeba: No such file"),
        (remove(ATTR), r"list_attr_celeba\.txt: No such file"),
        (lambda f: (f / ATTR).write_text(" \n"), r"list_attr_celeba\.txt is empty"),
        (lambda f: (f / ATTR).write_bytes(b"1\nM\xe9\n"), r"byte 3 is not UTF-8"),
        (edit("4\nM", "M", ATTR), r"its first line is 'Male Smiling Young '"),
        (edit("4\n", "5\n", ATTR), r"line 1: announces 5 pictures, but 4 rows follow"),
        (edit("Young", "Male", ATTR), r"line 2: 2 columns are named 'Male'"),
        (edit(" -1 -1 -1", " -1 -1", ATTR), r"line 5: 2 labels for '000002\.jpg', .* 3 attrib"),
        (edit(" 1 -1  1", " 1  0  1", ATTR), r"line 5: Smiling is -1 here and 0 elsewhere; "),
        (edit("3.jpg", "1.jpg", ATTR), r"2 rows for '000001\.jpg'"),
        (remove("img_align_celeba/000003.jpg"), r"1 of 4 rows name no picture .*'000003\.jpg'"),
        (lambda f: save(f / MORE, noise()), r"1 of 5 pictures .* no row, .*'000009\.jpg'"),
        (edit("000002.jpg 1\n", "", PART), r"partition\.txt: 1 of 4 pictures .*'000002\.jpg'"),
        (edit("4.jpg 2", "4.jpg 3", PART), r"line 4: '000004\.jpg 3' .* a number up to 2"),
        (edit("jpg 5", "jpg five", PEOPLE), r"line 2: '000002\.jpg five' is not a name and a num"),
        (edit("4.jpg 7", "5.jpg 7", PEOPLE), r"identity_CelebA\.txt: 1 of 4 .*'000004\.jpg'"),
    ],
)
def test_celeba_mistakes(tmp_path: Path, harm: Callable[[Path], object], message: str) -> None:
    check_mistake(Celeba(celeba(tmp_path / "data")), harm, message)


LFW = "lfw_attributes.txt"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: f.rename(f.with_name("gone")), r"data.*: No such file"),
        (remove(LFW), r"lfw_attributes\.txt: No such file"),
        (edit("# a comment\n", "", LFW), r"line 2: expected '#', 'person'.*found 'Ann Lee"),
        (lambda f: (f / LFW).write_text("# only\n"), r"line 2: expected '#'"),
        (edit("No Eyewear", "Male", LFW), r"line 2: 2 columns are named 'Male'"),
        (edit("\t3.0\t0.0", "\t3.0", LFW), r"line 5: 3 columns for 'Bo', .* names 4"),
        (edit("-1.5", "often", LFW), r"line 3: .*'often'"),
        (edit("-1.5", "nan", LFW), r"line 3: a score of 'Ann Lee' is not finite"),
        (edit("Lee\t12", "Lee\t1", LFW), r"2 rows for 'Ann_Lee/Ann_Lee_0001\.jpg'"),
        (edit("Bo\t1", "Bo\t2", LFW), r"1 of 3 rows name no picture .*'Bo/Bo_0002\.jpg'"),
    ],
)
def test_lfw_mistakes(tmp_path: Path, harm: Callable[[Path], object], message: str) -> None:
    check_mistake(Lfw(lfw(tmp_path / "data")), harm, message)


CSV = "labels.csv"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: f.rename(f.with_name("gone")), r"data.*: No such file"),
        (remove(CSV), r"no labels\.csv, metadata\.csv, .* in .*data$"),
        (lambda f: (f / CSV).rename(f / "x.txt"), r"is it x\.txt\? Then name it labels\.csv"),
        (lambda f: (f / CSV).write_text(""), r"labels\.csv is empty"),
        (lambda f: (f / CSV).write_bytes(b"image,M\xe9\n"), r"byte 7 is not UTF-8"),
        (lambda f: (f / CSV).write_text("image,split\na.png,train\n"), r"no column of labels"),
        (lambda f: (f / CSV).write_text("who;M\na.png;1\n"), r"a column 'image'.*'who;M'"),
        (edit("Smiling", "Male", CSV), r"line 1: 2 columns are named 'Male'"),
        (edit("0,test,1", "0,test", CSV), r"line 3: 4 columns, but the header has 5"),
        (edit("0,test,1", "0,test,-1", CSV), r"line 3: Smiling is -1 here and 0 elsewhere"),
        (edit("0,test,1", "0,test,maybe", CSV), r"line 3: Smiling is 'maybe'; a label is 1 or 0"),
        (edit("0,test,1", "0,tset,1", CSV), r"line 3: split is 'tset'; .*train, validation, test"),
        (edit("c.png,Bo", "c.png,", CSV), r"line 4: no identity"),
        (edit("c.png", "../c.png", CSV), r"line 4: '\.\./c\.png' leaves the folder"),
        (edit("c.png", "/c.png", CSV), r"line 4: '/c\.png' leaves the folder"),
        (edit("c.png", "a.png", CSV), r"2 rows for 'a\.png'"),
        (edit("c.png", '"c"x', CSV), r"line 4: "),
        (remove("sub/b.PNG"), r"1 of 3 rows name no picture in .*'sub/b\.PNG'"),
        (lambda f: save(f / "sub/x.png", noise()), r"1 of 4 pictures .* no row, .*'sub/x\.png'"),
    ],
)
def test_folder_mistakes(tmp_path: Path, harm: Callable[[Path], object], message: str) -> None:
    check_mistake(Folder(folder_csv(tmp_path / "data")), harm, message)


def check_mistake(
    source: Celeba | Lfw | Folder, harm: Callable[[Path], object], message: str
) -> None:
    needed = [name for name in ("Male", "Smiling") if name in source.read().attributes]
    harm(source.path)
    with pytest.raises(InputError, match=message) as caught:
        source.read().usable(needed, skip_bad=False)
    assert "\n" not in str(caught.value)
    assert str(source.path) in str(caught.value)


@pytest.mark.parametrize("kind", ["celeba", "lfw", "folder"])
def test_parse(kind: str) -> None:
    source = parse_source(f"{kind}:/some:where/x")
    assert (source.name, to_json(source)["path"]) == (kind, "/some:where/x")
    assert from_json(Source, json.loads(json.dumps(to_json(source)))) == source
    assert key(source) == key(parse_source(f"{kind}:/elsewhere")), "a path must not name a run"
    for nothing in (kind, f"{kind}:"):
        with pytest.raises(InputError, match=f"{kind}:PATH"):
            parse_source(nothing)


@pytest.mark.parametrize("over", [(0, 0), (2, 2), (1, 3), (4, 4), (0, 4)])
def test_a_slightly_larger_picture_is_cropped_not_resampled(
    tmp_path: Path, over: tuple[int, int]
) -> None:
    pixels = noise(20 + over[0], 16 + over[1])
    save(tmp_path / "a.png", pixels)
    (loaded,), bad = Folder(tmp_path).load(["a.png"], (20, 16))
    top, left = over[0] // 2, over[1] // 2
    assert bad == {}
    assert (loaded == pixels[top : top + 20, left : left + 16]).all()


@pytest.mark.parametrize(
    ("shape", "crop"),
    [
        ((120, 90), np.s_[15:105, :]),
        ((90, 150), np.s_[:, 30:120]),
        ((45, 45), np.s_[:, :]),
        ((30, 20), np.s_[5:25, :]),
    ],
)
def test_any_other_is_cropped_to_the_aspect_and_resampled_with_antialiasing(
    tmp_path: Path, shape: tuple[int, int], crop: tuple[slice, slice]
) -> None:
    pixels = 64 + noise(*shape) // 2  # The filter overshoots: keep away from the ends of the range.
    save(tmp_path / "a.png", pixels)
    (loaded,), _ = Folder(tmp_path).load(["a.png"], (40, 40))
    inner = torch.from_numpy(pixels[crop]).permute(2, 0, 1)[None].double()
    wanted = torch.nn.functional.interpolate(inner, (40, 40), mode="bicubic", antialias=True)
    expected = wanted[0].permute(1, 2, 0).clamp(0, 255).numpy()
    middle = np.s_[5:-5, 5:-5]  # At the seam of a crop the filter may look beyond it.
    assert np.abs(loaded[middle] - expected[middle]).max() <= 1.5


@pytest.mark.parametrize("shape", [(7, 13), (1, 1), (101, 7), (33, 997)])
def test_odd_shapes_fill_the_frame(tmp_path: Path, shape: tuple[int, int]) -> None:
    save(tmp_path / "a.png", np.full((*shape, 3), (10, 200, 90), dtype=np.uint8))
    loaded, bad = Folder(tmp_path).load(["a.png"], (23, 11))
    assert bad == {}
    assert (loaded == (10, 200, 90)).all()


def test_every_kind_of_picture_comes_upright_in_rgb(tmp_path: Path) -> None:
    pixels = noise(8, 8)
    colour = Image.fromarray(pixels)
    grey = colour.convert("L")
    colour.convert("RGBA").save(tmp_path / "rgba.png")
    grey.save(tmp_path / "grey.png")
    grey.convert("LA").save(tmp_path / "grey_alpha.png")
    colour.quantize(256).save(tmp_path / "palette.gif")
    colour.convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 256 + 90).save(tmp_path / "grey16.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was held so that the picture must be turned clockwise.
    colour.save(tmp_path / "turned.png", exif=exif)

    names = sorted(p.name for p in tmp_path.iterdir())
    loaded, bad = Folder(tmp_path).load(names, (8, 8))
    assert bad == {}
    got = dict(zip(names, loaded, strict=True))
    greys = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    assert (got["rgba.png"] == pixels).all()
    for name in ("grey.png", "grey_alpha.png", "grey16.png"):
        assert (got[name] == greys).all(), name
    assert (got["cmyk.tif"] == pixels).all()
    assert (got["palette.gif"] == np.asarray(colour.quantize(256).convert("RGB"))).all()
    assert (got["turned.png"] == np.rot90(pixels, -1)).all()


def test_bad_files_are_told_and_leave_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for name in ("good.png", "last.png", "cut.jpg", "cut.png"):
        save(tmp_path / name, noise(24, 24))
    for name in ("cut.jpg", "cut.png"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-300])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture")
    save(tmp_path / "big.png", noise(40, 30))
    save(tmp_path / "bomb.png", noise(60, 60))
    Image.new("F", (24, 24), 0.5).save(tmp_path / "float.tif")
    names = ["empty.jpg", "good.png", "text.jpg", "cut.jpg", "gone.jpg", "cut.png"]
    names += ["big.png", "bomb.png", "float.tif", "last.png"]
    with warnings.catch_warnings(record=True) as caught:
        loaded, bad = Folder(tmp_path).load(names, (24, 24))
    assert list(bad) == [n for n in names if n not in ("good.png", "last.png")]
    assert bad["empty.jpg"] == bad["text.jpg"] == "not an image"
    assert "truncated" in bad["cut.jpg"]
    assert "No such file" in bad["gone.jpg"]
    assert bad["big.png"] == bad["bomb.png"] == "too many pixels"
    assert all(reason and "\n" not in reason and len(reason) < 80 for reason in bad.values())
    for name, picture in zip(names, loaded, strict=True):
        assert (picture == (0 if name in bad else noise(24, 24))).all(), name
    assert not caught
    assert capfd.readouterr() == ("", "")


def test_stamp_changes_with_the_files(tmp_path: Path) -> None:
    celeba(tmp_path)
    source, names = Celeba(tmp_path), ["000001.jpg", "000002.jpg"]
    picture = tmp_path / "img_align_celeba" / "000002.jpg"
    before = source.stamp(names)
    assert source.stamp(names) == before
    os.utime(tmp_path / "img_align_celeba" / "000003.jpg", ns=(1, 1))
    assert source.stamp(names) == before, "a picture not asked for"
    stat = picture.stat()
    stamps = {before, source.stamp(names[:1])}
    os.utime(picture, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    stamps.add(source.stamp(names))
    picture.write_bytes(picture.read_bytes() + b"\0")
    os.utime(picture, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    stamps.add(source.stamp(names))
    picture.unlink()
    stamps.add(source.stamp(names))
    assert len(stamps) == 5


@pytest.mark.skipif(not CELEBA20K.is_dir(), reason=f"no CelebA subset in {CELEBA20K}")
def test_real_celeba() -> None:
    source = Celeba(CELEBA20K)
    table = source.read()
    people = table.people()
    assert len(table) == 20_000
    assert np.unique(people, return_counts=True)[1].tolist() == [5] * 4_000
    assert table.part is not None
    assert np.bincount(table.part).tolist() == [16_000, 1_000, 3_000]
    assert table.columns(["Male"])[table.part == 0].mean() == pytest.approx(0.44, abs=0.02)

    for limit, sizes in ((None, (8_000, 8_000, 1_000, 3_000)), (4_000, (2_000, 2_000, 250, 3_000))):
        splits = split(table, limit, seed=1)
        parts = (splits.defender, splits.attacker, splits.validation, splits.test)
        assert tuple(map(len, parts)) == sizes
        assert len({p for part in parts for p in set(people[part])}) == sum(sizes) // 5
        assert sum(len(set(people[part])) for part in parts) == sum(sizes) // 5

    names = table.images[:16]
    small, bad = source.load(names, (64, 64))
    assert bad == {}
    large, bad = source.load(names, (216, 176))
    assert bad == {}
    for i, name in enumerate(names):
        with Image.open(CELEBA20K / "img_align_celeba" / name) as file:
            assert (large[i] == np.asarray(file)[1:217, 1:177]).all()
            rough = file.resize((64, 64), Image.Resampling.BOX, box=(0, 20, 178, 198))
        assert np.abs(small[i] - np.asarray(rough, dtype=float)).mean() < 6
