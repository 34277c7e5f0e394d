"""What stands beside the graphs of an export, and the audit that is attached to it later."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import checksums, replaced, sha256, write_atomic
from deepobfuscator.defences.external import External
from deepobfuscator.exporting.card import card
from deepobfuscator.exporting.container import CONTAINERFILE, containerfile
from deepobfuscator.nn.onnx_file import exported
from deepobfuscator_edge.manifest import AUDIT, CARD, MANIFEST, SUMS, Audited, Manifest


def finish(folder: Path, manifest: Manifest) -> None:
    """Write manifest, card, Containerfile and checksums beside the graphs in ``folder``."""
    names = [*manifest.files, MANIFEST, CARD, CONTAINERFILE, *([AUDIT] if manifest.audit else [])]
    write_atomic(folder / MANIFEST, f"{json.dumps(manifest.as_json(), indent=1)}\n")
    write_atomic(folder / CARD, card(manifest))
    write_atomic(folder / CONTAINERFILE, containerfile(manifest.name, [*names, SUMS]))
    write_atomic(folder / SUMS, checksums(folder / name for name in names))


def attach(encoder: External, audit: Path, passed: bool) -> None:
    """Let an audit stand for an export, whose folder is replaced whole or not at all.

    Args:
        encoder: the export's graph that was attacked.
        audit: ``audit.json`` of the audit's run folder; it is copied.
        passed: whether every limit of ``--fail-if`` was kept, and the audit itself was sound.

    Raises:
        InputError: the export changed while it was audited, or cannot be written.
    """
    folder = Path(encoder.encoder).resolve().parent
    manifest = exported(folder)
    if manifest is None or manifest.files[manifest.edge] != encoder.sha256:
        raise InputError(f"{folder} was exported anew while it was audited: audit it again")
    told = json.loads(audit.read_bytes())
    found = Audited(
        sha256=sha256(audit),
        files=manifest.files,
        suite=told["suite"],
        line=told["verdict"]["line"],
        gates={gate["rule"]: gate["outcome"] for gate in told["gates"]},
        passed=passed,
    )
    with replaced(folder) as new:
        shutil.copytree(folder, new, dirs_exist_ok=True)
        shutil.copyfile(audit, new / AUDIT)
        finish(new, replace(manifest, audit=found))
