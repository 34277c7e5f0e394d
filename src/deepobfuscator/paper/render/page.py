"""The reproduction as one self-contained page and as a Markdown summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import deepobfuscator as do
from deepobfuscator.paper.keys import Verdict
from deepobfuscator.paper.render.exhibit import Claim, Exhibit
from deepobfuscator.paper.render.figures import curve_plots, dot_plots, legend
from deepobfuscator.paper.render.table import FRESH, grids, markdown, plain

FAILS, UNKNOWN, HOLDS = Verdict

COMPARABLE = (
    "The published figures of DeepObfuscator are those of training adversaries, which the encoder "
    "was trained against. They are compared with the training adversaries here, not with newly "
    "trained attackers, which are the ones that count. Where the paper trained attackers "
    "afterwards (the baselines, the other reconstructors of Table 3), compare those."
)


@dataclass(frozen=True)
class Meta:
    """What a reader must know of the run as a whole."""

    title: str
    data: str
    """Which pictures, how many, in one sentence."""
    reductions: tuple[str, ...] = ()
    """How this run is smaller than the paper's, one sentence each."""
    seeds: tuple[int, ...] = ()
    commands: tuple[str, ...] = ()
    """What to type to make all of it again."""
    commands_of: Mapping[str, str] = field(default_factory=dict)
    """What to type to make one exhibit again, by its name."""
    versions: tuple[str, ...] = ()
    """Of this project and what it was run on."""
    with_faces: bool = True
    """Whether pictures of people may be shown."""
    warning: str = ""
    """Why nothing follows from the figures; empty where something may."""


def page(exhibits: Sequence[Exhibit], claims: Sequence[Claim], meta: Meta) -> str:
    """The whole reproduction as one HTML file that loads nothing."""
    shown = [e if meta.with_faces else replace(e, faces=()) for e in exhibits]
    return do.render(
        "exhibits.html",
        meta=meta,
        headline=headline(claims) or meta.title,
        counts=_counts(claims),
        claims=ordered(claims),
        words=do.wording,
        exhibits=shown,
        plates={e.name: (dot_plots(e), curve_plots(e)) for e in shown},
        legends={e.name: legend(e) for e in shown},
        grids={e.name: grids(e) for e in shown},
        fresh=FRESH,
        comparable=COMPARABLE,
        seeds=seeds_of(meta),
        picture=do.picture,
    )


def ordered(claims: Sequence[Claim]) -> list[Claim]:
    """Claims as they are told: first those that do not hold, last those that do."""
    return sorted(claims, key=lambda claim: list(Verdict).index(claim.verdict))


def headline(claims: Sequence[Claim]) -> str:
    """What became of the claims in one line, the worst first; empty where there are none."""
    failed, unknown = (sum(c.verdict == v for c in claims) for v in (FAILS, UNKNOWN))
    every = f"{len(claims)} claim{'s' * (len(claims) != 1)} of the paper"
    if failed:
        return f"{failed} of {every} {'does' if failed == 1 else 'do'} not hold at this scale"
    if unknown:
        return f"{unknown} of {every} {'is' if unknown == 1 else 'are'} inconclusive at this scale"
    if len(claims) == 1:
        return f"The {every} that was tested holds at this scale"
    return f"All {every} that were tested hold at this scale" if claims else ""


def _counts(claims: Sequence[Claim]) -> str:
    """What became of the claims that the headline does not speak of."""
    failed, unknown, held = (sum(c.verdict == v for c in claims) for v in (FAILS, UNKNOWN, HOLDS))
    parts = (
        [f"{unknown} {'is' if unknown == 1 else 'are'} inconclusive"] if failed and unknown else []
    )
    parts += [f"{held} hold{'s' * (held == 1)}"] if held and (failed or unknown) else []
    return f"Of the others, {do.listed(parts)}." if parts else ""


def seeds_of(meta: Meta) -> str:
    """The seeds in words; empty where none is named."""
    several = "s" * (len(meta.seeds) > 1)
    return f"Seed{several} {do.listed([str(s) for s in meta.seeds])}." if meta.seeds else ""


def summary_markdown(exhibits: Sequence[Exhibit], claims: Sequence[Claim], meta: Meta) -> str:
    """The reproduction in short, without a picture: claims, then every exhibit's figures."""
    parts = [f"# {plain(meta.title)}"]
    parts += [f"**{meta.warning}**"] if meta.warning else []
    parts += [f"**{headline(claims)}.** {_counts(claims)}".strip()] if claims else []
    parts += [plain(f"{meta.data} {seeds_of(meta)}".strip())]
    if meta.reductions:
        parts += ["How this run is smaller than the paper’s:", _bullets(meta.reductions)]
    parts += [COMPARABLE]
    if meta.commands:
        parts += ["```\n" + "\n".join(meta.commands) + "\n```"]
    if claims:
        rows = [
            tuple(map(plain, (c.verdict, c.claim, c.published, c.measured, c.why)))
            for c in ordered(claims)
        ]
        headers = ("Verdict", "Claim", "Published", "Measured", "Why")
        parts += [
            "## The paper’s claims",
            do.as_markdown(do.Table(headers, tuple(rows))),
        ]
    for exhibit in exhibits:
        parts += [f"## {plain(exhibit.title)}", plain(exhibit.caption)]
        if exhibit.name in meta.commands_of:
            parts += [f"`{meta.commands_of[exhibit.name]}`"]
        parts += map(markdown, grids(exhibit))
        below = [*exhibit.notes, *(f"Missing: {reason}" for reason in exhibit.missing)]
        parts += [_bullets(below)] if below else []
    parts += [plain(" · ".join(meta.versions))]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {plain(sentence)}" for sentence in sentences)
