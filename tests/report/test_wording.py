import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deepobfuscator.auditing.leakage import Status
from deepobfuscator.report.comparison import compare
from deepobfuscator.report.pages import comparison_page
from deepobfuscator.report.runs import find_runs
from deepobfuscator.report.view import ComparisonReport
from deepobfuscator.report.wording import Finding, finding_of, title_of


@dataclass(frozen=True)
class Verdict:
    title: str
    findings: list[Finding]


def verdict(folder: Path) -> Verdict:
    found = compare(find_runs(folder))[0]
    findings = [finding_of(found, c) for c in found.configurations]
    return Verdict(title_of(found), findings)


def page(folder: Path) -> str:
    return comparison_page(ComparisonReport.read([folder]))


def words(said: Verdict) -> str:
    return " ".join([said.title, *(s for f in said.findings for s in f.sentences)])


@pytest.mark.parametrize(
    ("read", "undefended", "outcome"),
    [
        (0.60, 0.96, Status.LEAK),
        (0.563, 0.96, Status.LEAK),  # its excess begins just above 0
        (0.561, 0.96, Status.NO_LEAK),  # begins just below 0
        (0.50, 0.96, Status.NO_LEAK),
        (0.50, 0.561, Status.TOO_WEAK),  # even the undefended encoder does not clear the floor
        (0.60, 0.561, Status.LEAK),  # a leak stays one
    ],
)
def test_a_leak_needs_an_excess_whose_interval_lies_above_nothing(
    plant: Any, tmp_path: Path, read: float, undefended: float, outcome: str
) -> None:
    # Images clear their floor's ceiling and leak nothing, so that the attribute decides.
    plant(defence="undefended", read=undefended, rebuilt=0.93)
    plant(defence="narrow-code", read=read, rebuilt=0.25)
    said = verdict(tmp_path)
    assert [f.status for f in said.findings] == [None, outcome]
    for_male = next(s for s in said.findings[1].sentences if s.startswith("Male"))
    expected = {
        Status.LEAK: "a leak: +",
        Status.NO_LEAK: "No leak above the label-only floor of 55.1\xa0% was found by these "
        "attackers",
        Status.TOO_WEAK: "the attack is too weak to tell",
    }
    assert [k for k, text in expected.items() if text in for_male] == [outcome]
    title = {
        Status.LEAK: "Fresh attackers read Male through narrow-code",
        Status.NO_LEAK: "No leak of Male above the floor was found by these attackers",
        Status.TOO_WEAK: "These attackers are too weak to tell whether Male leaks",
    }
    assert said.title == title[outcome]


def test_nothing_is_ever_called_private_or_safe(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.96)
    plant(defence="narrow-code", read=0.5, rebuilt=0.2)
    (lede,) = re.findall('<p class="lede">(.*?)</p>', page(tmp_path), re.DOTALL)
    said = f"{words(verdict(tmp_path))} {lede}".lower()
    assert "private" not in said
    assert "safe" not in said
    assert "secure" not in said


def test_without_an_undefended_encoder_no_leak_is_no_finding(plant: Any, tmp_path: Path) -> None:
    plant(defence="narrow-code", read=0.5, rebuilt=0.2)
    said = verdict(tmp_path)
    assert said.findings[0].status == Status.TOO_WEAK
    assert "no undefended encoder was attacked beside it" in words(said)


def test_the_ceiling_kept_in_a_run_stands_in_for_an_undefended_run(
    plant: Any, tmp_path: Path
) -> None:
    plant(defence="narrow-code", read=0.5, ceiling=0.96)
    for_male = next(s for s in verdict(tmp_path).findings[0].sentences if s.startswith("Male"))
    assert "No leak above" in for_male


def test_utility_and_the_games_own_belief_are_told(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.96, kept=0.903)
    plant(defence="deepobfuscator", read=0.793, kept=0.889, in_game=0.512)
    said = verdict(tmp_path).findings[1].sentences
    assert said[0] == "The service tells Smiling at 88.9\xa0% (undefended: 90.3\xa0%)."
    assert "adversary ended at 51.2\xa0%, fresh attackers read 79.3\xa0% (78.2–80.4)" in said[1]


def test_the_page_says_what_was_trained_and_attacked_on_what(plant: Any, tmp_path: Path) -> None:
    plant()
    (lede,) = re.findall('<p class="lede">(.*?)</p>', page(tmp_path), re.DOTALL)
    assert " ".join(lede.split()) == (
        "On synthetic (64 × 64 px), each encoder was trained on 8,000 pictures of 2,710 people so "
        "that a cloud service can tell Smiling, while Male should stay unread. Fresh attackers "
        "then learned from 7,000 pictures of 2,380 people that the encoder never saw, and "
        "everything was scored once on 3,000 pictures of 1,012 people."
    )


def test_one_leaking_seed_is_a_leak(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.96)
    for seed, read in enumerate((0.5, 0.5, 0.7)):
        plant(defence="narrow-code", seed=seed, read=read)
    finding = verdict(tmp_path).findings[1]
    assert finding.status == Status.LEAK
    assert "under 1 of 3 seeds" in finding.sentences[1]


def test_the_title_names_only_what_leaks(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.96, private=["Male", "Young"])
    plant(defence="narrow-code", read=0.58, private=["Male", "Young"])  # Young: 6 points lower
    plant(defence="pixel-noise", read=0.50, private=["Male", "Young"])
    assert verdict(tmp_path).title == "Fresh attackers read Male through 1 of 2 defences"


def test_an_undefended_run_alone_is_no_defence(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.961)
    assert verdict(tmp_path).title == ("Without a defence, fresh attackers read Male at 96.1\xa0%")
