import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepobfuscator.core.errors import InputError
from deepobfuscator.report.comparison import compare
from deepobfuscator.report.pages import comparison_page
from deepobfuscator.report.runs import find_runs
from deepobfuscator.report.view import ComparisonReport


def page(folders: list[Path], faces: bool = True, command: str = "") -> str:
    return comparison_page(ComparisonReport.read(folders, command), faces)


def test_the_page_loads_nothing_and_its_tags_close(checked: Any, study: Path) -> None:
    text = page([study])
    parsed = checked(text)
    assert not parsed.open
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object", "base"}
    for _, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "data"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
        assert not any(name.startswith("on") for name in attributes)


def test_names_are_escaped_wherever_they_stand(checked: Any, plant: Any, tmp_path: Path) -> None:
    evil = "<script>alert('&')</script>"
    for defence in ("undefended", "deepobfuscator"):
        plant(defence=defence, public=[evil], private=[evil + "2"], options={"note": evil})
    text = page([tmp_path])
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert evil + "2" in checked(text).words


def test_the_same_folders_give_the_same_bytes(study: Path, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        ComparisonReport.read([study], "deepobfuscator report study").save(tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_page_without_faces_holds_no_picture(study: Path) -> None:
    def pictures(text: str) -> int:
        return text.count("<img") + text.count("data:image")

    assert pictures(page([study], faces=True)) == 2 * 6 * 6  # people x (raw, defences, floor)
    assert "share it with care" in page([study], faces=True)
    assert pictures(page([study], faces=False)) == 0
    assert "share it with care" not in page([study], faces=False)


def test_pictures_of_other_people_stay_out_of_the_grid(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", faces=True)
    other = plant(defence="pixel-noise", faces=True)
    with np.load(other / "faces.npz") as held:
        np.savez(other / "faces.npz", **{**held, "raw": held["raw"][::-1]})
    text = page([tmp_path])
    assert "because no pictures of the same people were kept: pixel-noise" in text
    assert text.count("<img") == 3 * 6


def test_an_unfinished_run_is_listed_and_not_hidden(checked: Any, study: Path) -> None:
    words = checked(page([study])).words
    assert "Unfinished" in words
    assert "deepobfuscator, seed 3" in words


def test_every_seed_is_a_mark_of_its_own(study: Path) -> None:
    text = page([study])
    for seed, figure in ((0, "79.3 (78.2–80.4)"), (1, "80.0"), (2, "78.2")):
        assert f"seed {seed}: {figure}" in text
    assert "51.1 → 79.2" in text


def test_commands_versions_and_assumptions_are_told(checked: Any, study: Path) -> None:
    words = checked(page([study], command="deepobfuscator report 'my runs'")).words
    for run in find_runs(study):
        assert run.card.get("command", "") in words
    assert "deepobfuscator report 'my runs'" in words
    assert "torch 2.13.0" in words
    assert "The noise is drawn anew for every picture. (pixel-noise)" in words


def test_no_run_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run in"):
        page([tmp_path])
    with pytest.raises(InputError, match="no folder"):
        page([tmp_path / "nowhere"])


def test_only_unfinished_runs_make_no_page(plant: Any, tmp_path: Path) -> None:
    (plant() / "records.jsonl").unlink()
    with pytest.raises(InputError, match="1 unfinished"):
        page([tmp_path])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bundle/card.json", "{"),
        ("bundle/card.json", "{}"),
        ("trial.json", "[]"),
        ("trial.json", '{"defence": "none"}'),
        ("records.jsonl", "{]"),
        ("history.jsonl", '{"phase": '),
        ("faces.npz", "not an archive"),
    ],
)
def test_a_broken_file_is_named(plant: Any, tmp_path: Path, name: str, content: str) -> None:
    run = plant(faces=True)
    (run / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(str(run / name))) as caught:
        page([tmp_path])
    assert "\n" not in str(caught.value)


def test_runs_are_compared_only_where_nothing_but_the_defence_differs(
    checked: Any, plant: Any, tmp_path: Path
) -> None:
    for defence in ("undefended", "deepobfuscator"):
        for seed in (0, 1):
            plant(defence=defence, seed=seed)  # each with a path of its own
    one = compare(find_runs(tmp_path))
    assert [(c.label, len(c.runs)) for c in one[0].configurations] == [
        ("undefended", 2),
        ("deepobfuscator", 2),
    ]
    other = plant(defence="pixel-noise")
    trial = json.loads((other / "trial.json").read_text())
    trial["setting"]["size"] = [96, 96]
    (other / "trial.json").write_text(json.dumps(trial))
    assert [len(c.configurations) for c in compare(find_runs(tmp_path))] == [2, 1]
    words = checked(page([tmp_path])).words
    assert "2 comparisons" in words
    assert "setting.size=[96, 96]" in words


def test_configurations_of_one_defence_are_told_apart_by_what_differs(
    plant: Any, tmp_path: Path
) -> None:
    for strength in (10.0, 5.0):
        plant(options={"lambda1": strength, "lambda2": 1.0})
    labels = [c.label for c in compare(find_runs(tmp_path))[0].configurations]
    assert labels == ["deepobfuscator lambda1=5.0", "deepobfuscator lambda1=10.0"]


def test_a_command_is_repeated_once(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended")
    line = json.loads(next(tmp_path.rglob("card.json")).read_text())["command"]
    assert page([tmp_path], command=line).count(line) == 1


@pytest.mark.parametrize(("epochs", "said"), [(1.0, 1), (6.0, 0)])
def test_a_smoke_test_says_so(plant: Any, tmp_path: Path, epochs: float, said: int) -> None:
    path = plant(defence="undefended") / "trial.json"
    trial = json.loads(path.read_text())
    trial["setting"] |= {"epochs": epochs, "game_epochs": epochs}
    path.write_text(json.dumps(trial))
    assert page([tmp_path]).count("This was a smoke test") == said
