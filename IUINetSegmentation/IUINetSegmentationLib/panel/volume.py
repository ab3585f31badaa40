"""The panel's line under the volume selector: what the chosen volume is, and what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slicer.i18n import tr as _

from iuinet.checks import NOTE, REFUSE, WARNING, Finding, check_extent, check_volume
from iuinet.errors import IUINetError
from iuinet.volume import Volume
from IUINetSegmentationLib.language import sentence
from IUINetSegmentationLib.scene.views import show_volume
from IUINetSegmentationLib.scene.volume_node import (
    REAL_SAMPLE,
    add_real_sample_node,
    add_sample_node,
    box_of,
    sample_node,
    volume_from_node,
)

# What can be done at once about a finding, by its code: the name of an action.
REMEDIES = {"non-linear-transform": "harden", "much-memory": "region"}
# The same where the box to segment in is what is wrong.
BOX_REMEDIES = dict.fromkeys(
    ("region-empty", "region-outside", "too-few-slices", "few-slices", "too-small", "small"), "place"
)


class InputLine:
    """Looks at a volume as soon as it is chosen; nothing of it is changed.

    refused: whether it cannot be segmented. warned: whether a person has to decide. accepted: whether one
    did, for this volume only. actions: what the button beside the line can do, by name.
    """

    def __init__(
        self, ui: Any, changed: Callable[[], None], actions: Mapping[str, Callable[[], None]]
    ) -> None:
        self._label, self._button, self._remedy = ui.checksLabel, ui.segmentAnywayButton, ui.inputRemedyButton
        self._changed, self._actions, self._offered = changed, actions, ""
        self._accepted: set[str] = set()
        self._node_id = ""
        self.refused = self.warned = False
        self.volume: Volume | None = None
        self._of_voxels: list[Finding] = []
        self._button.connect("toggled(bool)", self._on_accept)
        self._remedy.connect("clicked(bool)", self._on_remedy)

    @property
    def accepted(self) -> bool:
        """Whether the user wants to go on in spite of the warning."""
        return self._node_id in self._accepted

    def show(self, node: Any, region: Any = None, dragged: bool = False) -> None:
        """Look at this volume node, None for no volume, or at the part of it inside a region.

        dragged: the region moves, and many looks a second are wanted: what was found of the voxels stays.
        """
        self.refused = self.warned = False
        self.volume = None
        self._node_id = node.GetID() if node is not None else ""
        findings: list[Finding] = []
        lines: list[str] = []
        remedies = REMEDIES if region is None else REMEDIES | BOX_REMEDIES
        if node is not None:
            try:
                self.volume = volume_from_node(node)
                if region is not None:
                    self.volume = self.volume.part(box_of(region, node))
                    lines.append(describe_box(region))
                extent = check_extent(self.volume)
                findings = [*extent, *self._of_voxels] if dragged else check_volume(self.volume)
                codes = {finding.code for finding in extent}
                self._of_voxels = [finding for finding in findings if finding.code not in codes]
                lines.insert(0, describe(self.volume))
            except IUINetError as error:
                findings = [Finding(error.code, REFUSE, error.message, error.hint)]
        self.refused = any(finding.severity == REFUSE for finding in findings)
        self.warned = not self.refused and any(finding.severity == WARNING for finding in findings)
        if node is None:
            lines = [
                _(
                    "Select a CT volume, or load one: by Slicer's module DICOM, or by dragging its file onto"
                    " the window."
                )
            ]
        self._label.text = "\n".join([*lines, *words(findings)])
        self._button.visible = self.warned
        self._button.blockSignals(True)
        self._button.checked = self.accepted
        self._button.blockSignals(False)
        offers = {
            "harden": _("Harden a copy"),
            "region": _("Use a region"),
            "place": _("Place the box over the scan"),
        }
        self._offered = next((remedies[f.code] for f in findings if f.code in remedies), "")
        self._remedy.visible = bool(self._offered)
        self._remedy.text = offers.get(self._offered, "")

    def _on_remedy(self) -> None:
        self._actions[self._offered]()

    def _on_accept(self, accepted: bool) -> None:
        if accepted:
            self._accepted.add(self._node_id)
        else:
            self._accepted.discard(self._node_id)
        self._changed()


def choose_sample(ui: Any) -> None:
    """Load the generated CT, show and choose it.

    Raises: InputRefused for a damaged installation.
    """
    node = sample_node() or add_sample_node(_("Sample CT (generated)"))
    show_volume(node)
    ui.inputSelector.setCurrentNode(node)


def choose_real_sample(ui: Any) -> None:
    """Let Slicer's Sample Data module bring a CT of a person, show and choose it.

    Raises: IUINetError "sample-download" where it cannot.
    """
    node = sample_node(REAL_SAMPLE)
    if node is None:
        ui.checksLabel.text = _("Slicer downloads the sample; it stands still meanwhile…")
        ui.checksLabel.repaint()
        node = add_real_sample_node()
    show_volume(node)
    ui.inputSelector.setCurrentNode(node)


def describe_box(region: Any) -> str:
    """The box to segment in, and how it is moved."""
    size = " × ".join(f"{side:.0f}" for side in region.GetSize())
    return _("Only inside the box {name} ({size} mm): drag its handles in the slice views.").format(
        name=repr(region.GetName()), size=size
    )


def describe(volume: Volume) -> str:
    """The volume in one line: modality, voxels, spacing in mm."""
    size = " × ".join(str(count) for count in volume.grid.size)
    spacing = " × ".join(f"{step:.3g}" for step in volume.grid.spacing)
    return _("{modality}, {size} voxels of {spacing} mm").format(
        modality=volume.modality or _("Modality not stated"), size=size, spacing=spacing
    )


def words(findings: list[Finding]) -> list[str]:
    """The findings as lines; a sign before each shows how grave it is, without color."""
    signs = {REFUSE: "✕", WARNING: "⚠", NOTE: "ℹ"}
    return [
        f"{signs[finding.severity]} {sentence(finding.message)} {sentence(finding.hint)}"
        for finding in findings
    ]
