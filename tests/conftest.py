"""What every test shares."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import deepobfuscator  # noqa: F401  (sets the OpenMP environment before torch is loaded)

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Checked(HTMLParser):
    """Every tag with its attributes, and whether tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[Any]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep decoded pictures of tests out of the user's cache."""
    before = os.environ.get("DEEPOBFUSCATOR_CACHE")
    os.environ["DEEPOBFUSCATOR_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["DEEPOBFUSCATOR_CACHE"]
    else:
        os.environ["DEEPOBFUSCATOR_CACHE"] = before


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window; what it needs fails the run in CI where it is missing."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="browser tests need playwright: make test installs it"
    )
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("browser tests need Chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def celeba20k() -> Path:
    """The real subset, where it lies beside the checkout."""
    path = Path(__file__).parents[2] / "shared" / "celeba20k"
    if not path.is_dir():
        pytest.skip("needs the CelebA subset in ../shared/celeba20k")
    return path


@pytest.fixture
def checked() -> type[HTMLParser]:
    """A parser of a page; see `Checked`."""
    return Checked


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Say what was skipped and why, each reason once: a skipped test proves nothing."""
    reasons = Counter(skip_reason(report) for report in terminalreporter.getreports("skipped"))
    for reason, count in reasons.items():
        failed = os.environ.get("CI") == "true" and not may_lack(reason)
        terminalreporter.write_line(
            f"{count} skipped: {reason}{'; this fails the run in CI' if failed else ''}"
        )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skipped test fails the run, unless it lacks what no installation brings."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return
    if not all(may_lack(skip_reason(report)) for report in reporter.getreports("skipped")):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def skip_reason(report: pytest.TestReport) -> str:
    assert isinstance(report.longrepr, tuple)
    return report.longrepr[2].removeprefix("Skipped: ")


def may_lack(reason: str) -> bool:
    """Whether a test was skipped for the photographs beside the checkout, for the processor, or for
    ExecuTorch (400 MB); other programs and packages are installed by the test command.
    """
    return any(lacking in reason for lacking in ("shared", "processor", "ExecuTorch"))
