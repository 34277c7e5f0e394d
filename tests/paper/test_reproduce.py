"""`reproduce` end to end on drawn faces: one run of everything, and what becomes of its copies."""

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from deepobfuscator import PRESETS, Runner
from deepobfuscator.cli import main
from deepobfuscator.core.records import Record, read_jsonl
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.paper import trade_off
from deepobfuscator.paper.claims import JUDGES, claims
from deepobfuscator.paper.exhibits import BY_NAME_ONLY, ENTRIES
from deepobfuscator.paper.judging import Evidence
from deepobfuscator.paper.keys import ClaimKey, Measured, Name, Part, Set
from deepobfuscator.paper.listing import listing
from deepobfuscator.paper.render.exhibit import Row
from deepobfuscator.paper.reproduce import Reproduction
from deepobfuscator.paper.reproduce import reproduce as run
from deepobfuscator.paper.trials import Trials

SMOKE = ("--preset", "smoke", "--data", "synthetic:520", "--limit", "400")
MADE = [name for name in ENTRIES if name not in BY_NAME_ONLY]
"""What is made where no exhibit is named."""
UNDRAWN = ("table1", "table2")
"""Exhibits of text alone."""

ONE_SET = ("--public", "Smiling", "--private", "Male", "--seed", "1", "--sigma", "0.25")
"""Roles for the first of the six sets, another seed, and no calibration."""


def reproduce(out: Path, *more: object) -> int:
    return main(["reproduce", *map(str, more), *SMOKE, "--out", str(out)])


@pytest.fixture(scope="module", autouse=True)
def one_deviation() -> Iterator[None]:
    """A trade-off of one point, beside the deviation that is calibrated: each is a trial."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trade_off, "CURVE", (0.17,))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All exhibits of one seed; read only."""
    out = tmp_path_factory.mktemp("reproduce") / "whole"
    assert reproduce(out) == 0
    return out


@pytest.fixture(scope="module")
def one_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exhibits of another seed, with one public and one private role; read only."""
    out = tmp_path_factory.mktemp("reproduce") / "one-set"
    assert reproduce(out, "table4", "figure7", *ONE_SET) == 0
    return out


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def lines(out: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / f"{name}.csv").read_text())))


def figures(out: Path, name: str, column: str) -> dict[tuple[str, str], str]:
    """One column of an exhibit, by row and metric."""
    return {(x["row"], x["metric"]): x[column] for x in lines(out, name)}


def stamps(out: Path) -> dict[Path, int]:
    """When what was trained and audited was written."""
    trials = out / "trials"
    found = [*trials.rglob("*.jsonl"), *trials.rglob("*.safetensors"), *trials.rglob("*.npz")]
    found += trials.rglob("*.json")
    return {path.relative_to(out): path.stat().st_mtime_ns for path in found}


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines on standard error, without bars."""
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return [line for line in text.splitlines() if not re.search(r"left [-\d]", line)]


# -- what is written ------------------------------------------------------------------------------


def test_every_exhibit_has_its_files(whole: Path) -> None:
    for name in MADE:
        assert len(lines(whole, name)) >= 3, name
        assert f"\\label{{tab:{name}}}" in (whole / f"{name}.tex").read_text()
        drawing = whole / f"{name}.svg"
        assert drawing.exists() == (name not in UNDRAWN)
        assert name in UNDRAWN or drawing.read_text().rstrip().endswith("</svg>")


def test_the_report_shows_every_exhibit_and_loads_nothing(whole: Path) -> None:
    page = (whole / "report.html").read_text()
    summary = (whole / "summary.md").read_text()
    for number in (1, 2, 3, 4):
        assert f"Table {number}: " in page
    for number in (2, 4, 5, 6, 7):
        assert f"Figure {number}: " in page
    for words in ("Sections 4.3 and 4.5: ", "Section 4.2: ", "Sections 3.3 and 4.4: "):
        assert words in page
        assert words in summary
    wanted = re.findall(r"""(?:src|href|data|action|poster)\s*=\s*["']?([^"'\s>]+)""", page)
    wanted += re.findall(r"""url\(["']?([^"')]+)""", page)
    assert wanted
    assert [w for w in wanted if not w.startswith(("#", "data:"))] == []
    assert not re.search(r"<script|<link|@import|<iframe", page)


