"""The naive sequence of section 4.2: a game against one attacker, then one against the other."""

from dataclasses import dataclass
from typing import ClassVar

from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.training.objectives import Phase, TrainConfig

ATTRIBUTES, FACES = FIRST = ("attributes", "faces")


@dataclass(frozen=True)
class NaiveSequence(DeepObfuscator):
    """Two one-sided games, each as long as DeepObfuscator's; the adversary of the first takes no
    part in the second, as the paper warns.
    """

    name: ClassVar[str] = "naive-sequence"
    contender: ClassVar[bool] = False

    first: str = ATTRIBUTES
    """What the first game defends, ``attributes`` or ``faces``; the second defends the other."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.lambda1 and self.lambda2):
            raise InputError("--lambda1 and --lambda2 must both be above 0 for two games")
        if self.first not in FIRST:
            raise InputError(f"--first {self.first}: take one of {', '.join(FIRST)}")

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Pre-training as in Algorithm 1, then one defence after the other."""
        *before, _ = super().phases(config)
        games = [
            self.game(f"game for {what}", config, self.turn(adversary))
            for what, adversary in ((ATTRIBUTES, "AC"), (FACES, "AR"))
        ]
        return [*before, *(games if self.first == ATTRIBUTES else games[::-1])]
