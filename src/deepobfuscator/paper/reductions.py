"""How a reproduction is smaller than the paper's experiments, as text."""

from deepobfuscator import PRESETS, DeepObfuscator, Trial

CELEBA = 202_599
"""Pictures of CelebA, the paper's."""

PAPER_PASS = 160_000 // 64
"""Batches in a pass of the paper's training pictures (section 4.1)."""


def reductions(trial: Trial, seeds: int, pictures: dict[str, int]) -> list[str]:
    """Differences in scale between a run and the paper's, one sentence each."""
    mine, theirs, found = trial.setting, PRESETS["paper"].config, list[str]()
    if mine.size != theirs.size:
        found.append(
            f"Pictures of {mine.size[0]} × {mine.size[1]} pixels instead of {theirs.size[0]} × "
            f"{theirs.size[1]}."
        )
    if mine.width != theirs.width:
        found.append(f"Networks of width {mine.width:g}: that part of the paper's channels.")
    if pictures:
        used = sum(pictures.values())
        found.append(
            f"{used:,} pictures ({', '.join(f'{n:,} {part}' for part, n in pictures.items())}) "
            f"of the paper's {CELEBA:,}; the defender and the attackers share none, which the "
            "paper leaves open."
        )
    lengths = {
        "epochs": "joint pre-training",
        "adversary_epochs": "the adversaries' pre-training",
        "game_epochs": "adversarial training",
        "infer_epochs": "a new classifier",
        "reconstruct_epochs": "a new reconstructor",
    }
    passes = (
        f"{getattr(mine, name):g} for {words} (preset paper: {getattr(theirs, name):g})"
        for name, words in lengths.items()
    )
    game = DeepObfuscator().phases(mine)[-1]
    rounds = list[str]()
    if pictures:
        per_pass = mine.per_pass(pictures["defender"])
        epoch = PAPER_PASS // len(game.stages)
        rounds.append(
            f"Adversarial training has {game.rounds(per_pass):,} rounds of Algorithm 1, a batch "
            f"for each of its {len(game.stages)} stages; a pass over the paper's 160,000 training "
            f"pictures is {epoch}."
        )
    one = "One seed: intervals are over test people and do not include the variation of training."
    several = (
        f"{seeds} seeds: a figure is their mean, its interval reaches from the lowest to the "
        "highest end of theirs."
    )
    return [
        *found,
        f"Passes over the pictures: {', '.join(passes)}; the paper does not say.",
        *rounds,
        "Newly trained attackers of the brief suite: the paper's AC, a residual network and a "
        "perceptron for attributes, the mirror for faces, the same for every row; Table 3 and "
        "Figures 2 and 5 name those they add. A larger suite finds more.",
        "Trials are shared between exhibits, and a baseline serves every set with its public "
        "attributes.",
        several if seeds > 1 else one,
    ]
