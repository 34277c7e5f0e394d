import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from deepobfuscator.attacks.base import Attack
from deepobfuscator.core.config import MACHINE, field_docs, from_json, key, to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import Family
from deepobfuscator.data.arrays import Arrays
from deepobfuscator.data.table import Source, Task
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.external import External
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.training.objectives import TrainConfig


@dataclass(frozen=True)
class Inner:
    """A part."""

    corner: tuple[int, int]
    """Row and column."""
    names: tuple[str, ...] = ()
    """Any number of them."""


@dataclass(frozen=True)
class Outer(Inner):
    """Every kind of field."""

    inner: Inner = field(default_factory=lambda: Inner((0, 0)))
    """A dataclass within."""
    parts: tuple[Inner, ...] = ()
    """Several
    of them."""
    share: float = 0.5
    """A fraction."""
    count: int | None = None
    """None, or a number."""
    rate: float | None = None
    """None, or a fraction."""
    text: str = ""
    """Words."""
    on: bool = False
    """Yes or no."""
    folder: Path = field(default=Path("here"), metadata=MACHINE)
    """A place on this machine."""
    defence: Defence | None = None
    """A member of a family."""


FULL = Outer(
    corner=(1, 2),
    names=("a", "ü"),
    inner=Inner((3, 4), ("b",)),
    parts=(Inner((5, 6)), Inner((7, 8), ("c",))),
    share=0.1,
    count=9,
    rate=1e-3,
    text="words",
    on=True,
    folder=Path("/data/faces"),
    defence=Defence.find("undefended")(),
)


WORDS = {
    "own": "paper",
    "auto": "fp32",
    "ms_ssim": "l1",
    "vgg": "resnet",
    "attributes": "faces",
    "fresh": "in-game",
    "running": "batch",
    "shared": "own",
    "sum": "mean",
    "error": "entropy",
}
"""For each word that a field may hold, another."""


def other(value: Any) -> Any:
    """Another valid value for a hyperparameter."""
    match value:
        case bool():
            return not value
        case None:
            return 7
        case int():
            return value + 1
        case float():
            return value / 2 + 0.1
        case str() if value in WORDS:
            return WORDS[value]
        case (float(), *_):
            return (*value, 0.5)
        case (int(), int()):
            return (value[0] + 4, value[1] + 8)
        case (int(), *_):
            return (*value, 7)
        case (str(), *_):
            return (*value, "Young")
    raise AssertionError(f"no other value for {value!r}")


def built(kind: type[Any]) -> Any:
    """A member of a family with every hyperparameter off its default."""
    if kind is Arrays:
        return Arrays(Path("/data/faces"), "0" * 24)
    if kind is External:
        return External("theirs:Encoder", "0" * 64)
    made = kind(**{f.name: Path("/data/faces") for f in fields(kind) if f.metadata.get("machine")})
    plain = [f.name for f in fields(kind) if not f.metadata]
    networks = {f.name: nn.Identity for f in fields(kind) if f.name == "encoder"}
    return replace(made, **networks, **{name: other(getattr(made, name)) for name in plain})


def members(*families: type[Family]) -> list[Any]:
    return [
        pytest.param(member, id=f"{family.__name__}-{name}")
        for family in families
        for name, member in family.members().items()
    ]


def through_text(kind: type[Any], value: Any) -> Any:
    return from_json(kind, json.loads(json.dumps(to_json(value))))


@pytest.mark.parametrize("value", [FULL, Outer((1, 2))], ids=["full", "defaults"])
def test_every_kind_of_field_comes_back_from_text(value: Outer) -> None:
    assert through_text(Outer, value) == value


@pytest.mark.parametrize("kind", members(Defence, Source))
def test_a_trial_of_every_member_comes_back_from_text(kind: type[Any]) -> None:
    member = built(kind)
    part = "defence" if issubclass(kind, Defence) else "source"
    trial = replace(Trial(limit=100), **{part: member})
    again = through_text(Trial, trial)
    assert again == trial
    assert type(getattr(again, part)) is kind
    assert again.key == trial.key != Trial(limit=100).key


@pytest.mark.parametrize("kind", members(Attack))
def test_every_attack_comes_back_from_text(kind: type[Any]) -> None:
    assert through_text(Attack, built(kind)) == built(kind)


def test_what_a_file_leaves_out_keeps_its_default() -> None:
    given = {"setting": {"seed": 3}, "defence": {"name": "narrow-code", "bits": 4}}
    narrow = Defence.find("narrow-code")
    assert from_json(Trial, given) == Trial(setting=TrainConfig(seed=3), defence=narrow(bits=4))


