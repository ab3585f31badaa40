"""The panel's first line: is this computer ready, with what, and how long will it take.

How long: from runs of the past, before the first one from a calibration. A run costs the network's time,
which depends on model, device and passes alone, and the time for the voxels, which grows with their number.
Both are remembered in the user's folder; no name, path or image is.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from iuinet.devices import chosen_gpu
from iuinet.errors import IUINetError
from iuinet.files import atomic
from iuinet.options import Options
from iuinet.weights.places import user_folder
from IUINetSegmentationLib.controller import Controller
from IUINetSegmentationLib.language import error_text, localized
from IUINetSegmentationLib.packages import Plan, make_plan, slicer_too_old
from IUINetSegmentationLib.state import State

_NAME = re.compile(r"[\w.-]+")  # of a package, before its version
WORTH_HALVING_S = 60.0  # expected seconds from which on the strip shows what Fast would take
KEPT_RUNS = 5
# Seconds per million voxels for the rest of the work, before any run was timed: measured on two slow cores.
FIRST_RATE = 0.02


class StatusStrip:
    """Shows what the worker finds and how long a run takes, in one line; never a dialog.

    found: called with what there is. chosen: returns the options of the run to be timed, None while the model
    is not here; each choice is timed once per session.
    devices: what the probe found, {} before. plan: what is missing. error: why there is no probe, or None;
    too_old: the error of a Slicer with which none can be.
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
        self.too_old = slicer_too_old()
        self.error: IUINetError | None = self.too_old
        self._probe: Any = None

    def begin(self) -> None:
        """Look for packages, and where they are there, start the probe in the worker; waits for nothing."""
        if self.too_old is not None:
            return
        self.plan = make_plan()
        self.error = None
        if self.plan.needed or self._probe is not None or self._controller.state.busy:
            return
        self._timing = self._chosen()
        if self.devices and self._timing in self._timed:
            return
        try:
            self._probe = self._controller.client.start_probe(self._timing)
        except IUINetError as error:
            self.error = error

    def poll(self) -> bool:
        """Take the probe further; returns whether it is still under way."""
        if self._probe is None or not self._probe.poll():
            return self._probe is not None
        probe, self._probe = self._probe, None
        known = self.devices.get("network_seconds", {})
        try:
            self.devices = probe.result()
        except IUINetError as error:
            self.error = error
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
        """Show the present state.

        weights: SHA-256 of the chosen model. voxels: of the chosen volume, or 0. passes: of the network.
        """
        needed = self.plan is not None and self.plan.needed
        self._button.visible = needed
        if self._controller.state is State.SETTING_UP:
            self._label.text = _("IUINet is being set up…")
        elif needed:  # not self._button.visible: that is false while the user is in another module
            self._label.text = set_up_text(self.plan)
        elif self.error is not None:
            self._label.text = f"⚠ {error_text(self.error)}"
        elif not self.devices:
            self._label.text = _("Looking at this computer…")
        else:
            self._label.text = self._ready(device, weights, voxels, passes)

    def _ready(self, device: str, weights: str, voxels: int, passes: int) -> str:
        gpu = chosen_gpu(self.devices, device)
        time, fast = self._times(gpu, weights, voxels, passes)
        if gpu is not None:
            text = _("Ready – {name}, {free:.1f} GB free").format(name=gpu["name"], free=gpu["free"] / 1e9)
            return f"{text}, {time}{fast}" if time else text
        where = _("{time} on the CPU").format(time=time) + fast if time else _("the CPU will be used")
        if device == "cpu":
            return _("Ready – {where}").format(where=where)
        if not self.devices["gpus"]:
            return _("Ready – no GPU: {where}").format(where=where)
        gpu = self.devices["gpus"][0]
        if gpu["name"] and gpu["advice"]:
            text = _("Ready – {where}. The GPU {name} is not used: {reason}. {advice}")
        elif gpu["advice"]:  # it has no name where its driver does not even open it
            text = _("Ready – the GPU cannot be used ({reason}): {where}. {advice}")
        else:
            text = _("Ready – the GPU cannot be used ({reason}): {where}")
        words = {key: localized(gpu[key]) for key in ("reason", "advice")}
        return text.format(where=where, name=gpu["name"], **words)

    def _times(self, gpu: dict[str, Any] | None, weights: str, voxels: int, passes: int) -> tuple[str, str]:
        """How long the run will take, and with Fast where that is worth it; "" for what is not known."""
        name = gpu["name"] if gpu is not None else "cpu"
        calibrated = self.devices.get("network_seconds", {}).get(gpu["device"] if gpu else "cpu", {})
        network = calibrated.get(weights)
        seconds = expected_seconds(name, weights, voxels, network, passes) if voxels else None
        if seconds is None:
            return "", ""
        if passes == 1 or seconds < WORTH_HALVING_S:
            return in_words(seconds), ""
        fast = expected_seconds(name, weights, voxels, network)
        return in_words(seconds), _(" (Fast: {time})").format(time=in_words(fast))