def test_a_trial_is_shared_by_the_exhibits_that_need_it(whole: Path) -> None:
    folders = {p.name for p in (whole / "trials").iterdir()}
    # baselines and a longer one, noise and one more deviation, games, sequences, calibration
    assert len(folders) == (3 + 1) + (3 + 1) + 10 + 2 + 1
    both = figures(whole, "figure2", "fresh")["Both at once", "ms_ssim"]
    assert both == figures(whole, "table4", "fresh")["DeepObfuscator", "ms_ssim"]
    assert both == figures(whole, "table3", "fresh")["Mirror", "ms_ssim"]
    beside = {x["row"]: x["ceiling"] for x in lines(whole, "figure2") if x["metric"] == "ms_ssim"}
    assert len(set(beside.values())) == 1, "one baseline is the ceiling of all"


def test_the_noise_of_the_baseline_is_the_calibrated_one(whole: Path) -> None:
    (row,) = {x["row"] for x in lines(whole, "table4") if x["row"].startswith("Noise")}
    sigma = row.removeprefix("Noise, ")
    assert sigma in {x["row"] for x in lines(whole, "noise")}
    assert f"Calibrated: {sigma}." in (whole / "report.html").read_text()


def test_again_trains_nothing_and_writes_the_same(copy: Path, whole: Path) -> None:
    before = stamps(copy)
    for path in copy.glob("*.csv"):
        path.unlink()
    assert reproduce(copy) == 0
    assert stamps(copy) == before
    for name in MADE:
        assert (copy / f"{name}.csv").read_bytes() == (whole / f"{name}.csv").read_bytes(), name


def test_without_faces_nobody_is_shown(copy: Path) -> None:
    assert "data:image" in (copy / "report.html").read_text()
    assert reproduce(copy, "figure4", "--no-faces") == 0
    for path in (copy / "report.html", copy / "figure4.svg"):
        assert not path.exists() or "data:image" not in path.read_text()


def test_the_list_tells_what_is_done(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stamps(copy)
    assert reproduce(copy, "table4", "--list") == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"│ done +│", out)) == 4
    assert "4 of 4 done; left: about 0 s on this machine" in out

    for folder in (copy / "trials").glob("pixel-noise-*"):
        (folder / "records.jsonl").unlink()
    game = next(p for p in (copy / "trials").iterdir() if p.name in out and "deepobf" in p.name)
    shutil.rmtree(game)
    assert reproduce(copy, "table4", "--list") == 0
    out = capsys.readouterr().out
    assert re.search(rf"{game.name} .*│ missing +│ about ", out)
    assert len(re.findall(r"│ trained +│ about ", out)) == 1
    assert "2 of 4 done" in out
    assert not game.exists()
    assert set(stamps(copy).items()) <= set(before.items()), "it only looks"


# -- claims ---------------------------------------------------------------------------------------


class Asked(Evidence):
    """Evidence that remembers what was looked for in vain."""

    vain: ClassVar[list[tuple[object, ...]]] = []

    def find(
        self, exhibit: Name, row: Measured, panel: Set | Part, fits: Callable[[Row], bool]
    ) -> Row | None:
        found = super().find(exhibit, row, panel, fits)
        if found is None:
            self.vain.append((exhibit, row, panel))
        return found


