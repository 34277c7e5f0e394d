"""torch.compile: the product's game with compiled networks against the same as it is."""

import game
import pictures
from harness import Contender, Options, Row, alternate, measurements


def bench(options: Options) -> list[Row]:
    """One row: the product as it is, and compiled; the first turn compiles."""
    case = "64x64, width 0.25, batch 64"
    if options.quick:
        return [Row("compiled", case, "images/s", None, note="left out of a quick run: minutes")]
    cycles = 8
    arguments = {
        "where": pictures.folder(options, game.LIMIT),
        "size": (64, 64),
        "width": 0.25,
        "batch": 64,
        "cycles": cycles,
        "limit": game.LIMIT,
    }
    taken = alternate(
        {
            "product": Contender("game:product", arguments),
            "compiled": Contender("game:product", {**arguments, "compiled": True}),
        },
        5,
        options,
        warm_up=0,
    )
    ours, theirs = (measurements(taken[name][1:], "rate") for name in ("product", "compiled"))
    images = 4 * cycles * 64
    first = images / taken["compiled"][0]["rate"] - images / theirs.median
    note = f"compiling takes {first:.0f} s"
    return [Row("compiled", case, "images/s", ours, "torch.compile", theirs, None, note)]
