"""The whole of preparing: find the data, look at everything, make what is missing, the index last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path

import iuinet
from iuinet.console import Console
from iuinet.errors import InputRefused, UsageError
from iuinet.writing import write_json
from pipeline.generated.files import is_generated

from .arrays import ARRAYS, RECIPE, ArrayJob, array_bytes, array_name, is_prepared, prepare_arrays
from .checks import check_all
from .facts import Facts, LookJob, grid_from_json, look
from .findings import REFUSED, UNKNOWN, Finding, Found, Source, is_excluded, without_excluded
from .nnunet import find_nnunet
from .parallel import run_all
from .prepared import FACTS, FORMAT, INDEX, Case, check_space
from .raw_files import common_root, list_files
from .synapse import find_synapse
from .transunet import find_transunet


@dataclass
class Settings:
    """How to prepare. exclude: ids or patterns. console: where progress shows."""

    size: int = 128
    exclude: Sequence[str] = ()
    workers: int = 1
    partial: bool = False
    console: Console = field(default_factory=lambda: Console(silent=True))


@dataclass
class Checked:
    """What looking at everything found.

    sources: those that will be prepared. excluded: ids left out by hand.
    unmatched: what was to be excluded and is not there.
    """

    found: Found
    sources: list[Source]
    facts: dict[str, Facts]
    findings: list[Finding]
    excluded: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many findings forbid to go on."""
        return sum(finding.severity == REFUSED for finding in self.findings)

    def enforce(self) -> None:
        """Refuse what must not be prepared.

        Raises: InputRefused "data-refused" for findings that forbid it, "no-data" where no case is left.
        """
        if self.refused:
            raise InputRefused(
                f"{self.refused} findings forbid to use these data; nothing was prepared.",
                hint="Correct what the table names, or leave these cases out with --exclude ID.",
                code="data-refused",
            )
        if not self.sources:
            hint = "See the table, and --exclude."
            raise InputRefused("No case is left to prepare.", hint=hint, code="no-data")

    def to_json(self) -> dict:
        """The findings as a document."""
        return {
            "format": 1,
            "data": self.found.name,
            "cases": sum(source.kind == "case" for source in self.sources),
            "pairs": sum(source.kind == "pair" for source in self.sources),
            "refused": self.refused,
            "excluded": self.excluded,
            "findings": [asdict(finding) for finding in self.findings],
        }


def find_sources(
    raws: Sequence[Path], organs: Path | None, pairs: bool, label_map: str | None = None
) -> Found:
    """Look through the raw folders for data in nnU-Net's or TransUNet's layout, else for the Synapse set.

    organs: TOML file with organs, as ``organs`` describes it. pairs: whether registered pairs are looked for.
    label_map: name of the numbers that a copy of the Synapse set has (``organs.label_maps``).
    Raises: UsageError and InputRefused where there is nothing to use.
    """
    root = common_root(raws)
    if len(raws) == 1 and (found := find_nnunet(root, organs)) is not None:
        if label_map:
            text = f"--label-map {label_map} is given, but dataset.json names the organs"
            raise UsageError(text, hint="Leave it out, or correct dataset.json.", code="label-map")
        return found
    files = list_files(raws, root)
    if (found := find_transunet(root, files, organs, label_map or "transunet")) is not None:
        return found
    found = find_synapse(root, files, pairs, organs, label_map)
    zips = [place for place in files if place.lower().endswith(".zip")]
    if zips:
        found.notes.append(f"Zip files are not read: {', '.join(zips)}. Unzip what is to be used.")
    if not found.sources and not found.findings:
        layouts = (
            "Give the folder of the Synapse abdomen set (img/img0001.nii.gz, label/label0001.nii.gz), "
            "TransUNet's (train_npz, test_vol_h5), or one in nnU-Net's raw layout (dataset.json, imagesTr, "
            "labelsTr)."
        )
        raise UsageError(
            f"no images with labels were found in {', '.join(str(raw) for raw in raws)}",
            hint=f"Zip files are not read: unzip {', '.join(zips)} there first." if zips else layouts,
            code="no-data",
        )
    return found