def set_up_text(plan: Plan) -> str:
    """What is missing, in one line."""
    return _("Set-up needed (about {size:.1f} GB to download)").format(size=max(plan.download, 1e8) / 1e9)


def set_up_question(plan: Plan, model_bytes: int) -> str:
    """The text of the one dialog: what, how much, where to, and that images stay here."""
    needed = [_("PyTorch (about {size:.1f} GB)").format(size=plan.download / 1e9)] if plan.torch else []
    needed += [_NAME.match(line).group() for line in plan.requirements if not line.startswith("torch>")]
    if model_bytes:
        needed.append(_("the model (about {size:.0f} MB)").format(size=model_bytes / 1e6))
    replaced = ""
    if plan.replaces:
        replaced = _(
            "PyTorch {version}, with which IUINet does not work, is replaced for all extensions.\n\n"
        ).format(version=plan.replaces)
    return _(
        "Needed once, to run the model: {needed}.\n\n{replaced}It goes to {folder} and takes about"
        " {disk:.1f} GB of disk space, of which {free:.0f} GB are free.\n\n"
        "Nothing about your images leaves this computer."
    ).format(
        needed=", ".join(needed),
        replaced=replaced,
        folder=plan.folder,
        disk=plan.disk / 1e9,
        free=plan.free / 1e9,
    )


def expected_seconds(
    device: str, weights: str, voxels: int, network_seconds: float | None, passes: int = 1
) -> float | None:
    """Seconds that a run will probably take; None where nothing is known.

    device: as reports name it. weights: SHA-256 of the model. network_seconds: what the probe measured of
    this model on this device (``iuinet.worker.calibration``), None if it could not. passes: of the network.
    """
    runs = _read_runs().get(_run_key(device, weights), [])
    if runs:
        network = statistics.median(run["network"] for run in runs)
        rate = statistics.median(run["rate"] for run in runs)
    elif network_seconds is not None:
        network, rate = network_seconds, FIRST_RATE
    else:
        return None
    return passes * network + rate * voxels / 1e6


def remember_run(report: Mapping[str, Any], total_seconds: float) -> None:
    """Learn from a finished run. A file that cannot be written is not a reason to disturb anyone.

    report: the run's report. total_seconds: from the click to the result.
    """
    voxels = 1
    for count in report["input"]["size"]:
        voxels *= count
    network = report["seconds"].get("segmenting", 0.0)
    rest = max(0.0, total_seconds - network)
    document = _read_runs()
    key = _run_key(report["device"], report["weights"]["sha256"])
    runs = [*document.get(key, []), {"network": network / report["passes"], "rate": rest / voxels * 1e6}]
    document[key] = runs[-KEPT_RUNS:]
    with suppress(Exception):
        _timing_file().parent.mkdir(parents=True, exist_ok=True)
        with atomic(_timing_file(), overwrite=True) as draft:
            draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def in_words(seconds: float) -> str:
    """About how long, in everyday words."""
    if seconds < 5:
        return _("about 5 s")
    if seconds < 90:
        return _("about {seconds} s").format(seconds=5 * round(seconds / 5))
    return _("about {minutes:.0f} min").format(minutes=seconds / 60)


def _run_key(device: str, weights: str) -> str:
    return f"{device} {weights[:16]}"


def _read_runs() -> dict[str, Any]:
    with suppress(OSError, ValueError):
        document = json.loads(_timing_file().read_text(encoding="utf-8"))
        if isinstance(document, dict):
            return document
    return {}


def _timing_file() -> Path:
    return user_folder() / "timing.json"
