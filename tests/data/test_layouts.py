"""Pictures where they really lie: formats, links, and the layouts that data sets come in."""

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from deepobfuscator.core.errors import InputError
from deepobfuscator.data import batches
from deepobfuscator.data.celeba import Celeba
from deepobfuscator.data.dataset import Data
from deepobfuscator.data.folder_csv import Folder
from deepobfuscator.data.lfw import Lfw
from deepobfuscator.data.table import TEST, TRAIN, VALIDATION, AttributeTable

SIZE = (8, 8)


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def put(path: Path, seed: int = 0, form: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed)).save(path, form)


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def in_order(source: Folder | Celeba | Lfw) -> AttributeTable:
    """The table, whose pictures are all there, in the order of their seeds."""
    table = source.read().usable((), skip_bad=False)
    loaded, bad = source.load(table.images, SIZE)
    assert bad == {}
    for seed, picture in enumerate(loaded):
        assert (picture == pixels(seed)).all()
    return table


@pytest.mark.parametrize("name", ["a.jfif", "a.ppm", "a.TIF", "a.jp2", "a.tga", "a.avif", "a.data"])
def test_every_format_is_found_and_read(tmp_path: Path, name: str) -> None:
    if name == "a.avif" and not features.check("avif"):
        name = "a.webp"
    form = {".jfif": "JPEG", ".data": "PNG"}.get(PurePosixPath(name).suffix)
    put(tmp_path / name, form=form)
    write(tmp_path / "labels.csv", "image,A", f"{name},1")
    table = Folder(tmp_path).read().usable(["A"], skip_bad=False)
    assert table.images == (name,)
    assert Folder(tmp_path).load([name], SIZE)[1] == {}
    write(tmp_path / "labels.csv", "image,A", "b.png,1")
    put(tmp_path / "b.png")
    assert ("1 of 2 pictures" in Folder(tmp_path).read().amiss) == (name != "a.data")


