import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepobfuscator.core.errors import InputError
from deepobfuscator.report.audit_plots import NAMES, attackers, budget, undeclared
from deepobfuscator.report.pages import audit_page
from deepobfuscator.report.plots import RIGHT, WIDTH
from deepobfuscator.report.runs import RunResult, read_run
from deepobfuscator.report.view import AuditReport

KINDS = ("leaky", "tight", "brought", "noisy")


def text_of(folder: Path) -> str:
    return audit_page(AuditReport.of(read_run(folder)))


def write_audit_page(run: RunResult, out: Path, faces: bool = True) -> None:
    AuditReport.of(run).save(out, faces)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_loads_nothing_and_its_tags_close(
    checked: Any, plant_audit: Any, kind: str
) -> None:
    text = text_of(plant_audit(kind))
    parsed = checked(text)
    assert not parsed.open
    assert not re.search(r"https?:|@import|url\(", text)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object", "base"}
    for _, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")


def test_names_are_escaped_wherever_they_stand(checked: Any, plant_audit: Any) -> None:
    evil = "<script>alert('&')</script>"
    text = text_of(plant_audit("leaky", public=[evil], private=[evil + "2"]))
    assert "<script" not in text
    assert evil + "2" in checked(text).words


def test_the_verdict_comes_first_and_every_part_has_its_place(
    checked: Any, plant_audit: Any
) -> None:
    folder = plant_audit("leaky")
    words = checked(text_of(folder)).words
    summary = AuditReport.of(read_run(folder)).to_json()
    order = [
        summary["verdict"]["line"],
        "image.ms_ssim > 0.3",
        "What attackers learn",
        "+24.2 points",
        "The most exposed faces",
        "What the service still tells",
        "What nobody declared",
        "With fewer labelled pictures",
        "shuffled pairs (negative control)",
        "this encoder gives no gradients",
        summary["data"]["parts"]["test"]["sha256"][:16],
        "Had the attackers learned all they could?",
        "79.3",  # the doubled budget
        summary["command"],
        "torch 2.13.0",
    ]
    at = 0
    for part in order:
        assert part in words[at:], part
        at = words.index(part, at)


def test_worst_faces_are_shown_unless_left_out(plant_audit: Any, tmp_path: Path) -> None:
    run = read_run(plant_audit("leaky"))
    write_audit_page(run, tmp_path / "with.html")
    write_audit_page(run, tmp_path / "without.html", faces=False)
    shown, hidden = ((tmp_path / f"{n}.html").read_text() for n in ("with", "without"))
    assert shown.count("<img") == 3 * 6  # raw, rebuilt, labels alone
    assert "holds pictures of people" in shown
    assert "<img" not in hidden
    assert "data:image" not in hidden
    assert "holds pictures of people" not in hidden


def test_an_encoder_of_unknown_training_says_so(checked: Any, plant_audit: Any) -> None:
    words = checked(text_of(plant_audit("brought"))).words
    assert "What this encoder was trained on is not known" in words
    assert "encoder.onnx (onnx)" in words
    assert "one picture at a time" in words
    assert "the same attackers on raw pictures" in words
    assert "What the service still tells" not in words


def test_the_same_folder_gives_the_same_bytes(plant_audit: Any, tmp_path: Path) -> None:
    run = read_run(plant_audit("noisy"))
    for name in ("one.html", "two.html"):
        write_audit_page(run, tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_every_attacker_is_a_mark_at_its_figure(plant_audit: Any) -> None:
    male = AuditReport.of(read_run(plant_audit("leaky")))["Male"]
    drawing = str(attackers(male))
    ticks = re.findall(r'<text x="([\d.]+)" y="[\d.]+" class="tick"[^>]*>(\d+)<', drawing)
    scale = {int(words) / 100: float(x) for x, words in ticks}
    low, high = min(scale), max(scale)

    def at(value: float) -> float:
        return scale[low] + (value - low) / (high - low) * (scale[high] - scale[low])

    assert (scale[low], scale[high]) == (NAMES, RIGHT)
    marks = {
        tip.split(":")[0]: float(x)
        for x, tip in re.findall(r'<circle cx="([\d.]+)"[^>]*><title>([^<]*)<', drawing)
    }
    assert len(male.common) == 7
    for attacker in male.common:
        value = attacker.figures["balanced_accuracy"].value
        assert marks[attacker.name] == pytest.approx(at(value), abs=0.1)
    bound = re.search(r'<line x1="([\d.]+)"[^>]*class="maximum hue0"', drawing)
    assert bound is not None
    assert male.maximum is not None
    assert float(bound[1]) == pytest.approx(at(male.maximum.high), abs=0.1)
    assert drawing.count("dot hue0") == 1  # the headline stands out


def test_budgets_stand_on_a_logarithmic_axis(plant_audit: Any) -> None:
    male = AuditReport.of(read_run(plant_audit("leaky")))["Male"]
    drawing = str(budget(male))
    found = re.findall(r'<circle cx="([\d.]+)"[^>]*><title>([\d,]+) pictures', drawing)
    xs = [float(x) for x, _ in found]
    steps = np.diff(xs) / np.diff(np.log([50, 200, 1000, 7000]))
    assert steps == pytest.approx([steps[0]] * 3, rel=0.01)


def test_bars_begin_at_nothing_and_stay_on_the_sheet(plant_audit: Any) -> None:
    ranked = AuditReport.of(read_run(plant_audit("leaky"))).undeclared
    drawing = str(undeclared(ranked))
    bars = re.findall(r'<rect x="([\d.]+)"[^>]* width="([\d.]+)"[^>]*class="bar (\w+)"', drawing)
    ends = [(float(x), float(x) + float(w)) for x, w, _ in bars]
    zero = re.search(r'<line x1="([\d.]+)"[^>]*class="phase"', drawing)
    assert zero is not None
    for (left, right), u in zip(ends, ranked, strict=True):
        start = left if u.excess.value >= 0 else right
        assert start == pytest.approx(float(zero[1]), abs=0.2)
        assert NAMES <= left <= right <= WIDTH
    assert [kind == "alarm" for *_, kind in bars] == [u.leaks for u in ranked]


def test_a_run_that_was_never_audited_so_still_makes_a_page(checked: Any, plant: Any) -> None:
    words = checked(text_of(plant(faces=True))).words
    assert "Male" in words
    assert "Nothing was kept of how the attackers learned" in words


@pytest.mark.parametrize("name", ["notes.json", "faces.npz"])
def test_a_broken_file_is_named(plant_audit: Any, tmp_path: Path, name: str) -> None:
    run = plant_audit("leaky")
    (run / "audit" / name).write_text("{")
    with pytest.raises(InputError, match=re.escape(str(run / "audit" / name))) as caught:
        write_audit_page(read_run(run), tmp_path / "page.html")
    assert "\n" not in str(caught.value)
