"""Pack pictures for a machine without a network: ``pack.py CELEBA OUT.tar``.

Whole people of CelebA's layout, every part in its share, up to 50 MB, with lists of the two
attributes in play.
"""

import argparse
import io
import tarfile
from pathlib import Path

import numpy as np
from common import TASK

from deepobfuscator.data.celeba import Celeba

MEGABYTES = 50


def main() -> None:
    """Write the archive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("celeba", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args()
    source = Celeba(chosen.celeba)
    table = source.read()
    people, person = np.unique(table.people(), return_inverse=True)
    files = [source.pictures / image for image in table.images]
    # In an archive every file has a header of 512 bytes and fills whole blocks.
    sizes = np.bincount(person, weights=[file.stat().st_size + 1024 for file in files])
    order = np.random.default_rng(0).permutation(len(people))
    kept = order[np.cumsum(sizes[order]) <= MEGABYTES * 1e6]
    rows = np.flatnonzero(np.isin(person, kept))
    images = [table.images[row] for row in rows]
    labels = table.columns((*TASK.public, *TASK.private))[rows]
    assert table.part is not None
    lists = {
        "list_attr_celeba.txt": [
            str(len(rows)),
            " ".join((*TASK.public, *TASK.private)),
            *(
                f"{i} {' '.join(str(2 * int(v) - 1) for v in values)}"
                for i, values in zip(images, labels, strict=True)
            ),
        ],
        "identity_CelebA.txt": [
            f"{i} {p}" for i, p in zip(images, table.people()[rows], strict=True)
        ],
        "list_eval_partition.txt": [
            f"{i} {p}" for i, p in zip(images, table.part[rows], strict=True)
        ],
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(chosen.out, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, lines in lists.items():
            content = ("\n".join(lines) + "\n").encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for image in images:
            archive.add(source.pictures / image, f"img_align_celeba/{image}")
    print(
        f"{chosen.out}: {len(rows)} pictures of {len(kept)} people, "
        f"{chosen.out.stat().st_size / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()
