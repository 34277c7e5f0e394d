import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from deepobfuscator.attacks.base import Attack
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import Family, suggest
from deepobfuscator.data.table import Source
from deepobfuscator.defences.base import Defence

ROOT = """
from abc import abstractmethod
from deepobfuscator.core.registry import Family

class Fruit(Family):
    @abstractmethod
    def peel(self): ...
"""
APPLE = """
from orchard._base import Fruit

class Apple(Fruit):
    name = "apple"
    def peel(self): return "red"

class Graft(Apple):
    "Sets no name, so it is none of the family's."
"""
PEAR = """
from orchard._base import Fruit

class Pear(Fruit):
    name = "pear"
    def peel(self): return "green"
"""
UNFINISHED = """
from orchard._base import Fruit

class Cherry(Fruit):
    name = "cherry"
"""


@pytest.fixture
def orchard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with one family of one member."""
    folder = tmp_path / "orchard"
    folder.mkdir()
    for name, text in (("__init__", ""), ("_base", ROOT), ("apple", APPLE)):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for module in [m for m in sys.modules if m.split(".")[0] == "orchard"]:
        del sys.modules[module]


def drop(folder: Path, name: str, text: str) -> ModuleType:
    (folder / f"{name}.py").write_text(text)
    importlib.invalidate_caches()
    return importlib.import_module("orchard._base")


def test_a_dropped_file_makes_a_member(orchard: Path) -> None:
    family: type[Family] = importlib.import_module("orchard._base").Fruit
    assert list(family.members()) == ["apple"]
    drop(orchard, "pear", PEAR)
    assert list(family.members()) == ["apple", "pear"]
    assert family.find("pear")().peel() == "green"
    assert family.find("pear").__module__ == "orchard.pear"


def test_a_subclass_without_a_name_of_its_own_hides_nobody(orchard: Path) -> None:
    family = importlib.import_module("orchard._base").Fruit
    assert family.find("apple").__name__ == "Apple"


def test_a_member_that_lacks_a_method_says_so_when_made(orchard: Path) -> None:
    family = drop(orchard, "cherry", UNFINISHED).Fruit
    with pytest.raises(TypeError, match="peel"):
        family.find("cherry")()


def test_families_do_not_mix() -> None:
    families = [set(family.members()) for family in (Defence, Attack, Source)]
    assert all(families)
    assert sum(map(len, families)) == len(set().union(*families))
    for family in (Defence, Attack, Source):
        for name, member in family.members().items():
            assert issubclass(member, family)
            assert family.find(name) is member


def test_an_unknown_name_suggests_the_near_one() -> None:
    with pytest.raises(InputError, match=r"^unknown defence 'narow-code': did you mean narrow-"):
        Defence.find("narow-code")


def test_a_name_near_nothing_lists_all() -> None:
    with pytest.raises(InputError, match=r"known are arrays, celeba, folder, lfw, synthetic"):
        Source.find("???")


def test_suggestions_come_nearest_first() -> None:
    assert suggest("smilng", ["Smile", "Smiling"]) == "did you mean Smiling or Smile?"
    assert suggest("SMILE", ["Smiling", "Smile"]) == "did you mean Smile or Smiling?"
    assert suggest("male", ["Male", "male"]) == "did you mean Male or male?"
    assert suggest("zzz", ["Male", "Young"]) == "known are Male, Young"