def test_the_key_is_the_hash_of_sorted_json_without_machine_paths() -> None:
    value = Outer((1, 2), count=3, folder=Path("/somewhere"))
    plain = (
        '{"corner": [1, 2], "count": 3, "defence": null, "inner": {"corner": [0, 0], "names": []},'
        ' "names": [], "on": false, "parts": [], "rate": null, "share": 0.5, "text": ""}'
    )
    assert key(value) == hashlib.sha256(plain.encode()).hexdigest()[:12]


def test_the_key_is_the_same_wherever_the_data_lies() -> None:
    celeba = Source.find("celeba")
    here, there = (Trial(source=celeba.parse(path)) for path in ("/data/celeba", "/mnt/celeba"))
    assert here.key == there.key
    assert here.key != Trial(source=Source.find("lfw").parse("/data/celeba")).key


def test_the_key_does_not_tell_a_whole_number_from_the_same_fraction() -> None:
    trial = Trial(setting=TrainConfig(epochs=6))
    assert trial.key == through_text(Trial, trial).key == Trial(setting=TrainConfig(epochs=6.0)).key


@pytest.mark.parametrize(
    ("part", "value"),
    [(None, Trial()), ("setting", TrainConfig()), ("task", Trial().task)]
    + [("defence", kind()) for kind in Defence.members().values() if kind.trains]
    + [("source", Source.find("synthetic")())],
    ids=lambda v: getattr(v, "name", type(v).__name__),
)
def test_the_key_changes_with_every_field(part: str | None, value: Any) -> None:
    def key_with(changed: Any) -> str:
        return (replace(Trial(), **{part: changed}) if part else changed).key

    plain = [f.name for f in fields(value) if isinstance(getattr(value, f.name), int | float | str)]
    odd = [f for f in fields(value) if isinstance(getattr(value, f.name), tuple | None)]
    plain += [f.name for f in odd if not f.metadata]
    keys = [key_with(value)]
    for f in odd:
        if f.metadata:  # classes of a task, or networks
            given = (("Male", ("a", "b")),) if f.name == "classes" else nn.Identity
            keys.append(key_with(replace(value, **{f.name: given})))
    for name in plain:
        drawn = Source.find("synthetic")() if name == "defender_data" else None
        keys.append(key_with(replace(value, **{name: drawn or other(getattr(value, name))})))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("data", "place", "complaint"),
    [
        ([], "trial", "expected an object of Trial, found []"),
        ({"seting": {}}, "trial", "unknown field 'seting': did you mean setting?"),
        ({"task": {"public": ["Smiling"]}}, "trial.task", "field 'private' is missing"),
        ({"source": {"name": "celeba"}}, "trial.source", "field 'path' is missing"),
        ({"task": {"public": "Male", "private": []}}, "trial.task.public", "expected a list"),
        ({"task": {"private": [1], "public": []}}, "trial.task.private", "expected str, found 1"),
        ({"setting": {"size": [64]}}, "trial.setting.size", "expected 2 values, found 1"),
        ({"setting": {"size": [64, 64.5]}}, "trial.setting.size", "expected int, found 64.5"),
        ({"setting": {"seed": True}}, "trial.setting.seed", "expected int, found True"),
        ({"setting": {"width": "1"}}, "trial.setting.width", "expected float, found '1'"),
        ({"setting": None}, "trial.setting", "expected an object of TrainConfig, found None"),
        ({"skip_bad": 1}, "trial.skip_bad", "expected bool, found 1"),
        ({"limit": 2.5}, "trial.limit", "expected int, found 2.5"),
        ({"defence": "undefended"}, "trial.defence", "expected an object of Defence"),
        ({"defence": {}}, "trial.defence", "field 'name' is missing"),
        ({"defence": {"name": "undefnded"}}, "trial.defence", "did you mean undefended?"),
        ({"defence": {"name": "undefended", "bits": 8}}, "trial.defence", "unknown field 'bits'"),
        ({"defence": {"name": "narrow-code", "bits": 0}}, "trial.defence", "at least 1"),
        ({"setting": {"size": [30, 64]}}, "trial.setting", "at least 32"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(data: Any, place: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        from_json(Trial, data)
    message = str(caught.value)
    assert message.startswith(f"{place}: ")
    assert complaint in message
    assert "\n" not in message


def test_field_docs_gives_each_docstring_on_one_line_bases_first() -> None:
    docs = field_docs(Outer)
    assert list(docs)[:2] == ["corner", "names"]
    assert docs["corner"] == "Row and column."
    assert docs["parts"] == "Several of them."


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, id=k.__name__) for k in (TrainConfig, Trial, Task)]
    + members(Defence, Attack, Source),
)
def test_every_hyperparameter_is_explained(kind: type[Any]) -> None:
    docs = field_docs(kind)
    unexplained = [f.name for f in fields(kind) if len(docs.get(f.name, "").split()) < 2]
    assert not unexplained