def check(found: Found, settings: Settings, out: Path | None) -> Checked:
    """Look at every source that is not excluded. out: folder that keeps what was found out, or None."""
    excluded = [source.id for source in found.sources if is_excluded(source.id, settings.exclude)]
    found.sources = [source for source in found.sources if source.id not in set(excluded)]
    jobs = [LookJob(found.root, source, out and out / FACTS, found.air) for source in found.sources]
    looked = run_all("checking", look, jobs, settings.workers, settings.console)
    facts = {source.id: one for source, one in zip(found.sources, looked, strict=True)}
    findings = check_all(found, facts, settings.exclude, settings.partial)
    known = [*excluded, *(finding.case for finding in findings if finding.case)]
    unmatched = [one for one in settings.exclude if not any(is_excluded(case, [one]) for case in known)]
    findings = without_excluded(findings, settings.exclude)
    left_out = {finding.case for finding in findings if finding.left_out}
    sources = [source for source in found.sources if source.id not in left_out]
    return Checked(found, sources, facts, findings, excluded, unmatched)


def prepare(checked: Checked, settings: Settings, out: Path) -> tuple[int, int]:
    """Make the arrays that are missing and write the index; returns how many were made and were there.

    Raises: InputRefused "data-refused" for findings, OutputError "disk-full" before and during the work.
    """
    checked.enforce()
    found, cases, jobs = checked.found, [], []
    for source in checked.sources:
        case = _case(source, checked.facts[source.id], found, settings.size)
        cases.append(case)
        file = out / ARRAYS / case.arrays
        if not is_prepared(file, settings.size):
            hashes = (case.image_sha256, case.label_sha256)
            jobs.append(ArrayJob(found.root, source, hashes, settings.size, found.ignore, file))
    check_space(out, len(jobs), len(jobs) * array_bytes(settings.size))
    run_all("preparing", prepare_arrays, jobs, settings.workers, settings.console)
    write_json(out / INDEX, _index(checked, cases, settings), overwrite=True)
    return len(jobs), len(cases) - len(jobs)


def _case(source: Source, facts: Facts, found: Found, size: int) -> Case:
    hashes = (facts.image_sha256, facts.label_sha256)
    voxels = {UNKNOWN if label == found.ignore else label: count for label, count in facts.voxels.items()}
    file = array_name(source.id, hashes, size, found.ignore)
    own = None if facts.label_grid["size"] == facts.grid["size"] else grid_from_json(facts.label_grid)
    return Case(*astuple(source), *hashes, grid_from_json(facts.grid), file, voxels, own)


def _index(checked: Checked, cases: list[Case], settings: Settings) -> dict:
    found = checked.found
    content = {
        "format": FORMAT,
        "software": iuinet.__version__,
        "recipe": RECIPE,
        "name": found.name,
        "size": settings.size,
        "organs": list(found.organs),
        "ignore": found.ignore,
        "splits": found.splits,
    }
    # Only where declared, so that data without a word of it keep their fingerprint.
    told = {"labelled_only": found.labelled, "clipped": found.clipped, "air": found.air}
    told |= {} if found.millimetres else {"millimetres": False}
    content |= {key: value for key, value in told.items() if value is not None}
    files = [[case.id, case.kind, case.atlas, case.image_sha256, case.label_sha256] for case in cases]
    what = json.dumps([content, files], sort_keys=True, ensure_ascii=False)
    return {
        **content,
        "fingerprint": hashlib.sha256(what.encode()).hexdigest(),
        "root": str(found.root),
        "layout": found.layout,
        "generated": is_generated(found.root),
        "excluded": checked.excluded,
        "left_out": sorted({finding.case for finding in checked.findings if finding.left_out}),
        "cases": [case.to_json() for case in cases],
    }
