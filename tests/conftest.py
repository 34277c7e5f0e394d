"""What every test shares."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import deepobfuscator  # noqa: F401  (sets the OpenMP environment before torch is loaded)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep decoded pictures of tests out of the user's cache."""
    before = os.environ.get("DEEPOBFUSCATOR_CACHE")
    os.environ["DEEPOBFUSCATOR_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["DEEPOBFUSCATOR_CACHE"]
    else:
        os.environ["DEEPOBFUSCATOR_CACHE"] = before


@pytest.fixture
def celeba20k() -> Path:
    """The real subset, where it lies beside the checkout."""
    path = Path(__file__).parents[2] / "shared" / "celeba20k"
    if not path.is_dir():
        pytest.skip("needs the CelebA subset in ../shared/celeba20k")
    return path