@pytest.fixture(scope="module")
def made(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    """What the finished reproduction holds, as objects."""
    out = Path(shutil.copytree(whole, tmp_path_factory.mktemp("made") / "copy"))
    return run(Runner(torch.device("cpu")), trials_of(out))


def trials_of(out: Path) -> Trials:
    trial = Trial(Synthetic(520), setting=PRESETS["smoke"].config, limit=400)
    return Trials.of(trial, out=out)


def test_every_claim_is_judged_and_every_key_that_one_looks_up_is_there(
    made: Reproduction,
) -> None:
    held = Asked({exhibit.name: exhibit for exhibit in made.exhibits})
    found = claims(made.exhibits)
    for claim in found:
        assert claim.key is not None
        JUDGES[claim.key](held)
    assert held.vain == []
    assert made.claims == (), "a smoke run gives no verdicts"
    # A smoke game gives each loss too few points to tell a rise from wavering.
    assert {claim.key for claim in found} >= set(ClaimKey) - {ClaimKey.LOSSES_RISE}
    game = [c for c in held.curves(Name.FIGURE_6) if c.name == "L_AC"]
    late = [[v for batch, v in c.points if batch > c.game] for c in game]
    short = bool(game) and all(len(values) < 8 for values in late)
    assert (ClaimKey.LOSSES_RISE in {claim.key for claim in found}) != short


def test_other_words_change_no_verdict(made: Reproduction, monkeypatch: pytest.MonkeyPatch) -> None:
    before = claims(made.exhibits)
    for i, key in enumerate((*Measured, *Part)):
        monkeypatch.setattr(key, "_value_", f"other words {i}")
    monkeypatch.setattr(Set, "__str__", lambda of: f"set number {of.name}")
    after = claims(made.exhibits)
    assert [(c.key, c.verdict) for c in after] == [(c.key, c.verdict) for c in before]
    assert [c.measured for c in after] != [c.measured for c in before]


def everything(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.parametrize("broken", [False, True])
def test_the_list_only_reads(copy: Path, broken: bool) -> None:
    """Neither the folder nor the objects change, whatever is missing."""
    if broken:
        (calibrated,) = (copy / "trials").glob("calibration-*")
        (calibrated / "calibration.json").unlink()
        shutil.rmtree(next((copy / "trials").glob("naive-sequence-*")))
    before, trials = everything(copy), trials_of(copy)
    found = listing(Runner(torch.device("cpu")), trials)
    assert everything(copy) == before
    assert trials == trials_of(copy)
    assert trials.sigma is None
    # Without its deviation no noisy trial can be named: one a set of public attributes.
    assert len(found.items) - found.done == (1 + 3 + 1 if broken else 0)


def test_a_list_of_nothing_makes_no_folder(tmp_path: Path) -> None:
    found = listing(Runner(torch.device("cpu")), trials_of(tmp_path / "out"), ["table4"])
    assert (found.done, len(found.items)) == (0, 4)
    assert found.left() > 0
    assert not (tmp_path / "out").exists()


# -- what goes wrong ------------------------------------------------------------------------------


def test_text_needs_no_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce(tmp_path / "out", "table1") == 0
    assert (tmp_path / "out" / "table1.csv").exists()
    assert not (tmp_path / "out" / "table2.csv").exists()
    assert not (tmp_path / "out" / "trials").exists()
    assert said(capsys) == []
    assert reproduce(tmp_path / "out", "table1", "--list") == 0
    assert "0 of 0 done" in capsys.readouterr().out


def test_each_exhibit_tells_its_own_command(tmp_path: Path) -> None:
    out = tmp_path / "table1"
    assert main(["reproduce", "table1,table2", "--out", str(out), *SMOKE]) == 0
    rest = f"--out {out} --preset smoke --data synthetic:520 --limit 400"
    for name in ("table1", "table2"):
        assert f"`deepobfuscator reproduce {name} {rest}`" in (out / "summary.md").read_text()
    assert main(["reproduce", "--no-faces", *SMOKE, "--out", str(out), "table1", "table2"]) == 0
    assert f"reproduce table2 --no-faces {' '.join(SMOKE)}" in (out / "summary.md").read_text()


def test_a_broken_trial_is_named_and_the_others_go_on(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    games = {
        panel: next(
            p.parent
            for p in (copy / "trials").glob("deepobfuscator-*/trial.json")
            if re.sub(r"\s", "", p.read_text()).count(task)
        )
        for panel, task in {
            "(e)": '"public":["High_Cheekbones"],"private":["Male","Heavy_Makeup"]',
            "(f)": '"public":["Smiling","High_Cheekbones"],"private":["Male","Heavy_Makeup"]',
        }.items()
    }
    cut, garbled = games["(e)"] / "bundle" / "O.safetensors", games["(f)"] / "records.jsonl"
    cut.write_bytes(cut.read_bytes()[:-50])
    garbled.write_bytes(garbled.read_bytes()[:-30] + b"\n")
    before = stamps(copy)
    for path in (*copy.glob("*.csv"), copy / "report.html"):
        path.unlink()
    capsys.readouterr()
    assert reproduce(copy) == 2
    told = said(capsys)
    for folder in games.values():
        assert len([x for x in told if x.startswith(f"{folder.name} failed: ")]) == 1
        for name in ("figure6", "figure7"):
            start = f"{name} is not complete: trial {folder.name} failed: "
            assert len([x for x in told if x.startswith(start)]) == 1
    assert stamps(copy) == before, "neither is mended or trained anew unasked"
    for name in MADE:
        assert lines(copy, name), name
    panels = {x["panel"][:3] for x in lines(copy, "figure7") if x["row"] == "DeepObfuscator"}
    assert panels == {"(a)", "(b)", "(c)", "(d)"}
    summary = (copy / "summary.md").read_text()
    for folder in games.values():
        assert f"trial {folder.name} failed: " in summary
    assert reproduce(copy, "table4") == 0, "an exhibit without them is none the worse"


@pytest.mark.parametrize("name", ["tabel4", "figure3", "everything"])
def test_an_unknown_exhibit_gets_one_line_with_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert reproduce(tmp_path / "out", "table1", name) == 2
    (line,) = said(capsys)
    assert f"unknown exhibit '{name}'" in line
    assert all(known in line for known in ENTRIES)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--sigma", "-1"), "--sigma must not be negative"),
        (("--cluster", "local"), "--cluster and --slurm need --jobs N"),
        (("--public", "Smiling,Bald,Bangs"), "at most 2 names"),
        (("--private", "Mail"), "no attribute 'Mail' in this data: did you mean Male"),
    ],
)
def test_wrong_options_of_reproduce_get_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], says: str
) -> None:
    assert reproduce(tmp_path / "out", "table1", *more) == 2
    (line,) = said(capsys)
    assert says in line


