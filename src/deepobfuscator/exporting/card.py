"""The model card of an export: a README with the front matter that Hugging Face reads."""

import json
from typing import Any

from deepobfuscator_edge.manifest import ATTACKER, AUDIT, CLOUD, EDGE, INT8, PTE, Manifest


def card(manifest: Manifest) -> str:
    """Markdown with a YAML front matter."""
    about, wire = manifest.about, manifest.wire
    trial, measured = about["run"]["trial"], about["measured"]
    defence, task = trial["defence"]["name"], trial["task"]
    front: dict[str, Any] = {
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["privacy", "split-inference", "deepobfuscator", defence],
        "model_name": manifest.name,
    }
    size = measured["bytes"]
    rows = [
        f"| {name} | {', '.join(f'{a} {100 * v:.1f} %' for a, v in worth.items())} | "
        + (f"{100 * measured['agreement'][name]:.1f} %" if name in measured["agreement"] else "")
        + " |"
        for name, worth in measured["balanced_accuracy"].items()
    ]
    return "\n".join(
        [
            "---",
            # JSON is YAML, and quotes whatever a name may hold.
            *(f"{key}: {json.dumps(value)}" for key, value in front.items()),
            "---",
            "",
            f"# {manifest.name}",
            "",
            f"An encoder that runs on the device and a classifier for the cloud, trained by "
            f"`{defence}` to tell {', '.join(task['public'])} and to hide "
            f"{', '.join(task['private'])}. Model `{manifest.model}`.",
            "",
            "| file | what |",
            "|---|---|",
            f"| `{EDGE}` | pictures (n, H, W, 3), uint8, of any size, to what leaves the device |",
            *([f"| `{INT8}` | the same in int8, for devices |"] if INT8 in manifest.files else []),
            *pte(manifest),
            f"| `{CLOUD}` | what left the device to scores (n, {manifest.columns}) |",
            *rebuilt(manifest),
            "| `manifest.json` | shapes, wire setting, attributes, what was measured, versions |",
            *([f"| `{AUDIT}` | what attackers found |"] if manifest.audit else []),
            "",
            "## What leaves the device",
            "",
            f"{wire.name} of shape {tuple(wire.shape)}: {wire.bytes} bytes a picture"
            f"{', compressed by zstd' if wire.zstd else ''}. A message of one picture has "
            f"{size['message']:g} bytes on average, one of sixteen {size['message_of_16']:g} a "
            f"picture; the same pictures as PNG {size['png']:g}, as JPEG of quality 75 "
            f"{size['jpeg75']:g}.",
            "",
            "## What the service is worth",
            "",
            f"Balanced accuracy on {measured['validation_pictures']} validation pictures, and the "
            "share of decisions that are those of the trained network.",
            "",
            "| | balanced accuracy | same decision |",
            "|---|---|---|",
            *rows,
            "",
            "## What it hides",
            "",
            audited(manifest),
            "",
        ]
    )


def pte(manifest: Manifest) -> list[str]:
    """The row of the ExecuTorch program, if there is one."""
    if PTE not in manifest.files:
        return []
    sides = "{}, {}".format(*manifest.size)
    return [f"| `{PTE}` | a picture (1, 3, {sides}), uint8, to the same, for ExecuTorch |"]


def rebuilt(manifest: Manifest) -> list[str]:
    """The row of the attacker, if one was exported."""
    if (found := manifest.about["measured"].get("attacker")) is None:
        return []
    return [
        f"| `{ATTACKER}` | what left the device to pictures as an attacker rebuilds them "
        f"(`{found['attack']}`, trained on {found['trained_on']:,} pictures; MS-SSIM "
        f"{found['ms_ssim']:.3f} on validation); for demonstrations |"
    ]


def audited(manifest: Manifest) -> str:
    """What the card says of an audit."""
    found = manifest.audit
    if found is None:
        return (
            "Nothing is known of what an attacker can read from it: it was not audited after the "
            "export. `deepobfuscator audit` of this folder attacks what leaves the device."
        )
    limits = [f"- `{gate}`: {outcome}" for gate, outcome in found.gates.items()]
    end = "It passed." if found.passed else "**It did not pass.**"
    return "\n".join(
        [
            f"{found.line} Suite `{found.suite}` of newly trained attackers on `{manifest.edge}`; "
            f"`{AUDIT}` has the figures (SHA-256 `{found.sha256}`).",
            "",
            f"Limits that it was held against, and what became of them. {end}"
            if limits
            else f"It was held against no limit (`--fail-if`). {end}",
            *(["", *limits] if limits else []),
        ]
    )
