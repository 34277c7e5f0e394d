import json
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
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object", "base"}
    for _, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "data"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))


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
        "Utility",
        "Leakage",
        "+24.2 points",
        "Most exposed faces",
        "Other attributes",
        "Fewer labelled pictures",
        "shuffled pairs (negative control)",
        summary["data"]["parts"]["test"]["sha256"][:16],
        "Terms",
        "Attacker convergence",
        "79.3",  # twice the training
        "Attacks not run (1)",
        "this encoder gives no gradients",
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
    assert "share it with care" in shown
    assert "<img" not in hidden
    assert "data:image" not in hidden
    assert "share it with care" not in hidden


def test_an_encoder_of_unknown_training_says_so(checked: Any, plant_audit: Any) -> None:
    words = checked(text_of(plant_audit("brought"))).words
    assert "The training data of this encoder is unknown" in words
    assert "encoder.onnx (onnx)" in words
    assert "one picture at a time" in words
    assert "ceiling: raw pictures" in words
    assert "What the service predicts" not in words


def test_the_same_folder_gives_the_same_bytes(plant_audit: Any, tmp_path: Path) -> None:
    run = read_run(plant_audit("noisy"))
    for name in ("one.html", "two.html"):
        write_audit_page(run, tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def marks(drawing: str) -> dict[str, float]:
    """Where each mark with words of its own stands, in pixels from the left."""
    found = re.findall(r'<g><title>([^<:]*): [^<]*</title>.*?<use [^>]*x="([\d.]+)"', drawing)
    return {words: float(x) for words, x in found}


def test_every_attacker_is_a_mark_at_its_figure(plant_audit: Any) -> None:
    male = AuditReport.of(read_run(plant_audit("leaky")))["Male"]
    drawing = attackers(male).__html__()
    ticks = re.findall(r'text-anchor: middle[^>]* x="([\d.]+)"[^>]*>(\d+)<', drawing)
    scale = {int(words) / 100: float(x) for x, words in ticks}
    low, high = min(scale), max(scale)

    def at(value: float) -> Any:
        along = scale[low] + (value - low) / (high - low) * (scale[high] - scale[low])
        return pytest.approx(along, abs=0.3)

    assert (scale[low], scale[high]) == (NAMES, RIGHT)
    assert len(male.common) == 7
    found = marks(drawing)
    for attacker in male.common:
        assert found[attacker.name] == at(attacker.figures["balanced_accuracy"].value)
    assert male.maximum is not None
    bounds = re.findall(r'd="M ([\d.]+) [\d.]+ L ([\d.]+) [^"]*"[^>]*var\(--hue0\)', drawing)
    assert at(male.maximum.high) in [float(a) for a, b in bounds if a == b]


def test_budgets_stand_on_a_logarithmic_axis(plant_audit: Any) -> None:
    male = AuditReport.of(read_run(plant_audit("leaky")))["Male"]
    xs = list(marks(budget(male).__html__()).values())
    steps = np.diff(xs) / np.diff(np.log([50, 200, 1000, 7000]))
    assert steps == pytest.approx([steps[0]] * 3, rel=0.01)


def test_bars_begin_at_zero_and_stay_on_the_sheet(plant_audit: Any) -> None:
    ranked = AuditReport.of(read_run(plant_audit("leaky"))).undeclared
    drawing = undeclared(ranked).__html__()
    lines = r'd="M ([\d.]+) ([\d.]+) L ([\d.]+) ([\d.]+) ?"[^>]*var\(--(\w+)\)[^>]*stroke-width: 9"'
    bars = [(float(x), float(end), of) for x, _, end, _, of in re.findall(lines, drawing)]
    (zero,) = {x for x, *_ in bars}
    for (_, end, of), u in zip(bars, ranked, strict=True):
        assert (end >= zero) == (u.excess.value >= 0)
        assert NAMES <= end <= WIDTH
        assert (of == "alarm") == u.leaks


def test_repeat_is_the_audits_own_command(checked: Any, plant_audit: Any) -> None:
    folder = plant_audit("leaky")
    notes = json.loads((folder / "audit" / "notes.json").read_text())
    assert notes["command"] in checked(text_of(folder)).words
    notes["command"] = "deepobfuscator compare --out x"
    (folder / "audit" / "notes.json").write_text(json.dumps(notes))
    words = checked(text_of(folder)).words
    assert f"deepobfuscator audit {folder} --suite quick" in words
    assert "deepobfuscator compare" not in words


def test_options_in_sentences_do_not_break(plant_audit: Any) -> None:
    folder = plant_audit("leaky")
    notes = json.loads((folder / "audit" / "notes.json").read_text())
    notes["not_tried"] = [{"what": "what --suite standard adds", "why": "<not asked for>"}]
    (folder / "audit" / "notes.json").write_text(json.dumps(notes))
    text = text_of(folder)
    assert "what <code>--suite standard</code> adds</b>: &lt;not asked for&gt;" in text
    assert "code { white-space: nowrap" in text


def test_a_run_that_was_never_audited_so_still_makes_a_page(checked: Any, plant: Any) -> None:
    words = checked(text_of(plant(faces=True))).words
    assert "Male" in words
    assert "No training curves of the attackers were kept" in words


@pytest.mark.parametrize("name", ["notes.json", "faces.npz"])
def test_a_broken_file_is_named(plant_audit: Any, tmp_path: Path, name: str) -> None:
    run = plant_audit("leaky")
    (run / "audit" / name).write_text("{")
    with pytest.raises(InputError, match=re.escape(str(run / "audit" / name))) as caught:
        write_audit_page(read_run(run), tmp_path / "page.html")
    assert "\n" not in str(caught.value)
