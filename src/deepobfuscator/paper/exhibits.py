"""What the paper's exhibits are made from: finished runs, and the columns and rows they share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import IMAGE
from deepobfuscator.paper.calibration import Calibration
from deepobfuscator.paper.published import DEEPOBFUSCATOR, NOISE, UNDEFENDED
from deepobfuscator.paper.render.exhibit import Column, Line
from deepobfuscator.paper.render.rows import OWN_AR, line
from deepobfuscator.paper.trials import Book, Need
from deepobfuscator.report.runs import RunResult
from deepobfuscator.survey.questions import Mode

MS_SSIM, PSNR, ACCURACY = "ms_ssim", "psnr", "accuracy"


@dataclass
class Show:
    """What an exhibit is made from."""

    book: Book
    """The trials."""
    read: Callable[[Need], RunResult | None]
    """A finished run; None, with a word in `missing`, where there is none."""
    calibration: Calibration | None
    """Of the noise."""
    faces: bool
    """Whether pictures of people may be shown."""
    machine: Callable[[Sequence[Need], str, Mode], tuple[list[Line], list[Column]]]
    """The machine participants' answers on a row's runs, for a mode, and an example question."""
    missing: list[str] = field(default_factory=list)
    """What could not be had, and why."""

    def runs(self, ask: Callable[[], list[Need]]) -> list[RunResult]:
        """The finished runs of one trial, one a seed."""
        return [run for need in self.needs(ask) if (run := self.read(need)) is not None]

    def needs(self, ask: Callable[[], list[Need]]) -> list[Need]:
        """The trials that ``ask`` gives, as far as the data allows."""
        try:
            return ask()
        except InputError as error:
            if str(error) not in self.missing:
                self.missing.append(str(error))
            return []

    @property
    def noise_row(self) -> str:
        """The noise baseline with its deviation."""
        return NOISE if self.book.sigma is None else f"{NOISE}, σ = {self.book.sigma:g}"

    def rows(self, letter: str) -> dict[str, tuple[str, list[RunResult]]]:
        """DeepObfuscator and the two baselines on one set: by published name, row and runs."""
        book = self.book
        return {
            DEEPOBFUSCATOR: (DEEPOBFUSCATOR, self.runs(lambda: book.game(letter))),
            UNDEFENDED: (UNDEFENDED, self.runs(lambda: book.undefended(letter))),
            NOISE: (self.noise_row, self.runs(lambda: book.noise(letter))),
        }


def title_of(show: Show, letter: str) -> str:
    """A set as the paper writes it."""
    try:
        task = show.book.task(letter)
    except InputError:
        return f"({letter})"
    return f"({letter}) {{{', '.join(task.public)} | {', '.join(task.private)}}}"


def noise_note(show: Show) -> tuple[str, ...]:
    """Where the noise's deviation comes from."""
    held, sigma = show.calibration, show.book.sigma
    if sigma is None:
        return ()
    if held is None or held.sigma != sigma:
        return (f"The noise's deviation, {sigma:g}, was named by --sigma.",)
    return (f"The noise's deviation, {sigma:g}, was calibrated (exhibit noise).",)


def raw_column(show: Show, runs: Sequence[RunResult]) -> list[Column]:
    """The raw pictures of the people whom a run shows."""
    if not (show.faces and runs and (held := runs[0].faces)):
        return []
    return [Column("raw", "the picture", held["raw"])]


def rebuilt_columns(show: Show, name: str, runs: Sequence[RunResult]) -> list[Column]:
    """What the game's own AR, where one played, and the strongest fresh attacker rebuilt."""
    if not (show.faces and runs and (held := runs[0].faces)):
        return []
    columns = []
    if (own := runs[0].faces_in_game) is not None:
        columns.append(Column(name, f"by AR in the game{quality(runs, OWN_AR)}", own))
    by = f"by a fresh {held['attack'].item()}{quality(runs, None)}"
    return [*columns, Column(name, by, held["reconstructed"])]


def quality(runs: Sequence[RunResult], attack: str | None) -> str:
    """The mean MS-SSIM on all test pictures, in a few words."""
    found = line(runs[:1], "", IMAGE, MS_SSIM, attack=attack)
    value = None if found is None else found.in_game if attack else found.fresh
    return "" if value is None else f", MS-SSIM {value:.3f}".replace("0.", ".")
