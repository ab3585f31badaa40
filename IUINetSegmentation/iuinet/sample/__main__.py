"""``python -m iuinet.sample FOLDER``: draws the standard CT into a folder, for ``drawing.SampleDrawing``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from iuinet.protocol import describe_volume, write_array
from iuinet.sample import make_sample

VOXELS, DESCRIPTION = "voxels.raw", "volume.json"


def main() -> None:
    """Write the voxels, and how to read them."""
    folder = Path(sys.argv[1])
    volume = make_sample().volume
    write_array(folder / VOXELS, volume.array)
    description = describe_volume(volume, folder / VOXELS)
    (folder / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")


if __name__ == "__main__":
    main()
