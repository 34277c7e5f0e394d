"""Defences that keep or spend information: Cloak, CEM and TIPRDC, each on a known answer."""

from math import log

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.batches import Batch
from deepobfuscator.defences.cem import CEM, NoisyMixture
from deepobfuscator.defences.cloak import Cloak, PixelCloak
from deepobfuscator.defences.tiprdc import TIPRDC, jensen_shannon
from deepobfuscator.training.objectives import Loss, Players, Round

from .test_tails import Reader, a_run


def signs(n: int, columns: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(2, (n, columns), generator=draw).float() * 2 - 1


def played(
    players: Players,
    turns: list[tuple[set[str], Loss]],
    steps: int,
    public: int = 0,
    private: int = 1,
    rate: float = 0.02,
) -> None:
    """Players in turn, on pictures of four values of -1 or 1, two of which are the labels."""
    run = a_run()
    optimisers = [
        torch.optim.Adam([p for name in movers for p in players[name].parameters()], lr=rate)
        for movers, _ in turns
    ]
    torch.manual_seed(0)
    for step in range(steps):
        pictures = signs(128, 4, step)
        labels = (pictures + 1) / 2
        at = slice(public, public + 1), slice(private, private + 1)
        batch = Batch(pictures=pictures, public=labels[:, at[0]], private=labels[:, at[1]])
        for (movers, loss), optimiser in zip(turns, optimisers, strict=True):
            optimiser.zero_grad()
            loss(Round(players, batch, movers, run)).backward()
            optimiser.step()


# -- Cloak ----------------------------------------------------------------------------------------


def test_cloak_gives_noise_to_the_pixels_that_the_service_does_not_read() -> None:
    cloak = PixelCloak((1, 1), 1.0, 0.5)
    cloak.rho = nn.Parameter(torch.full((4,), -2.0))
    cloak.constants = nn.Parameter(torch.zeros(4))
    players: Players = {"O": nn.Identity(), "C": Reader(0), "T": cloak}
    method = Cloak(weight=2.0)
    played(players, [({"T"}, method.perturb)], 300)
    read, *rest = cloak.sigma.tolist()
    assert read < 0.4
    assert min(rest) > 0.9
    before = cloak.sigma.clone()
    played(players, [({"T"}, method.suppress)], 50)
    assert torch.equal(cloak.sigma, before), "the deviations stay"
    sent = cloak(signs(64, 4))
    assert torch.equal(sent[:, 1:], cloak.constants[1:].expand(64, 3)), "replaced"
    assert len(sent[:, 0].unique()) == 64, "the pixel that is read keeps its noise"


# -- CEM ------------------------------------------------------------------------------------------


def test_the_bound_is_the_information_of_a_mixture_that_is_one() -> None:
    # Far apart, the information is that of the component and of a Gaussian channel in each.
    draw = torch.Generator().manual_seed(0)
    shares, spread = torch.tensor([0.25, 0.75]), torch.tensor([[1.0, 4.0, 0.0], [9.0, 0.25, 0.0]])
    mixture = NoisyMixture((3,), 2, 0.5).train()
    found = []
    for _ in range(300):
        which = torch.multinomial(shares, 256, replacement=True, generator=draw)
        which[:2] = torch.tensor([0, 1])  # from which the centres start
        noise = torch.randn(256, 3, generator=draw) * spread.sqrt()[which]
        found.append(mixture.information(noise + 50 * which[:, None]).item())
    channel = (1 + spread / 0.25).log().sum(1) / 2
    wanted = (shares * channel).sum() - (shares * shares.log()).sum()
    assert np.mean(found[100:]) == pytest.approx(wanted.item(), rel=0.01)
    assert mixture.shares.tolist() == pytest.approx([0.25, 0.75], abs=0.05)


def test_cem_keeps_what_the_service_needs_and_little_else() -> None:
    torch.manual_seed(1)
    encoder = nn.Linear(4, 4, bias=False)
    nn.init.eye_(encoder.weight)
    mixture = NoisyMixture((4,), 4, 0.5).train()
    classifier = nn.Linear(4, 1)
    players: Players = {"O": encoder, "C": classifier, "T": mixture}
    played(players, [({"O", "C", "T"}, CEM(weight=0.05).hide)], 400)
    told = encoder.weight.detach().abs().sum(0)
    assert told[0] > 0.5
    assert told[1:].max() < 0.1 * told[0]


def test_noise_has_the_deviation_that_was_asked_for() -> None:
    mixture = NoisyMixture((2, 8, 8), 3, 0.7).eval()
    features = torch.zeros(64, 2, 8, 8)
    assert mixture(features).std().item() == pytest.approx(0.7, rel=0.05)
    mixture.information(features + 3)
    centres = mixture.centres.clone()
    mixture.information(features)
    assert torch.equal(mixture.centres, centres), "in use nothing moves"


# -- TIPRDC ---------------------------------------------------------------------------------------


def test_the_estimate_is_the_jensen_shannon_divergence_for_the_best_estimator() -> None:
    together, apart = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.4, 0.5])
    best = torch.tensor(np.log(together / apart))
    drawn = [np.repeat(np.arange(3), (1000 * p).round().astype(int)) for p in (together, apart)]
    found = jensen_shannon(*(best[torch.from_numpy(index)] for index in drawn)).item()
    divergence = jensenshannon(together, apart) ** 2
    assert found == pytest.approx(2 * divergence - 2 * log(2), abs=1e-6)
    worse = jensen_shannon(*(best[torch.from_numpy(index)] + 0.3 for index in drawn)).item()
    assert worse < found


class Together(nn.Module):
    """M for vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        """(n,)."""
        return self.layers(torch.cat(given, 1)).squeeze(1)  # type: ignore[no-any-return]


def test_tiprdc_tells_of_the_picture_but_the_private_value() -> None:
    torch.manual_seed(0)
    encoder, adversary = nn.Linear(4, 1, bias=False), nn.Linear(1, 1)
    nn.init.constant_(encoder.weight, 0.3)
    with torch.no_grad():
        encoder.weight[0, 1] = 1.0  # it begins with the private value above all
    players: Players = {"O": encoder, "AC": adversary, "M": Together()}
    method = TIPRDC(weight=0.5)
    attack = {"AC"}, lambda r: r.L_AC
    played(players, [({"O", "M"}, method.extract), attack, attack], 400)
    told = encoder.weight.detach().abs()[0]
    assert told[1] < 0.15 * told.max()
    assert told.max() > 0.3


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Cloak, {"most": 0.0}),
        (Cloak, {"weight": -1.0}),
        (Cloak, {"threshold": 1.5}),
        (CEM, {"sigma": 0.0}),
        (CEM, {"weight": -1.0}),
        (CEM, {"components": 0}),
        (TIPRDC, {"weight": 1.5}),
    ],
)
def test_bad_fields_are_one_line(kind: type, wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(InputError, match=f"^--{name} must"):
        kind(**wrong)
