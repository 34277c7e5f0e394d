"""The front door: from objects to trained runs, audits and comparisons."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from torch import nn

import deepobfuscator as do
from deepobfuscator.cli import main

SMOKE = do.PRESETS["smoke"].config
SHORT = replace(SMOKE, infer_epochs=1, reconstruct_epochs=1)


@pytest.fixture(scope="module")
def data() -> do.Data:
    return do.Data.synthetic(600, limit=400)


@pytest.fixture(scope="module")
def run(data: do.Data, tmp_path_factory: pytest.TempPathFactory) -> do.Run:
    return do.train(do.Undefended(), data, config=SMOKE, out=tmp_path_factory.mktemp("api") / "run")


@pytest.fixture(scope="module")
def report(run: do.Run) -> do.AuditReport:
    return do.audit(run, suite=do.BRIEF)


def test_import_costs_nothing() -> None:
    code = "import sys, deepobfuscator as do; do.InputError; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_every_public_name_is_there() -> None:
    assert len(do.__all__) == len(set(do.__all__))
    for name in do.__all__:
        assert getattr(do, name) is not None
    with pytest.raises(AttributeError):
        do.nothing_of_this_name  # noqa: B018


def test_a_run_encodes_pictures(run: do.Run) -> None:
    features = run.encoder(torch.rand(3, 3, 32, 32))
    assert features.shape == (3, *run.bundle.card["features"])
    assert run.classifier(features).shape == (3, 1)
    assert not run.encoder.training
    assert "undefended" in repr(run)


def test_a_run_is_found_again(run: do.Run, data: do.Data) -> None:
    before = (run.folder / "bundle" / "SHA256SUMS").read_bytes()
    again = do.train(do.Undefended(), data, config=SMOKE, out=run.folder)
    assert (run.folder / "bundle" / "SHA256SUMS").read_bytes() == before
    assert again == do.load(run.folder) == run


def test_the_command_line_does_the_same(run: do.Run, tmp_path: Path) -> None:
    words = "train --data synthetic:600 --preset smoke --limit 400 --defence undefended --out"
    assert main([*words.split(), str(tmp_path / "cli")]) == 0
    for name in ("O.safetensors", "C.safetensors"):
        one, other = (folder / "bundle" / name for folder in (run.folder, tmp_path / "cli"))
        assert one.read_bytes() == other.read_bytes()
    one, other = (
        json.loads((f / "trial.json").read_text()) for f in (run.folder, tmp_path / "cli")
    )
    assert one == other


def test_a_report_has_figures(report: do.AuditReport, run: do.Run, tmp_path: Path) -> None:
    male = report["Male"]
    assert male.excess is not None
    assert male.excess.low <= male.excess.value <= male.excess.high
    assert report.folder == run.folder
    assert "Male" in repr(report)
    assert "Male" in report._repr_html_()
    report.save(tmp_path / "page.html")
    assert "Male" in (tmp_path / "page.html").read_text()
    with pytest.raises(do.InputError, match="Age"):
        report["Age"]
    with pytest.raises(FrozenInstanceError):
        report.folder = tmp_path  # type: ignore[misc]


def test_a_report_becomes_a_frame(report: do.AuditReport) -> None:
    pandas = pytest.importorskip("pandas")
    frame = report.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == len((report.folder / "records.jsonl").read_text().splitlines())


def arrays(count: int = 500) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    table = do.Data.synthetic(count).source.read()
    images, _ = do.Data.synthetic(count).source.load(table.images, (40, 36))
    return images, dict(zip(table.attributes, table.values.T, strict=True)), table.identity


def test_ones_own_arrays(tmp_path: Path) -> None:
    images, labels, people = arrays()
    data = do.Data.from_arrays(
        images, labels, people=people, public="Smiling", private=["Male"], size=(32, 32), limit=300
    )
    run = do.train(do.NarrowCode(bits=4), data, config=SMOKE, out=tmp_path / "run")
    assert run.encoder(torch.rand(2, 3, 32, 32)).shape == (2, 4)
    assert do.audit(run, suite=do.BRIEF)["Male"].headline is not None
    assert do.load(run.folder).trial.source == data.source, "the run knows its arrays"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"images": np.zeros((500, 3, 40, 36), np.float32)}, "give uint8"),
        ({"labels": {"Smiling": np.zeros(3), "Male": np.zeros(500)}}, "500 images"),
        (
            {"labels": {"Smiling": np.full(500, 2), "Male": np.zeros(500)}},
            "'Smiling' is the same on",
        ),
        (
            {"labels": {"Smiling": np.full(500, np.nan), "Male": np.zeros(500)}},
            "empty in every row",
        ),
        ({"people": [1, 2]}, "people"),
        ({"split": ["train", "tset"]}, "tset"),
        ({"public": "Smile"}, "Smiling"),
    ],
)
def test_bad_arrays_are_said(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    images, labels, people = arrays()
    given: dict[str, Any] = {
        "images": images,
        "labels": labels,
        "people": people,
        "public": "Smiling",
        "private": "Male",
    } | changed
    with pytest.raises(do.InputError, match=said):
        do.train(do.Undefended(), do.Data.from_arrays(**given), config=SMOKE, out=tmp_path / "r")


class Halved(nn.Module):
    """An encoder of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 4, stride=4)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.layer(pictures)


