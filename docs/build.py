"""The site's pages from README.md and docs/*.md, and a check that it loads nothing from outside.

``build.py pages`` writes site_src/; ``build.py check`` reads site/; ``build.py picture`` takes the
README's picture.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES, SITE = ROOT / "site_src", ROOT / "site"
OUTSIDE = re.compile(r"(?:src|href)=[\"']?(?:https?:)?//")
LINK = re.compile(r"\[([^\]]+)\]\(((?!https?:|#)[^)\s]+)\)")


def page(text: str, folder: Path) -> str:
    """Links to pages stay; what the site does not hold (source files) becomes plain text."""

    def link(found: re.Match[str]) -> str:
        name, _, place = found[2].partition("#")
        target = (folder / name).resolve()
        if target.parent == ROOT / "docs" and target.suffix in (".md", ".png") and target.is_file():
            return f"[{found[1]}]({target.name}{'#' + place if place else ''})"
        return found[1]

    return LINK.sub(link, text)


def write_pages() -> None:
    """Fill site_src/."""
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir()
    for file in (ROOT / "docs").glob("*.png"):
        shutil.copy(file, PAGES)
    for file in sorted((ROOT / "docs").glob("*.md")):
        (PAGES / file.name).write_text(page(file.read_text(), file.parent))
    (PAGES / "index.md").write_text(page((ROOT / "README.md").read_text(), ROOT))
    stub = (ROOT / "src" / "deepobfuscator" / "__init__.pyi").read_text()
    names = re.findall(r"^from \.([\w.]+) import (\w+) as", stub, re.MULTILINE)
    shown = sorted((n for n in names if not n[1].isupper()), key=by_name)
    lines = [f"::: deepobfuscator.{module}.{name}" for module, name in shown]
    constants = ", ".join(f"`{name}`" for _, name in sorted(names, key=by_name) if name.isupper())
    intro = (
        "# Public names\n\n`import deepobfuscator as do` gives these, each as `do.NAME`, and the "
        f"constants {constants}.\n\n"
    )
    (PAGES / "api.md").write_text(intro + "\n\n".join(lines) + "\n")


def by_name(entry: tuple[str, str]) -> str:
    """Orders names without regard to case."""
    return entry[1].lower()


def check() -> None:
    """Fail where a page or style sheet of site/ loads anything from another place."""
    files = [f for f in SITE.rglob("*") if f.suffix in (".html", ".css")]
    if not files:
        sys.exit(f"{SITE} is empty: run mkdocs build first")
    for file in files:
        text = file.read_text()
        tags = re.findall(r"<(?:script|img|iframe|source|link)\b[^>]*>", text)
        loaded = [t for t in tags if OUTSIDE.search(t) and 'rel="canonical"' not in t]
        loaded += re.findall(r"(?:url\(|@import )\s*[\"']?(?:https?:)?//[^)\s]+", text)
        if loaded:
            sys.exit(f"{file} loads something from outside: {loaded[0]}")


def picture() -> None:
    """Write docs/report.png, the first screen of the comparison that `make demo` makes."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(f"file://{ROOT}/runs/demo/report.html")
        page.screenshot(path=str(ROOT / "docs" / "report.png"))
        browser.close()


if __name__ == "__main__":
    {"pages": write_pages, "check": check, "picture": picture}[sys.argv[1]]()
