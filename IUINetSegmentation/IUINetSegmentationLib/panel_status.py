"""The panel's first line: is this computer ready, with what, and how long will it take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from iuinet.errors import IUINetError
from iuinet.options import Options
from iuinet.probe import chosen_gpu
from IUINetSegmentationLib import timing
from IUINetSegmentationLib.controller import Controller
from IUINetSegmentationLib.packages import Plan, make_plan

WORTH_HALVING_S = 60.0  # expected seconds from which on the strip says what Fast would take


class StatusStrip:
    """Asks the worker what there is and how long a run takes, and says it in one line; never a dialog.

    found: called with what there is. chosen: returns the options of the run to be timed, None while the model
    is not here; each choice is timed once per session.
    devices: what the probe found, {} before. plan: what is missing.
    """

    def __init__(
        self,
        ui: Any,
        controller: Controller,
        found: Callable[[dict[str, Any]], None],
        chosen: Callable[[], Options | None],
    ) -> None:
        self._label, self._button = ui.statusLabel, ui.setUpButton
        self._controller, self._found, self._chosen = controller, found, chosen
        self._timed: set[Options | None] = {None}
        self._timing: Options | None = None
        self.devices: dict[str, Any] = {}
        self.plan: Plan | None = None
        self._error: IUINetError | None = None
        self._probe: Any = None

    def begin(self) -> None:
        """Look for packages, and where they are there, start the probe in the worker; waits for nothing."""
        self.plan = make_plan()
        self._error = None
        if self.plan.needed or self._probe is not None or self._controller.state.busy:
            return
        self._timing = self._chosen()
        if self.devices and self._timing in self._timed:
            return
        try:
            self._probe = self._controller.client.start_probe(self._timing)
        except IUINetError as error:
            self._error = error

    def poll(self) -> bool:
        """Take the probe further; gives whether it is still under way."""
        if self._probe is None or not self._probe.poll():
            return self._probe is not None
        probe, self._probe = self._probe, None
        known = self.devices.get("network_seconds", {})
        try:
            self.devices = probe.result()
        except IUINetError as error:
            self._error = error
            return False
        for device, seconds in self.devices["network_seconds"].items():
            known[device] = known.get(device, {}) | seconds
        self.devices["network_seconds"] = known
        self._timed.add(self._timing)
        self._found(self.devices)
        self.begin()  # the user may have chosen something else meanwhile
        return self._probe is not None

    def stop(self) -> None:
        """Give up the probe: the user leaves, or a run needs the worker."""
        if self._probe is not None:
            self._probe.drop()
            self._probe = None

    def show(self, device: str, weights: str, voxels: int, passes: int) -> None:
        """Say how things stand.

        weights: SHA-256 of the chosen model. voxels: of the chosen volume, or 0. passes: of the network.
        """
        self._button.visible = self.plan is not None and self.plan.needed
        if self._button.visible:
            self._label.text = set_up_text(self.plan)
        elif self._error is not None:
            self._label.text = f"⚠ {self._error.message} {self._error.hint}"
        elif not self.devices:
            self._label.text = _("Looking at this computer…")
        else:
            self._label.text = self._ready(device, weights, voxels, passes)

    def _ready(self, device: str, weights: str, voxels: int, passes: int) -> str:
        gpu = chosen_gpu(self.devices, device)
        if gpu is not None:
            text = _("Ready – {name}, {free:.1f} GB free").format(name=gpu["name"], free=gpu["free"] / 1e9)
        elif self.devices["gpus"] and device == "auto":
            reason = self.devices["gpus"][0]["reason"]
            text = _("Ready – the GPU cannot be used ({reason}); the CPU will be").format(reason=reason)
        else:
            text = _("Ready – CPU") if device == "cpu" else _("Ready – no GPU, the CPU will be used")
        name = gpu["name"] if gpu is not None else "cpu"
        calibrated = self.devices.get("network_seconds", {}).get(gpu["device"] if gpu else "cpu", {})
        if not voxels:
            return text
        network = calibrated.get(weights)
        seconds = timing.expected_seconds(name, weights, voxels, network, passes)
        if seconds is None:
            return text
        text = f"{text}, {timing.in_words(seconds)}"
        if passes > 1 and seconds >= WORTH_HALVING_S:
            fast = timing.expected_seconds(name, weights, voxels, network)
            text = _("{text} (Fast: {time})").format(text=text, time=timing.in_words(fast))
        return text


def set_up_text(plan: Plan) -> str:
    """What is missing, in one line."""
    return _("Set-up needed (about {size:.1f} GB to download)").format(size=max(plan.download, 1e8) / 1e9)


def set_up_question(plan: Plan, model_bytes: int) -> str:
    """The text of the one dialog: what, how much, where to, and that images stay here."""
    needed = [_("PyTorch (about {size:.1f} GB)").format(size=plan.download / 1e9)] if plan.torch else []
    needed += [line.partition(">")[0].partition("=")[0] for line in plan.packages]
    if model_bytes:
        needed.append(_("the model (about {size:.0f} MB)").format(size=model_bytes / 1e6))
    return _(
        "Needed once: {needed}.\n\nIt goes to {folder} and takes about {disk:.1f} GB of disk space, of which "
        "{free:.0f} GB are free.\n\nNothing about your images leaves this computer."
    ).format(needed=", ".join(needed), folder=plan.folder, disk=plan.disk / 1e9, free=plan.free / 1e9)
