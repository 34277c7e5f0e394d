"""The wheel: it has all its files, and trains and audits from an environment without a checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LINES = """
import deepobfuscator as do

assert "site-packages" in do.__file__, do.__file__
data = do.Data.synthetic(600, limit=400)
run = do.train(do.Undefended(), data, config=do.PRESETS["smoke"].config, out="run")
report = do.audit(run, suite="brief")
report.save("page.html")
print(report["Male"].excess)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\n"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(copy)], check=True)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_has_every_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file()
        and path.suffix in (".py", ".pyi", ".html", ".css", ".js", ".json", ".typed")
    }
    assert {n for n in wanted if "egg-info" not in n} <= names
    assert "deepobfuscator/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_ten_lines_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
        env=alone,
    )
    # What it depends on comes from here; the package itself from the wheel.
    here = Path(found.stdout.strip()) / "here.pth"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True)
    here.write_text(f"{sysconfig.get_path('purelib')}\n")
    (tmp_path / "lines.py").write_text(LINES)
    ran = subprocess.run(
        [python, "lines.py"], cwd=tmp_path, capture_output=True, text=True, env=alone
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "Male: excess" in ran.stdout
    assert (tmp_path / "page.html").is_file()
    words = ["train", "--data", "synthetic:600", "--preset", "smoke", "--out", "cli"]
    command = place / "bin" / "deepobfuscator"
    for line in (words, ["audit", "cli", "--suite", "brief"]):
        subprocess.run([command, *line], cwd=tmp_path, check=True, capture_output=True, env=alone)