def test_sixteen_bits_are_scaled_and_heic_is_named(tmp_path: Path) -> None:
    grey = (pixels(0)[..., 0].astype(int) * 256 + 77).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 8 8 65535\n" + grey.tobytes())
    (tmp_path / "b.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (loaded, _), bad = Folder(tmp_path).load(["a.pgm", "b.heic"], SIZE)
    assert (loaded == pixels(0)[..., :1]).all()
    assert bad == {"b.heic": "HEIC is not read: save it as JPEG or PNG"}


def test_links_are_followed_wherever_they_lead(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for seed in range(2):
        put(elsewhere / f"{seed}.png", seed)
    put(data / "real" / "2.png", 2)
    (data / "link").symlink_to(elsewhere)
    (data / "again").symlink_to(data / "real")
    (elsewhere / "back").symlink_to(data)
    (data / "3.png").symlink_to(elsewhere / "0.png")
    rows = ["link/0.png,1", "link/1.png,0", "again/2.png,1", "3.png,1"]
    write(data / "labels.csv", "image,A", *rows)
    table = Folder(data).read().usable(["A"], skip_bad=False)
    assert table.images == ("link/0.png", "link/1.png", "real/2.png", "3.png")
    loaded, bad = Folder(data).load(table.images, SIZE)
    assert bad == {}
    assert (loaded == np.stack([pixels(i) for i in (0, 1, 2, 0)])).all()


NAMES = [f"{i:06d}" for i in range(1, 5)]
LABELS = [[0, 1], [1, 0], [0, 0], [1, 1]]
PARTS = (0, 0, 1, 2)


def txt(folder: Path) -> None:
    rows = (
        f"{n}.jpg {' '.join(f'{2 * x - 1:2d}' for x in row)}"
        for n, row in zip(NAMES, LABELS, strict=True)
    )
    write(folder / "list_attr_celeba.txt", "4", "Male Smiling", *rows)


def kaggle(folder: Path) -> None:
    for seed, name in enumerate(NAMES):
        put(folder / "img_align_celeba" / "img_align_celeba" / f"{name}.jpg", seed, "PNG")
    rows = [f"{n}.jpg,{2 * a - 1},{2 * b - 1}" for n, (a, b) in zip(NAMES, LABELS, strict=True)]
    write(folder / "list_attr_celeba.csv", "image_id,Male,Smiling", *rows)
    parts = [f"{n}.jpg,{p}" for n, p in zip(NAMES, PARTS, strict=True)]
    write(folder / "list_eval_partition.csv", "image_id,partition", *parts)


def drive(folder: Path) -> None:
    for seed, name in enumerate(NAMES):
        put(
            folder / "Img" / "img_align_celeba_png.7z" / "img_align_celeba_png" / f"{name}.png",
            seed,
        )
    txt(folder / "Anno")
    parts = [f"{n}.jpg {p}" for n, p in zip(NAMES, PARTS, strict=True)]
    write(folder / "Eval" / "list_eval_partition.txt", *parts)
    write(folder / "Anno" / "identity_CelebA.txt", *(f"{n}.jpg {i}" for i, n in enumerate(NAMES)))


def beside(folder: Path) -> None:
    for seed, name in enumerate(NAMES):
        put(folder / "img_align_celeba" / f"{name}.jpg", seed, "PNG")
    txt(folder)
    parts = [f'"{n}.jpg";{p}' for n, p in zip(NAMES, PARTS, strict=True)]
    write(folder / "list_eval_partition.csv", *parts)


@pytest.mark.parametrize("layout", [kaggle, drive, beside])
def test_celeba_as_it_is_packed(tmp_path: Path, layout: Callable[[Path], None]) -> None:
    layout(tmp_path)
    table = in_order(Celeba(tmp_path))
    assert table.attributes == ("Male", "Smiling")
    assert table.values.tolist() == LABELS
    assert table.part is not None
    assert table.part.tolist() == [TRAIN, TRAIN, VALIDATION, TEST]
    assert (table.identity is not None) == (layout is drive)


def test_celeba_that_is_still_packed(tmp_path: Path) -> None:
    txt(tmp_path)
    (tmp_path / "img_align_celeba.zip").write_bytes(b"")
    with pytest.raises(InputError, match=r"no folder img_align_celeba in .*: unpack img_.*\.zip"):
        Celeba(tmp_path).read()


@pytest.mark.parametrize(
    "inner", ["lfw", "lfw_funneled", "lfw-deepfunneled/lfw-deepfunneled", "lfw-deepfunneled", "."]
)
def test_lfw_as_it_is_unpacked(tmp_path: Path, inner: str) -> None:
    for seed, name in enumerate(("Ann_Lee/Ann_Lee_0001", "Bo/Bo_0001")):
        put(tmp_path / inner / f"{name}.jpg", seed, "PNG")
    rows = ("Ann Lee\t1\t-1.5", "Bo\t1\t3.0")
    write(tmp_path / "lfw_attributes.txt", "#", "#\tperson\timagenum\tMale", *rows)
    assert in_order(Lfw(tmp_path)).values.tolist() == [[0], [1]]


def bytes_of(seed: int) -> bytes:
    Image.fromarray(pixels(seed)).save(kept := io.BytesIO(), "PNG")
    return kept.getvalue()


def metadata_csv(folder: Path) -> None:
    for seed in range(4):
        put(folder / f"{seed}.png", seed)
    write(
        folder / "metadata.csv",
        "file_name,A,text,split",
        *(f'{i}.png,{i % 2},"a, b",{p}' for i, p in enumerate(("train", "train", "val", "test"))),
    )


def metadata_in_parts(folder: Path) -> None:
    for part, seeds in {"test": (0,), "train": (1, 2), "validation": (3,)}.items():
        for seed in seeds:
            put(folder / part / f"{seed}.png", seed)
        rows = (json.dumps({"file_name": f"{i}.png", "A": bool(i % 2)}) for i in seeds)
        write(folder / part / "metadata.jsonl", *rows)


def metadata_above_parts(folder: Path) -> None:
    names = [f"{part}/{seed}.png" for seed, part in enumerate(("train", "train", "valid", "test"))]
    for seed, name in enumerate(names):
        put(folder / name, seed)
    rows = [f"{name},{seed % 2}" for seed, name in enumerate(names)]
    write(folder / "metadata.csv", "file_name,A", *rows)


def parquet(folder: Path) -> None:
    seeds = {"test-00000-of-00001": (0,), "train-00000-of-00001": (1, 2), "validation-0": (3,)}
    for name, rows in seeds.items():
        columns = {
            "image": [{"bytes": bytes_of(i), "path": f"{i}.png"} for i in rows],
            "A": [i % 2 for i in rows],
            "age": [20.5] * len(rows),
        }
        (folder / "data").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), folder / "data" / f"{name}.parquet", row_group_size=1)


@pytest.mark.parametrize("layout", [metadata_csv, metadata_in_parts, metadata_above_parts, parquet])
def test_folders_as_hugging_face_has_them(tmp_path: Path, layout: Callable[[Path], None]) -> None:
    layout(tmp_path)
    table = in_order(Folder(tmp_path))
    assert table.attributes == ("A",)
    assert table.values[:, 0].tolist() == [0, 1, 0, 1]
    assert table.part is not None
    assert np.bincount(table.part).tolist() == [2, 1, 1]


def test_a_parquet_file_that_changed_is_decoded_anew(tmp_path: Path) -> None:
    parquet(tmp_path)
    source = Folder(tmp_path)
    images = source.read().images
    before = source.stamp(images)
    assert source.stamp(images) == before
    os.utime(tmp_path / "data" / "train-00000-of-00001.parquet", ns=(1, 1))
    assert source.stamp(images) != before


def test_a_parquet_file_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"cannot read .*a\.parquet: ") as caught:
        Folder(tmp_path).read()
    assert "\n" not in str(caught.value)