def test_data_without_anybody_for_the_first_role_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["image,Grinning,Male"]
    for i in range(8):
        pixels = np.full((8, 8, 3), 20 * i, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{i % 2},{i // 2 % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path.parent / "out"
    assert main(["reproduce", "table1", "--data", f"folder:{tmp_path}", "--out", str(out)]) == 0
    capsys.readouterr()
    arguments = ["reproduce", "table4", "--data", f"folder:{tmp_path}", "--out", str(out / "b")]
    assert main(arguments) == 2
    (line,) = said(capsys)
    assert "no attribute for the role of Smiling in this data: name one with --public" in line
    listed = [*arguments, "--public", "Grinning", "--list"]
    assert main(listed) == 0, "LFW and others spell differently"


# -- one set, another seed ------------------------------------------------------------------------


def test_sets_without_attributes_are_said_to_be_missing(one_set: Path) -> None:
    assert {x["panel"] for x in lines(one_set, "figure7")} == {"(a) {Smiling | Male}"}
    summary = (one_set / "summary.md").read_text()
    for letter in "bcdef":
        assert f"set ({letter}) is left out: the data has no attribute for the role of" in summary
    assert "set (a) is left out" not in summary
    assert not (one_set / "table3.csv").exists(), "nobody asked for it"
    assert "0.25, was named by --sigma" in (one_set / "report.html").read_text()


def test_another_seed_measures_other_figures_beside_the_same_published(
    whole: Path, one_set: Path
) -> None:
    rows = [("DeepObfuscator", metric) for metric in ("ms_ssim", "psnr")]
    rows += [("No adversarial training", metric) for metric in ("ms_ssim", "psnr")]
    for column, alike in (("published", True), ("fresh", False), ("in_game", False)):
        here, there = figures(whole, "table4", column), figures(one_set, "table4", column)
        for row in rows:
            if here[row]:
                assert (here[row] == there[row]) == alike, (column, row)


def test_an_exhibit_adds_attackers_to_a_trial_and_loses_none(one_set: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(one_set, tmp_path / "copy"))
    (game,) = (out / "trials").glob("deepobfuscator-*")
    before, bundle = read_jsonl(game / "records.jsonl"), stamps(out)

    def attackers(records: list[Record]) -> set[str]:
        return {r.attack for r in records if r.subject == "image"}

    assert reproduce(out, "table3", *ONE_SET) == 0
    after = read_jsonl(game / "records.jsonl")
    assert attackers(after) - attackers(before) == {"urec1", "urec2", "resrec"}
    unmoved = [r for r in before if r.attack not in ("maximum", "in-game")]
    assert [r for r in unmoved if r not in after] == []
    assert {x["row"] for x in lines(out, "table3")} == {
        *("AR in training", "Mirror", "URec#1", "URec#2", "ResRec")
    }
    now = stamps(out)
    assert {p for p in bundle if p.match("bundle/*") and now[p] != bundle[p]} == set()

    assert reproduce(out, "table4", *ONE_SET) == 0
    assert stamps(out) == now, "what a larger exhibit did serves a smaller one"

    assert reproduce(out, "table3", *ONE_SET, "--seeds", "2") == 0
    assert {x["seeds"] for x in lines(out, "table3")} == {"2"}
    assert {p: t for p, t in stamps(out).items() if p in now} == now, "the first seed is done"
    one, two = (read_jsonl(p) for p in (out / "trials").glob("deepobfuscator-*/records.jsonl"))
    low, _ = sorted(
        r.low for r in (*one, *two) if (r.attack, r.metric, r.split) == ("urec1", "ms_ssim", "test")
    )
    shown = next(x for x in lines(out, "table3") if x["row"] == "URec#1")
    assert float(shown["low"]) == low, "the lowest end over the seeds"