def test_encoders_made_elsewhere(tmp_path: Path) -> None:
    data = do.Data.synthetic(400, limit=300, size=(32, 32))
    torch.manual_seed(0)
    module = Halved().train()
    audit = {"suite": do.BRIEF, "config": SHORT}
    of_module = do.audit(module, data, out=tmp_path / "module", **audit)
    assert module.training, "the module stays as its owner left it"
    assert of_module["Male"].excess is not None
    weights = np.random.default_rng(0).normal(size=(3 * 32 * 32, 8)).astype(np.float32)

    def project(pictures: torch.Tensor) -> np.ndarray:
        return pictures.flatten(1).numpy() @ weights

    of_function = do.audit(project, data, out=tmp_path / "function", **audit)
    assert of_function["Male"].headline is not None
    again = do.audit(project, data, out=tmp_path / "function", **audit)
    assert again["Male"] == of_function["Male"]
    weights += 1
    with pytest.raises(do.InputError, match="another trial"):
        do.audit(project, data, out=tmp_path / "function", **audit)
    with pytest.raises(do.InputError, match="give data"):
        do.audit(module)


def test_compare_takes_hyperparameters(tmp_path: Path) -> None:
    data = do.Data.synthetic(400, limit=300)
    report = do.compare(
        [do.NarrowCode(bits=3), do.NarrowCode(bits=4), do.NarrowCode()],
        data,
        seeds=1,
        suite=do.BRIEF,
        config=SMOKE,
        out=tmp_path / "c",
    )
    names = ["undefended-s0", "narrow-code-bits=3-s0", "narrow-code-bits=4-s0", "narrow-code-s0"]
    assert [run.folder.name for run in report.runs] == names
    page = (tmp_path / "c" / "report.html").read_text()
    for name in names:  # the comparison links the audit page of each run, and has written it
        assert f'href="{quote(name)}/report.html"' in page
        assert "Audit of" in (tmp_path / "c" / name / "report.html").read_text()
    assert "narrow-code" in repr(report)
    assert "narrow-code" in report._repr_html_()
    words = "compare --data synthetic:400 --limit 300 --preset smoke --seeds 1 --suite brief"
    defences = "--defences narrow-code:bits=3,narrow-code:bits=4 narrow-code --out"
    before = (tmp_path / "c" / "records.jsonl").read_bytes()
    assert main([*words.split(), *defences.split(), str(tmp_path / "c")]) == 0
    assert (tmp_path / "c" / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("narrow-code:bit=4", "no field 'bit'"),
        ("narrow-code:bits", "NAME:FIELD=VALUE"),
        ("narrow-code:bits=four", "four"),
        ("raw", "not trained"),
    ],
)
def test_a_defence_in_words_is_checked(
    text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "--defences", text]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_other_pictures_need_a_suite_that_uses_them(
    run: do.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(run.folder), "--other-data", "synthetic:100"]) == 2
    assert "--suite standard" in capsys.readouterr().err
