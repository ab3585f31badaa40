"""One run from the click to the result, driven by ``poll``: nothing here waits, shows a dialog or needs Qt.

    controller = Controller(changed=panel.refresh)
    controller.start(volumeNode, None, Settings())
    while controller.poll():            # from a timer in the panel, from a loop in a script
        ...

The run is written as one generator, top to bottom; each ``yield`` gives the application its time. Cancelling
raises Cancelled inside it, closing the scene closes it, and in both cases its ``finally`` tidies up: then the
scene is as it was before the click.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import slicer

from iuinet.client import WorkerClient
from iuinet.download import Download
from iuinet.errors import Cancelled, IUINetError, WeightsError
from iuinet.labels import Organ, organs_of_model, select
from iuinet.unexpected import plain_error
from iuinet.volume import Volume
from iuinet.weights import Weights, find_entry, is_path, list_models, resolve
from iuinet.weights_folder import set_aside
from IUINetSegmentationLib.output import Replacement, check_replacement
from IUINetSegmentationLib.provenance import write_provenance
from IUINetSegmentationLib.region import box_of, crop, embed
from IUINetSegmentationLib.segmentation_node import check_output, fill_node, make_segments, result_node
from IUINetSegmentationLib.source import Source
from IUINetSegmentationLib.state import Progress, Settings, State
from IUINetSegmentationLib.volume_node import volume_from_node

_DETAILS = "The log says more."


class Controller:
    """Owns the worker process and at most one run.

    state, progress: where it stands. error: why it failed. report, node: what the last run gave.
    replacement: what that run took the place of, to be undone, or None. seconds: how long it took, however
    it ended, and import_seconds the part of it that the application spent on taking the result in.
    changed: called after every change of these. set_up: brings missing packages, called once at the start of
    a run; it raises Cancelled if the user declines.
    """

    def __init__(
        self,
        changed: Callable[[], None] = lambda: None,
        set_up: Callable[[], None] = lambda: None,
        log: Callable[[str], None] | None = None,
        python: str | None = None,
    ) -> None:
        self.state, self.progress = State.IDLE, Progress()
        self.error: IUINetError | None = None
        self.report: dict[str, Any] | None = None
        self.node: slicer.vtkMRMLSegmentationNode | None = None
        self.replacement: Replacement | None = None
        self.seconds = self.import_seconds = self._began = 0.0
        self.client = WorkerClient(python, log)
        self._changed, self._set_up = changed, set_up
        self._run: Iterator[None] | None = None
        self._cancelled = False
        self._afterwards = State.DONE

    def start(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        output: slicer.vtkMRMLSegmentationNode | None,
        settings: Settings,
    ) -> None:
        """Begin a run. Errors: IUINetError "busy" while another one is under way."""
        if self.state.busy:
            raise _busy()
        self.error = self.report = self.node = self.replacement = None
        self._cancelled, self._began = False, time.monotonic()
        self._enter(State.CHECKING)
        self._run, self._afterwards = self._flow(volume, output, settings), State.DONE

    def start_download(self, weights: str) -> None:
        """Begin to download a listed model and nothing else. Errors: as start."""
        if self.state.busy:
            raise _busy()
        self.error, self._cancelled, self._began = None, False, time.monotonic()
        self._enter(State.DOWNLOADING)
        self._run, self._afterwards = self._bring_weights(weights), State.IDLE

    def poll(self) -> bool:
        """Take the run one step further; gives whether it goes on."""
        if self._run is None:
            return False
        try:
            if self._cancelled:
                self._run.throw(Cancelled("the segmentation was cancelled", hint="Nothing was changed."))
            next(self._run)
        except StopIteration:
            self._end(self._afterwards)
        except Cancelled as error:
            self.error = error
            self._end(State.CANCELLED)
        except Exception as error:
            self.error = plain_error(error, _DETAILS)
            self.error.__cause__ = None if error is self.error else error
            self._end(State.FAILED)
        return self._run is not None

    def cancel(self) -> None:
        """Ask for the end of the run; poll brings it about within two seconds."""
        self._cancelled = self.state.busy

    def forget_error(self) -> None:
        """The user has seen why the last run failed."""
        if self.state is State.FAILED:
            self.error = None
            self._enter(State.IDLE)

    def abandon(self) -> None:
        """End a run at once and forget it: the scene that it belongs to goes away."""
        if self._run is not None:
            self._run.close()
            self._run = None
        self.report = self.node = self.replacement = None
        self._enter(State.IDLE)

    def close(self) -> None:
        """End the run and the worker process."""
        self.abandon()
        self.client.close()

    # The run ----------------------------------------------------------------------------------------

    def _flow(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        output: slicer.vtkMRMLSegmentationNode | None,
        settings: Settings,
    ) -> Iterator[None]:
        source = self._check(volume, output, settings)
        box = box_of(settings.region, volume) if settings.region is not None else None
        yield
        self._enter(State.SETTING_UP)
        self._set_up()
        yield from self._bring_weights(settings.weights)
        model = self._checked_model(settings.weights)
        table = organs_of_model(model.document)
        if settings.organs is not None:
            select(table, settings.organs)
        scan = volume_from_node(volume)
        labels, report = yield from self._segment(scan if box is None else crop(scan, box), model, settings)
        if box is not None:
            labels = embed(labels, box, source.shape)
        self._enter(State.IMPORTING)
        yield
        importing = time.monotonic()
        self.node = self._take_in(labels, report, table, source, output)
        self.report = report
        self.import_seconds = time.monotonic() - importing

    def _check(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        output: slicer.vtkMRMLSegmentationNode | None,
        settings: Settings,
    ) -> Source:
        """What can be refused at once is refused before a process starts."""
        volume_from_node(volume)
        source = Source.of(volume)
        if settings.replace and output is not None:
            check_replacement(output, source)
        else:
            check_output(output)
        return source

    def _bring_weights(self, weights: str | None) -> Iterator[None]:
        """Download the chosen model if it is listed and not here."""
        if weights is not None and is_path(weights):
            return
        default = next((entry for entry in list_models() if entry.default), None)
        entry = find_entry(weights) if weights is not None else default
        if entry is None or entry.path is not None or not entry.urls:
            return  # resolve says what is wrong, if anything is
        self._enter(State.DOWNLOADING)
        download = Download(entry)
        download.start()
        try:
            while not download.poll():
                if download.progress is not None:
                    step = download.progress
                    self._tell(Progress("downloading", step.received / step.total, step.note))
                yield
        finally:
            download.cancel()
        download.result()

    def _checked_model(self, weights: str | None) -> Weights:
        """The model, whole; a damaged one that can be had again is moved away, so that it is fetched anew."""
        try:
            return resolve(weights)
        except WeightsError as error:
            if error.code in ("weights-hash", "weights-damaged"):
                set_aside(weights)
            raise

    def _segment(self, volume: Volume, model: Weights, settings: Settings) -> Iterator[None]:
        """Hand the voxels to the worker and wait for its labels; gives labels and report."""
        self._enter(State.EXPORTING)
        run = self.client.start(
            volume,
            # The very file that was checked: the worker may know another folder of models.
            weights=str(model.path),
            device=settings.device,
            organs=settings.organs,
            islands=settings.islands,
            accept_warnings=settings.accept_warnings,
        )
        try:
            while not run.poll():
                for stage, fraction in run.take_steps():
                    if stage != "reading" and self.state is State.EXPORTING:
                        self._enter(State.RUNNING)
                    self._tell(Progress(stage, fraction, run.fallbacks[-1] if run.fallbacks else ""))
                try:
                    yield
                except Cancelled:
                    run.cancel()  # the worker gets a moment to obey; poll ends the run in any case
        finally:
            run.abandon()  # does nothing to a run that has ended
        return run.result()

    def _take_in(
        self,
        labels: Any,
        report: dict[str, Any],
        table: tuple[Organ, ...],
        source: Source,
        output: slicer.vtkMRMLSegmentationNode | None,
    ) -> slicer.vtkMRMLSegmentationNode | None:
        """Put the labels into the scene; without any organ nothing is made and None is given."""
        segments = make_segments(labels, table, source)
        if output is not None and not slicer.mrmlScene.IsNodePresent(output):
            output = None  # deleted meanwhile: the result gets a node of its own
        if not segments:
            return None
        if output is not None and output.GetSegmentation().GetNumberOfSegments():
            replacement = Replacement(output, [organ.name for organ in table])
            try:
                fill_node(output, segments, source)
            except BaseException:
                replacement.undo()
                raise
            self.replacement = replacement
            write_provenance(output, report)
            return output
        with result_node(output, f"{source.name} segmentation") as node:
            fill_node(node, segments, source)
            write_provenance(node, report)
        return node

    # Telling ----------------------------------------------------------------------------------------

    def _enter(self, state: State) -> None:
        self.state, self.progress = state, Progress()
        self._changed()

    def _tell(self, progress: Progress) -> None:
        if progress != self.progress:
            self.progress = progress
            self._changed()

    def _end(self, state: State) -> None:
        self._run = None
        self.seconds = time.monotonic() - self._began
        self._enter(state)


def _busy() -> IUINetError:
    return IUINetError(
        "a segmentation is under way", code="busy", hint="Wait until it is finished, or cancel it."
    )
