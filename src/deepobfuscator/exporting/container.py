"""The Containerfile of an export: the server without torch, as a user without rights."""

import json
from collections.abc import Iterable

import deepobfuscator

CONTAINERFILE = "Containerfile"
BASE = "docker.io/library/python:3.12-slim"
NEEDS = (
    *("lazy_loader>=0.4", "deepobfuscator-edge", "h11>=0.14", "prometheus-client>=0.20"),
    *("starlette>=1", "uvicorn>=0.30"),
)
"""Requirements of ``deepobfuscator[serve]`` that the server imports; those of training are not."""
COMMAND = ("python", "-m", "deepobfuscator.serve", "/ship", "--host", "0.0.0.0")
"""What the container runs; words after the image's name are further options."""
USER = "65532:65532"


def containerfile(name: str, files: Iterable[str]) -> str:
    """The Containerfile for the model ``name`` in a folder that holds ``files``.

    Files are named one by one, so that nothing that was left in the folder gets into the image.
    """
    needs = " ".join(f'"{need}"' for need in NEEDS)
    return "\n".join(
        [
            "# In the folder above this one, which is called ship here:",
            f"#   podman build -t {name.lower()} ship",
            "#   podman run --read-only --cap-drop all --security-opt no-new-privileges "
            f"-p 8000:8000 {name.lower()}",
            f"FROM {BASE}",
            "ENV PYTHONDONTWRITEBYTECODE=1",
            "# deepobfuscator[serve] without what training needs: the server imports no torch.",
            "RUN python -m pip install --no-cache-dir --no-deps "
            f"deepobfuscator=={deepobfuscator.__version__} \\",
            f" && python -m pip install --no-cache-dir {needs}",
            f"COPY --chmod=0444 {' '.join(sorted(files))} /ship/",
            f"USER {USER}",
            "EXPOSE 8000",
            f"ENTRYPOINT {json.dumps(COMMAND)}",
            "",
        ]
    )
