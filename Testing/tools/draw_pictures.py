#!/usr/bin/env python3
"""Draws the panel in its states, and slice and 3-D views of a result, into Documentation/pictures.

    PYTHONPATH=Testing:IUINetSegmentation .venv/bin/python Testing/tools/draw_pictures.py [--scale 1.5]

The Chinese panel needs a font that has its characters: ``pip install '.[pictures]'`` brings one.

The panel is the real one on Qt in the test harness, the views are drawn by Slicer's own displayable managers;
neither is the Slicer application, and every picture says so.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODULE = "IUINetSegmentation"
CAPTION = "rendered by the test harness, not by 3D Slicer"
WIDTH = 460  # of the panel, as Slicer's is by default
VIEW = (420, 420)
STATES = ("set-up", "setting-up", "ready", "question", "running", "result", "error", "advanced", "chinese")
RESULTS = ("result", "chinese")
PIP_SAYS = [
    "Collecting torch>=2.10",
    "Downloading torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl (888.1 MB)",
]
PIP_SAYS += [f"Progress {part * 88_810_000} of 888100000" for part in range(1, 11)]


def main() -> int:
    """Draw all pictures; each state of the panel in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "Documentation" / "pictures")
    parser.add_argument("--scale", type=float, default=1.0, help="of the screen, such as 1.5")
    parser.add_argument("--state", choices=STATES, help="only this one, in this process")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.state:
        draw(options.state, options.out, options.scale)
        return 0
    environment = {**os.environ, "QT_SCALE_FACTOR": str(options.scale), "QT_QPA_PLATFORM": "offscreen"}
    environment |= {"VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("DISPLAY", None)
    for state in STATES:
        with tempfile.TemporaryDirectory() as home:
            words = [
                sys.executable,
                __file__,
                "--out",
                options.out,
                "--scale",
                options.scale,
                "--state",
                state,
            ]
            done = subprocess.run(
                list(map(str, words)), env={**environment, "IUINET_HOME": home}, check=False
            )
        if done.returncode:
            print(f"The state {state!r} could not be drawn.", file=sys.stderr)
            return 1
    return 0


def draw(state: str, out: Path, scale: float) -> None:
    """One state of the panel; with "result" also the views."""
    from harness.gui import boot_gui, close_panel, open_panel

    application = boot_gui()
    if state in ("set-up", "setting-up"):
        application.packages.hide("torch", "safetensors")
    if state == "chinese":
        application.app.applicationLocaleName = "zh-Hans"
        use_chinese_font()
    widget = open_panel(MODULE, ROOT / MODULE)
    try:
        panel = widget.panel
        widget.parent.resize(WIDTH, 900)
        with shown_state(state, application, panel):
            suffix = "" if scale == 1 else f"-{scale:.0%}".replace("%", "")
            grab(widget.parent, application, out / f"panel-{state}{suffix}.png")
            if state == "result" and scale == 1:
                draw_views(application, panel, out / "views.png")
    finally:
        close_panel(widget)


@contextmanager
def shown_state(state: str, application: Any, panel: Any) -> Iterator[None]:
    """Bring the panel into a state as a user would."""
    wait = waiter(application)
    if state not in ("set-up", "setting-up"):
        wait(lambda: panel.status.devices, 120)
    if state == "setting-up":
        set_up(application, panel, wait)
    elif state == "question":
        add_strange_volume(panel)
    else:
        panel.ui.sampleButton.click()
        wait(lambda: panel.ui.segmentButton.enabled, 60)
    if state in ("running", "error", *RESULTS):
        panel.ui.segmentButton.click()
    if state in ("running", "error"):
        wait(lambda: panel.controller.progress.stage == "segmenting" or not panel.controller.state.busy, 120)
    if state == "error":
        os.kill(panel.controller.client.pid, signal.SIGKILL)  # as a system without memory does
    if state in ("error", *RESULTS):
        wait(lambda: not panel.controller.state.busy, 300)
    if state == "advanced":
        panel.ui.advancedSection.collapsed = False
    wait(lambda: True)
    yield
    if panel.controller.state.busy:
        panel.ui.cancelButton.click()
        wait(lambda: not panel.controller.state.busy, 30)


def set_up(application: Any, panel: Any, wait: Callable[..., None]) -> None:
    """A set-up under way, with what the stand-in for pip says."""
    import ctk

    application.packages.pip(lines=PIP_SAYS, seconds=0.5)
    ctk.ctkMessageBox.answers.append("Ok")
    panel.ui.setUpButton.click()
    wait(lambda: panel.controller.progress.fraction >= 0.4, 60)


def use_chinese_font() -> None:
    """Chinese characters from Noto Sans SC (SIL Open Font License), all others as in the other pictures."""
    from importlib.resources import files

    from PySide6 import QtGui, QtWidgets

    path = files("pylopdf_fonts_zh_cn") / "NotoSansSC-Regular.otf"
    families = QtGui.QFontDatabase.applicationFontFamilies(QtGui.QFontDatabase.addApplicationFont(str(path)))
    font = QtWidgets.QApplication.font()
    font.setFamilies([font.family(), *families])
    QtWidgets.QApplication.setFont(font)


def add_strange_volume(panel: Any) -> None:
    """A volume that a person has to decide about."""
    import numpy as np
    from helpers.sample_ct import sample_ct

    from iuinet.volume import Volume
    from IUINetSegmentationLib.scene.volume_node import add_volume_node

    sample = sample_ct((96, 96, 48))
    array = np.clip(sample.array, -60, 90).astype(np.int16) + 600
    panel.ui.inputSelector.setCurrentNode(add_volume_node(Volume(array, sample.grid), "Study 3"))


def waiter(application: Any) -> Callable[..., None]:
    """wait(condition, seconds): let Qt work until it holds; what never comes is drawn as it is."""

    def wait(condition: Callable[[], object], seconds: float = 1.0) -> None:
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            application.app.processEvents()
            time.sleep(0.01)
        for _ in range(20):
            application.app.processEvents()

    return wait


def grab(widget: Any, application: Any, path: Path) -> None:
    """The widget as a picture, as high as its content, with the caption."""
    from PySide6 import QtCore, QtGui

    widget.resize(WIDTH, widget.sizeHint().height())
    for _ in range(10):
        application.app.processEvents()
    picture = widget.grab()
    ratio = picture.devicePixelRatio()
    framed = QtGui.QPixmap(picture.width(), picture.height() + round(18 * ratio))
    framed.setDevicePixelRatio(ratio)
    framed.fill(QtGui.QColor("white"))
    painter = QtGui.QPainter(framed)
    painter.drawPixmap(0, 0, picture)
    painter.setPen(QtGui.QColor("gray"))
    painter.setFont(QtGui.QFont(painter.font().family(), 7))
    height = picture.height() / ratio
    painter.drawText(QtCore.QRectF(4, height, WIDTH, 16), CAPTION)
    painter.end()
    framed.save(str(path))
    print(path)


def draw_views(application: Any, panel: Any, path: Path) -> None:
    """Three slices through the liver and the surfaces, in one picture."""
    import numpy as np
    import slicer
    from PIL import Image, ImageDraw

    from harness.views import ORIENTATIONS, SliceView, ThreeDView

    volume, node = panel.ui.inputSelector.currentNode(), panel.controller.node
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(400, 40)
    node.CreateClosedSurfaceRepresentation()
    point = node.GetSegmentCenterRAS(node.GetSegmentation().GetSegmentIdBySegmentName("liver"))
    logic = application.headless.logic
    views = [SliceView(logic, volume, name, VIEW, point).draw() for name in ORIENTATIONS]
    views.append(ThreeDView(logic, slicer.mrmlScene, VIEW).draw())
    picture = np.vstack([np.hstack(views[:2]), np.hstack(views[2:])])
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((6, picture.shape[0] - 14), CAPTION, fill=(200, 200, 200))
    # Full colour would take 350 kB. The default method gives up rare colours, which are the small organs.
    image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    sys.exit(main())
