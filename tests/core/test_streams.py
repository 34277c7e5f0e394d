"""A finished command keeps its exit code, whatever becomes of its output."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepobfuscator.core.errors import in_one_line
from deepobfuscator.core.streams import lasting

FINISHED = """
import sys
from pathlib import Path
from deepobfuscator.core.streams import lasting
with lasting():
    for _ in range(4000):
        print("“λ” \\udce9 ┏━┓")
        print("“λ” \\udce9 ┏━┓", file=sys.stderr)
    Path(sys.argv[1]).touch()
sys.exit(3)
"""


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii", "cp437", "utf-16", "shift_jis"])
def test_what_an_encoding_lacks_is_replaced(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    with lasting():
        print("done: “λ1” caf\udce9 é", end="")
    shown = raw.getvalue().decode(encoding)
    assert shown.startswith("done: ")
    assert len(shown) == len("done: “λ1” café é")
    assert ("“λ1”" in shown) is encoding.startswith(("utf", "shift"))
    assert isinstance(sys.stdout, io.TextIOWrapper), "as it was before"


@pytest.mark.parametrize("end", ["pipe", "disk", "nothing"])
def test_output_that_nobody_takes_does_not_change_the_exit_code(tmp_path: Path, end: str) -> None:
    done = tmp_path / "done"
    command = [sys.executable, "-c", FINISHED, str(done)]
    if end == "disk":
        with open("/dev/full", "w") as full:
            code = subprocess.run(command, stdout=full, stderr=full).returncode
    elif end == "nothing":
        code = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *command]).returncode
    else:
        read, write = os.pipe()
        with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE) as process:
            os.close(write)
            os.close(read)
            assert process.stderr is not None
            assert b"Error" not in process.stderr.read()
        code = process.returncode
    assert code == 3
    assert done.exists(), "it went on to its end"


def test_one_line_keeps_both_ends_of_a_message_and_no_source_place() -> None:
    ends = in_one_line(ValueError("first\n" + "x" * 999 + " last"))
    assert ends.startswith("ValueError: first xxx")
    assert ends.endswith("xxx last")
    assert len(ends) < 420
    place = "Load failed:/src/core/graph/model.cc:256 Model::Model(Proto&&, const Path&) Bad IR: 99"
    assert in_one_line(RuntimeError(place)) == "RuntimeError: Load failed: Bad IR: 99"
    with pytest.raises(AssertionError) as caught:
        raise AssertionError
    assert in_one_line(caught.value).startswith("AssertionError: raise AssertionError, line ")
