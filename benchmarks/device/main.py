"""One card for ten minutes: is it right there, how fast is it, does the finding hold at the paper's
scale? ``run.sh`` starts this; it ends by itself and leaves ``device.json`` and ``device.md``.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from time import monotonic
from typing import Any

import page

import pictures
from harness import Options

HERE = Path(__file__).parent
PARTS = {"correct": 0.15, "fast": 0.26, "scale": 1.0}
"""Share of the time that is left when a part begins."""
DRAWN = 400
"""Drawn faces where no pictures are carried."""


def main() -> None:
    """All parts in turn, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS), help="default: all")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes, any device")
    parser.add_argument("--carried", type=Path, help="pictures.tar, as pack.py makes it")
    parser.add_argument("--seconds", type=float, default=540, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("runs") / "device")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.parts if name not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: take from {', '.join(PARTS)}")
    if chosen.carried and not chosen.carried.is_file():
        parser.error(f"--carried {chosen.carried}: no such file; make it with pack.py")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the parts end, the page is written
    end, out = monotonic() + chosen.seconds, chosen.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("*.json"), *out.glob("*.md")):
        old.unlink()
    states: dict[str, str] = {}
    try:
        where = faces(chosen.carried, out)
        names = [name for name in PARTS if name in (chosen.parts or PARTS)]
        for name in names:
            share = PARTS[name] if name != names[-1] else 1.0
            states[name] = "stopped"
            options = ["--rehearse"] if chosen.rehearse else []
            states[name] = part(name, out, where, share * (end - monotonic() - 8), options)
    finally:
        write(out, states)
    if any(state != "done" for state in states.values()):
        sys.exit(1)


def faces(carried: Path | None, out: Path) -> Path:
    """The folder of the pictures: what was carried, unpacked, or drawn faces."""
    if carried is None:
        return Path(pictures.folder(Options("synthetic", out), DRAWN))
    with tarfile.open(carried) as archive:
        archive.extractall(out / "pictures", filter="data")
    return out / "pictures"


def part(name: str, out: Path, where: Path, seconds: float, options: list[str]) -> str:
    """Run one part within its time; how it ended."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--out", str(out / f"{name}.json")]
    command += ["--pictures", str(where), "--seconds", f"{seconds:.1f}", *options]
    environment = os.environ | {"DEEPOBFUSCATOR_CACHE": str(out / "cache")}
    process = subprocess.Popen(command, env=environment, process_group=0)
    try:
        code = process.wait(max(5, seconds))
    except subprocess.TimeoutExpired:
        return "stopped: out of time"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return "done" if code == 0 else f"failed with exit code {code}"


def write(out: Path, states: dict[str, str]) -> None:
    """One JSON and one page of all that the parts left."""
    found: dict[str, Any] = {"parts": states}
    for name in PARTS:
        file = out / f"{name}.json"
        found[name] = json.loads(file.read_text()) if file.exists() else {}
    (out / "device.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "device.md").write_text(page.page(found))
    print(f"{out / 'device.md'}: {states}")


if __name__ == "__main__":
    main()