def test_without_a_test_part_the_validation_part_is_it(tmp_path: Path) -> None:
    metadata_in_parts(tmp_path)
    shutil.rmtree(tmp_path / "test")
    table = Folder(tmp_path).read()
    assert table.part is not None
    assert table.part.tolist() == [TRAIN, TRAIN, TEST]


def test_missing_and_unlabelled_pictures_are_refused_or_left_out_and_counted(
    tmp_path: Path,
) -> None:
    rows = ["image,A,B"]
    for seed in range(300):
        put(tmp_path / f"{seed}.png", seed)
        rows.append(f"{seed}.png,{seed % 2},{seed // 2 % 2 if seed else ''}")
    write(tmp_path / "labels.csv", *rows)
    put(tmp_path / "more.png", 999)
    (tmp_path / "7.png").unlink()
    (tmp_path / "8.png").write_bytes(b"")
    data = Data.folder(tmp_path, public="A", private="B")
    said = (
        r"1 of 300 rows name no picture in .*'7\.png'; .*1 of 300 pictures .*'more\.png'; 1 of 299 "
        r"pictures have an empty label, the first '0\.png' \(B\): .*--skip-bad$"
    )
    with pytest.raises(InputError, match=said):
        batches.load(data, SIZE)
    parts = batches.load(Data.folder(tmp_path, public="A", private="B", skip_bad=True), SIZE)
    assert parts.summary["skipped"] == 4
    assert sum(parts.summary["pictures"].values()) == 297


# -- whatever tree there is -----------------------------------------------------------------------

STEMS = st.text(st.sampled_from("abçÉ1. _-"), min_size=1, max_size=4).filter(
    lambda s: s.strip(". ") == s
)
FOLDERS = st.sampled_from(("", "x/", "x/y/", "Z/"))
ENDINGS = st.sampled_from((".png", ".PNG", ".bmp", ".jfif"))
TREES = st.dictionaries(st.tuples(FOLDERS, STEMS), ENDINGS, min_size=1, max_size=6)


@given(tree=TREES, missing=st.integers(0, 2), data=st.data())
def test_every_row_gets_its_own_picture_or_is_counted(
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[tuple[str, str], str],
    missing: int,
    data: st.DataObject,
) -> None:
    root = tmp_path_factory.mktemp("tree")
    files = [f"{folder}{stem}{ending}" for (folder, stem), ending in tree.items()]
    unlabelled = data.draw(st.sets(st.sampled_from(files), max_size=2))
    seed_of = {name: seed for seed, name in enumerate(files)}
    for name, seed in seed_of.items():
        put(root / name, seed, "PNG")
    rows = [name for name in files if name not in unlabelled]
    gone = [f"gone{i}.png" for i in range(missing)]
    write(root / "labels.csv", "image,A", *(f'"{name}",{seed_of[name] % 2}' for name in rows))
    with open(root / "labels.csv", "a") as out:
        out.writelines(f"{name},1\n" for name in gone)
    source = Folder(root)
    if gone and not rows:
        with pytest.raises(InputError, match=r"labels\.csv"):
            source.read()
        return
    table = source.read()
    assert list(table.images) == rows
    assert table.values[:, 0].tolist() == [seed_of[name] % 2 for name in rows]
    assert table.left_out == len(unlabelled) + missing
    assert bool(table.amiss) == bool(table.left_out)
    loaded, bad = source.load(table.images, SIZE)
    assert bad == {}
    for name, picture in zip(table.images, loaded, strict=True):
        assert (picture == pixels(seed_of[name])).all()


@pytest.mark.parametrize(
    ("rows", "files"),
    [
        (["a.jpg", "b.jpg"], ["a.png", "b.png"]),
        (["a", "b"], ["a.png", "b.png"]),
        (["sub\\a.png"], ["sub/a.png"]),
        (["A.PNG"], ["a.png"]),
        (["e\u0301.png"], ["\u00e9.png"]),
        (["a.png", "b.png"], ["images/a.png", "images/b.png"]),
        (["images/a.png", "images/b.png"], ["a.png", "b.png"]),
    ],
)
def test_another_spelling_of_a_name(tmp_path: Path, rows: list[str], files: list[str]) -> None:
    for seed, name in enumerate(files):
        put(tmp_path / name, seed)
    write(tmp_path / "labels.csv", "image,A", *(f"{name},{i % 2}" for i, name in enumerate(rows)))
    assert in_order(Folder(tmp_path)).images == tuple(files)


def test_a_name_that_could_be_two_files_is_not_guessed(tmp_path: Path) -> None:
    for name in ("images/a.png", "masks/a.png", "images/b.png"):
        put(tmp_path / name)
    write(tmp_path / "labels.csv", "image,A", "a.png,1", "b.png,0")
    with pytest.raises(InputError, match="2 of 2 rows name no picture"):
        Folder(tmp_path).read()
