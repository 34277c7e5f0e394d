"""Every block of docs/python.md and every cell of the notebook runs, in order."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

TIMM = """
from torch import nn


def create_model(name, pretrained, num_classes, global_pool, in_chans):
    assert not pretrained and num_classes == 0 and global_pool == "" and in_chans == 3
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=8, padding=1), nn.ReLU())
"""
"""Stands in for timm, which cannot be installed beside every build of torch."""


def printed(pieces: list[str], folder: Path) -> str:
    """What pieces of code print, run as one module in a process and a folder of their own."""
    (folder / "timm.py").write_text(TIMM)
    (folder / "pieces.py").write_text("\n\n".join(pieces))
    found = subprocess.run(
        [sys.executable, "-W", "error", "pieces.py"], cwd=folder, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    page = blocks(ROOT / "docs" / "python.md")
    assert len(page) > 8
    shown = printed(page, tmp_path)
    assert "'nearest'" in shown
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "runs" / "timm" / "bundle" / "card.json").is_file()


def test_the_lines_of_the_readme_run(tmp_path: Path) -> None:
    block = blocks(ROOT / "README.md")[0]
    assert len(block.splitlines()) <= 12
    assert "Male: excess" in printed([block], tmp_path)


def test_the_notebook_runs(tmp_path: Path) -> None:
    cells = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] for cell in code), "it is committed with its outputs"
    last = 'print(report["Male"].excess)'
    assert "Male: excess" in printed([*("".join(cell["source"]) for cell in code), last], tmp_path)
