"""Pages from templates: one file, the style sheet within, that loads nothing."""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

HERE = Path(__file__).parent

ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader([HERE, HERE.parent / "paper" / "render"]),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """``template`` with ``values``, which are escaped wherever they are not markup."""
    style = Markup((HERE / "page.css").read_text())
    return ENVIRONMENT.get_template(template).render(style=style, **values)
