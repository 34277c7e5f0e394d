"""The pages keep what they promise: commands parse, links lead somewhere, the example attacks."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

import deepobfuscator.attacks
from deepobfuscator.attacks.base import SUITES, Attack
from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.auditing.evaluation import Evaluation
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.cli import _parsed
from deepobfuscator.core.records import fresh
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.data.table import Task
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import TrainConfig

PAGE = Path(__file__).parents[1] / "docs" / "auditing.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def rows(header: str) -> list[list[str]]:
    """Cells of the table that begins with ``header``."""
    lines = PAGE.read_text().split(f"\n{header}", 1)[1].splitlines()[2:]
    table = [line for line in lines[: lines.index("")] if line]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def commands() -> list[list[str]]:
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_on_the_page_is_understood(command: list[str]) -> None:
    options = _parsed(command)
    assert options.suite in SUITES


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE.read_text())
    assert len(links) > 10
    assert [link for link in links if not (PAGE.parent / link).exists()] == []


def test_the_page_tells_suite_and_file_of_every_attack() -> None:
    told = {}
    for names, suite, _, _, file in rows("| attacker |"):
        for name in re.findall(r"`([\w-]+)`", names):
            told[name] = suite, re.findall(r"\[(\w+)\.py\]", file)[0]
    members = Attack.members().items()
    assert told == {n: (kind.suite, kind.__module__.split(".")[-1]) for n, kind in members}


def test_the_pieces_it_walks_through_are_in_the_file() -> None:
    source = (PAGE.parents[1] / "src/deepobfuscator/attacks/trees.py").read_text()
    pieces = [re.findall(r"`([^`]+)`", cells[0]) for cells in rows("| piece |")]
    assert [p for some in pieces for p in some if p not in source] == []


def test_the_example_is_an_attack(tmp_path: Path) -> None:
    """In a process of its own: an attack that is known once is known to every test after."""
    (example,) = blocks("python")
    (tmp_path / "neighbours.py").write_text(example)
    command = [sys.executable, "-W", "error", __file__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "neighbours" not in found["quick"]
    assert "neighbours" in found["standard"]
    planted, removed = found["planted"], found["removed"]
    assert planted["low"] > 0.95
    assert removed["low"] <= 0.5 <= removed["high"]


class Corner(Encoder):
    """Sees two pixels of noise, and a third, which holds the private bit if it is ``planted``."""

    features = (3,)
    wire_bits = 96

    def __init__(self, planted: bool) -> None:
        super().__init__()
        self.column = 0 if planted else 7

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3)."""
        return pictures[:, 0, 0, [self.column, 5, 6]]


def part(n: int, seed: int) -> Labelled:
    """Noise pictures with the private bit in the pixel (0, 0)."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, (n, 2), dtype=np.uint8)
    pictures = draw.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    pictures[:, 0, 0] = 255 * labels[:, 1:]
    return Labelled(pictures, labels[:, :1], labels[:, 1:], np.arange(n) + 10_000 * seed)


def try_example(folder: Path) -> None:
    """Drop the file in ``folder`` among the attacks, audit with it alone, print what it reached."""
    deepobfuscator.attacks.__path__.append(str(folder))
    found: dict[str, object] = {
        s: [a.label for a in AuditConfig(s).attacks] for s in ("quick", "standard")
    }
    task, run = Task(("A",), ("P",)), Context(folder)
    run.console.quiet = True
    data = Parts(part(8, 1), part(600, 2), part(200, 3), part(600, 4), {}, False)
    for what in ("planted", "removed"):
        bundle = Bundle({"O": Corner(what == "planted").eval()}, {})
        target = Target(
            key="key",
            defence=Undefended(),
            task=task,
            setting=TrainConfig(size=(32, 32)),
            bundle=bundle,
            data=data,
            context=replace(run, folder=folder / what),
        )
        audit = Audit(target, AuditConfig("standard"))
        (mine,) = (s for s in audit.specs if s.label == "neighbours")
        records = Evaluation(audit, [(mine, audit.guesses(mine))]).attribute("P")
        (record,) = fresh(records, "P", "balanced_accuracy")
        found[what] = {"low": record.low, "high": record.high}
    print(json.dumps(found))


if __name__ == "__main__":
    try_example(Path(sys.argv[1]))
