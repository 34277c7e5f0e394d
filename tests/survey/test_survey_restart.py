import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepobfuscator.core.errors import InputError
from deepobfuscator.survey.questions import Sheet

pytest.importorskip("starlette", reason="needs the extra [survey]")
pytest.importorskip("uvicorn", reason="needs the extra [survey]")

from deepobfuscator.survey.app import DATABASE, create_app, serve

Serve = Callable[..., Any]


def start(sheet: Path, folder: Path, port: int) -> tuple[subprocess.Popen[str], str, str]:
    code = (
        "import sys; from pathlib import Path;"
        "from deepobfuscator.survey.questions import Sheet;"
        "from deepobfuscator.survey.app import DATABASE, create_app, serve;"
        "assert 'torch' not in sys.modules;"
        "make = lambda: create_app(Sheet.load(Path(sys.argv[1])), Path(sys.argv[2]) / DATABASE);"
        "serve(make, port=int(sys.argv[3]))"
    )
    command = [sys.executable, "-c", code, str(sheet), str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(2)]
    return process, *(line.split()[-1] for line in lines)  # type: ignore[return-value]


def test_a_killed_server_starts_where_it_was(
    make_sheet: Callable[..., Sheet], tmp_path: Path, serving: Serve
) -> None:
    sheet = make_sheet()
    sheet.save(tmp_path / "sheet.npz")
    process, people, owner = start(tmp_path / "sheet.npz", tmp_path / "study", 0)
    port = int(people.rstrip("/").rsplit(":", 1)[1])
    try:
        me = type(serving(sheet).browser())(port)
        me.begin()
        hidden, choices = me.form()
        me.post("/question", **hidden, choice=choices[0])
        hidden, choices = me.form()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    process, people, again = start(tmp_path / "sheet.npz", tmp_path / "study", port)
    try:
        assert again == owner
        assert me.form()[1] == choices
        me.post("/question", **hidden, choice=choices[3])
        assert "<b>3</b> of 6" in me.get("/question").text
        with pytest.raises(InputError, match=f"cannot listen at 127.0.0.1 port {port}"):
            serve(lambda: create_app(sheet, tmp_path / "study" / DATABASE), port=port)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_wrong_database_is_refused(
    make_sheet: Callable[..., Sheet], serving: Serve, tmp_path: Path
) -> None:
    serving(make_sheet())
    with pytest.raises(InputError, match="another sheet"):
        create_app(make_sheet(seed=5), tmp_path / "survey.sqlite")


def test_the_address_answers_while_the_study_is_prepared(
    capfd: pytest.CaptureFixture[str],
) -> None:
    answers: list[tuple[int, str]] = []

    def make() -> Any:
        address = capfd.readouterr().out.split()[-1]
        for _ in range(100):
            try:
                urllib.request.urlopen(address)
            except urllib.error.HTTPError as error:
                answers.append((error.code, error.read().decode()))
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        raise InputError("too few people")

    with pytest.raises(InputError, match="too few people"):
        serve(make, port=0)
    ((status, words),) = answers
    assert status == 503
    assert "being prepared" in words
