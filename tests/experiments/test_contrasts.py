"""Differences between defences, of finished comparisons."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import deepobfuscator as do
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import WITHIN, headline, read_jsonl, select
from deepobfuscator.experiments import contrasts
from deepobfuscator.experiments.contrasts import FILE, Contrast, compared, read
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.report.view import ComparisonReport


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contrasts") / "out"
    do.compare(
        [do.Undefended(), do.NarrowCode()],
        do.Data.synthetic(520, limit=400),
        seeds=2,
        suite="brief",
        config=do.PRESETS["smoke"].config,
        out=folder,
        faces=False,
    )
    return folder


def of(found: list[Contrast], subject: str, metric: str, one: str, other: str = "") -> Contrast:
    (match,) = (
        c for c in found if (c.subject, c.metric, c.one, c.other) == (subject, metric, one, other)
    )
    return match


def test_means_and_differences_are_those_of_the_records(out: Path) -> None:
    found = read(out)
    mean = dict[tuple[str, str], float]()
    for defence in ("undefended", "narrow-code"):
        runs = [read_jsonl(out / f"{defence}-s{seed}" / "records.jsonl") for seed in (0, 1)]
        for subject, metric in (
            ("Male", "balanced_accuracy"),
            ("Male", WITHIN),
            ("image", "ms_ssim"),
        ):
            expected = np.mean([headline(records, subject, metric).value for records in runs])
            mean[defence, metric] = float(expected)
            contrast = of(found, subject, metric, defence)
            assert contrast.value == pytest.approx(expected)
            assert contrast.low < contrast.value < contrast.high
            assert contrast.seeds == (2,)
        wanted = {"subject": "Smiling", "attack": "service", "metric": "balanced_accuracy"}
        service = [select(records, **wanted)[0].value for records in runs]
        told = of(found, "Smiling", "balanced_accuracy", defence)
        assert told.value == pytest.approx(np.mean(service))
    for metric, subject in (("balanced_accuracy", "Male"), ("ms_ssim", "image")):
        gap = of(found, subject, metric, "undefended", "narrow-code")
        expected = mean["undefended", metric] - mean["narrow-code", metric]
        assert gap.value == pytest.approx(expected)
        assert gap.p_holm is not None
        assert gap.seeds == (2, 2)


def test_they_are_made_anew_only_where_a_record_changed(
    out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(out, tmp_path / "copy"))
    specs = [
        do.RunSpec(do.Trial.of(copy / name), copy / name, None, do.AuditConfig("brief"))
        for name in ("undefended-s0", "undefended-s1", "narrow-code-s0", "narrow-code-s1")
    ]
    asked = list[Path]()
    monkeypatch.setattr(contrasts, "figures_of", lambda runner, run: asked.append(run) or {})
    contrasts.update(do.Runner(), copy, specs)
    assert asked == []
    assert read(copy) == read(out)
    (copy / "undefended-s1" / "records.jsonl").write_bytes(b"")
    contrasts.update(do.Runner(), copy, specs)
    assert len(asked) == 4


def test_the_page_and_python_tell_them(out: Path) -> None:
    report = ComparisonReport.read([out])
    assert report.contrasts == read(out)
    assert ("undefended less narrow-code") in {row[1] for row in report.differences.rows}
    assert "Differences between defences" in (out / "report.html").read_text()


def test_p_is_corrected_over_the_pairs_of_a_figure() -> None:
    draw = np.random.default_rng(0)
    boot = Bootstrap(np.arange(200))
    figures = {
        name: [{("A", "auc"): boot.mean(draw.normal(mean, 1, 200))} for _ in range(3)]
        for name, mean in (("x", 0.0), ("y", 0.1), ("z", 5.0))
    }
    pairs = [c for c in compared(figures) if c.other]
    assert len(pairs) == 3
    two = {name: figures[name] for name in ("x", "y")}
    (alone,) = (c for c in compared(two) if c.other)
    assert alone.p_holm is not None
    known = {(c.one, c.other): c.p_holm for c in pairs}
    assert known["x", "y"] == pytest.approx(alone.p_holm), "the largest p stays"
    (least,) = (c for c in compared({n: figures[n] for n in ("x", "z")}) if c.other)
    assert least.p_holm is not None
    assert known["x", "z"] >= 2 * least.p_holm


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    assert read(tmp_path) == []
    (tmp_path / FILE).write_text('[{"subject": "A"}]')
    with pytest.raises(InputError, match="compare again"):
        read(tmp_path)
