"""An exported classifier for Triton Inference Server and KServe.

DIR/NAME/config.pbtxt       the same tensors as our own server has
DIR/NAME/VERSION/model.onnx the classifier; another graph of the same shapes is another version
DIR/inferenceservice.yaml   for KServe
"""

import re
import shutil
from pathlib import Path
from typing import Any

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import replaced, sha256, write_atomic
from deepobfuscator.serve.options import Limits
from deepobfuscator.serve.protocol import metadata
from deepobfuscator_edge.manifest import CLOUD, Manifest

CONFIG, MODEL, SERVICE = "config.pbtxt", "model.onnx", "inferenceservice.yaml"


def repository(out: Path, ship: Path, manifest: Manifest) -> int:
    """Add the classifier of the export in ``ship`` to the model repository ``out``.

    Gives the version, which is that of an earlier export where the graph is the same.

    Raises:
        InputError: the repository has another model of this name, or cannot be written.
    """
    model, text = out / manifest.name, config(manifest)
    versions = {
        int(p.parent.name): p for p in model.glob(f"*/{MODEL}") if p.parent.name.isdecimal()
    }
    if model.exists() and (not (there := model / CONFIG).is_file() or there.read_text() != text):
        raise InputError(
            f"{model} is of a model with other tensors: take another --name or --triton folder"
        )
    write_atomic(model / CONFIG, text)
    digest = manifest.files[CLOUD]
    version = next((n for n, path in versions.items() if sha256(path) == digest), None)
    if version is None:
        version = max(versions, default=0) + 1
        with replaced(model / str(version)) as new:
            shutil.copyfile(ship / CLOUD, new / MODEL)
    write_atomic(out / SERVICE, inference_service(manifest.name))
    return version


def config(manifest: Manifest) -> str:
    """``config.pbtxt``: onnxruntime, batches and waiting times as our own server has them."""
    about, limits = metadata(manifest), Limits()

    def tensor(field: str, told: dict[str, Any]) -> list[str]:
        (_, columns) = told["shape"]
        kind = f"data_type: TYPE_{told['datatype']}"
        return [f'{field} [ {{ name: "{told["name"]}" {kind} dims: [ {columns} ] }} ]']

    return "\n".join(
        [
            f'name: "{manifest.name}"',
            'backend: "onnxruntime"',
            f"max_batch_size: {limits.batch}",
            *tensor("input", about["inputs"][0]),
            *tensor("output", about["outputs"][0]),
            "# An encoder belongs to one version; devices with an older one ask for theirs.",
            "version_policy { all { } }",
            "dynamic_batching {",
            f"  max_queue_delay_microseconds: {round(1e6 * limits.latency)}",
            f"  default_queue_policy {{ max_queue_size: {limits.queue} }}",
            "}",
            "",
        ]
    )


def inference_service(name: str) -> str:
    """The manifest of KServe; Kubernetes takes small letters, digits and hyphens as a name."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    label = label if label[:1].isalpha() else f"model-{label}"
    return f"""apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {label[:63].rstrip("-")}
spec:
  predictor:
    model:
      modelFormat:
        name: triton
      protocolVersion: v2
      runtime: kserve-tritonserver
      storageUri: pvc://CLAIM/PATH  # change to where this folder lies
"""
