"""The module SampleData of Slicer as far as other modules use it: sources of samples, fetched and loaded.

Written from the documentation of its functions. A source that cannot be had gives no node, as the real one
does after three attempts; what was fetched stays in a cache.
"""

from __future__ import annotations

import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

CACHE = Path(tempfile.mkdtemp(prefix="iuinet-harness-cache-"))


@dataclass(frozen=True)
class SampleDataSource:
    """Where a sample comes from, and what it is called."""

    sampleName: str
    uris: str
    fileNames: str
    nodeNames: str
    thumbnailFileName: str | None


class SampleDataLogic:
    """sources: by category; titles: of the categories."""

    sources: dict[str, list[SampleDataSource]] = {}  # noqa: RUF012 - one for the application
    titles: dict[str, str] = {}  # noqa: RUF012

    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str) -> None:
        """Give a category its title."""
        SampleDataLogic.titles[category] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: str | None = None,
        fileNames: str | None = None,
        nodeNames: str | None = None,
        thumbnailFileName: str | None = None,
    ) -> None:
        """Offer a sample; once, however often it is asked for."""
        source = SampleDataSource(sampleName, uris, fileNames, nodeNames, thumbnailFileName)
        known = SampleDataLogic.sources.setdefault(category, [])
        if source not in known:
            known.append(source)

    def downloadSamples(self, sampleName: str) -> list[Any]:
        """Fetch a sample into the cache and load it; the nodes, none where that failed."""
        sources = [source for known in self.sources.values() for source in known]
        source = next((source for source in sources if source.sampleName == sampleName), None)
        if source is None:
            return []
        path = CACHE / source.fileNames
        try:
            if not path.exists():
                urllib.request.urlretrieve(source.uris, path)
        except OSError:
            path.unlink(missing_ok=True)
            return []
        node = slicer.modules.volumes.logic().AddArchetypeVolume(str(path), source.nodeNames, 0)
        return [node] if node is not None else []
