"""One run from the click to the result, driven by ``poll``: nothing here waits, shows a dialog or needs Qt.

    controller = Controller(changed=panel.refresh)
    controller.start(volumeNode, None, Settings())
    while controller.poll():            # from a timer in the panel, from a loop in a script
        ...

The run is written as one generator, top to bottom; each ``yield`` lets the application go on. Cancelling
raises Cancelled inside it, closing the scene closes it, and in both cases its ``finally`` tidies up: then the
scene is as it was before the click.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import slicer

from iuinet.errors import Cancelled, IUINetError, WeightsError, plain_error
from iuinet.labels import Organ, organs_of_model
from iuinet.options import Options
from iuinet.report import algorithm_name
from iuinet.volume import Volume
from iuinet.weights import Weights, find_entry, is_path, list_models
from iuinet.weights.download import Download
from iuinet.weights.user_folder import set_aside
from iuinet.worker import WorkerClient
from IUINetSegmentationLib.installing import Installation
from IUINetSegmentationLib.scene.place import Source
from IUINetSegmentationLib.scene.segmentation_node import (
    Replacement,
    Result,
    check_output,
    check_replacement,
    make_segments,
    take_in,
)
from IUINetSegmentationLib.scene.sequences import Job, frames_of, name_frame
from IUINetSegmentationLib.scene.volume_node import box_of, volume_from_node
from IUINetSegmentationLib.state import Progress, Settings, State

_DETAILS = "The log says more."


class Controller:
    """Owns the worker process and at most one run.

    state, progress: where it stands. error: why it failed. report, node: what the last run returned, also
    after a later one that was cancelled; reports: one for each frame, where a sequence was segmented, report
    being that of the frame that is shown.
    replacement: what that run took the place of, to be undone, or None. seconds: how long it took, however
    it ended, and import_seconds the part of it that the application spent on taking the result in.
    changed: called after every change of these. set_up: called once at the start of a run; returns the
    installation of what is missing, None where nothing is, and raises Cancelled if the user declines.
    """

    def __init__(
        self,
        changed: Callable[[], None] = lambda: None,
        set_up: Callable[[], Installation | None] = lambda: None,
        log: Callable[[str], None] | None = None,
        python: str | None = None,
    ) -> None:
        self.state, self.progress = State.IDLE, Progress()
        self.error: IUINetError | None = None
        self.report: dict[str, Any] | None = None
        self.reports: list[dict[str, Any]] = []
        self.node: slicer.vtkMRMLSegmentationNode | None = None
        self.replacement: Replacement | None = None
        self.seconds = self.import_seconds = self._began = 0.0
        self.client = WorkerClient(python, log)
        self._changed, self._set_up = changed, set_up
        self._run: Iterator[None] | None = None
        self._cancelled = self._stepping = self._abandoned = self._scene_gone = False
        self._afterwards = State.DONE
        self._frame, self._frames = 0, 1

    def start(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        output: slicer.vtkMRMLSegmentationNode | None,
        settings: Settings,
    ) -> None:
        """Begin a run.

        Raises: IUINetError "busy" for a second one.
        """
        if self.state.busy:
            raise _busy()
        self.error, self._cancelled, self._scene_gone = None, False, False
        self._began = time.monotonic()
        self._enter(State.CHECKING)
        self._run, self._afterwards = self._flow(volume, output, settings), State.DONE

    def start_download(self, weights: str) -> None:
        """Begin to download a listed model and nothing else.

        Raises: as start.
        """
        self._start_beside(State.DOWNLOADING, self._bring_weights(weights))

    def start_set_up(self) -> None:
        """Begin to bring the missing packages and nothing else.

        Raises: as start.
        """
        self._start_beside(State.SETTING_UP, self._bring_packages())

    def _start_beside(self, state: State, work: Iterator[None]) -> None:
        if self.state.busy:
            raise _busy()
        self.error, self._cancelled, self._began = None, False, time.monotonic()
        self._enter(state)
        self._run, self._afterwards = work, State.IDLE

    def poll(self) -> bool:
        """Take the run one step further; returns whether it goes on."""
        if self._run is None:
            return False
        if self._stepping:  # a step that lets the application work, as installing packages does
            return True
        self._stepping = True
        try:
            if self._cancelled:
                self._run.throw(Cancelled())
            next(self._run)
        except StopIteration:
            self._end(self._afterwards)
        except Cancelled as error:
            self.error = error
            self._end(State.CANCELLED)
        except Exception as error:
            self.error = plain_error(error, _DETAILS)
            self.error.__cause__ = None if error is self.error else error
            if self._afterwards is State.DONE:
                self._forget_result()
            self._end(State.FAILED)
        finally:
            self._stepping = False
        if self._abandoned:
            self.abandon()
        return self._run is not None

    def cancel(self) -> None:
        """Request the end of the run; poll brings it about within two seconds."""
        self._cancelled = self.state.busy

    def forget_error(self) -> None:
        """The user has seen why the last run failed."""
        if self.state is State.FAILED:
            self.error = None
            self._enter(State.IDLE)

    def leave_scene(self) -> None:
        """The scene goes away: end what belongs to it. Packages on their way are not stopped by that."""
        if self.state is State.SETTING_UP:
            self._scene_gone, self._afterwards = True, State.IDLE
            self._forget_result()
        else:
            self.abandon()

    def abandon(self) -> None:
        """End a run at once and forget it."""
        self._abandoned = self._stepping  # a step under way ends first
        if self._run is not None and not self._stepping:
            self._run.close()
            self._run = None
        self._forget_result()
        self._frame, self._frames = 0, 1
        self._enter(State.IDLE)

    def _forget_result(self) -> None:
        self.report = self.node = self.replacement = None
        self.reports = []

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
        # What can be refused at once is refused before a process starts.
        job = Job(volume_from_node(volume), Source.of(volume))
        source = job.source
        if settings.replace and output is not None:
            check_replacement(output, source)
        else:
            check_output(output)
        options = settings.options
        if settings.region is not None:
            box = box_of(settings.region, volume)
            options = replace(options, region=[(edges.start, edges.stop) for edges in box])
        yield
        self._enter(State.SETTING_UP)
        yield from self._bring_packages()
        if self._scene_gone:
            return
        yield from self._bring_weights(options.weights)
        model = self._checked_model(options)
        frames = frames_of(volume) if settings.all_frames else None
        jobs = frames.jobs(source, options.region is not None) if frames is not None else [job]
        # The very file that was checked: the worker may know another folder of models.
        options = replace(options, weights=str(model.path))
        results = yield from self._segment_all(jobs, organs_of_model(model.document), options)
        self._enter(State.IMPORTING)
        yield
        importing = time.monotonic()
        if frames is not None:
            self.node, self.replacement = frames.add_results(source, results), None
        else:
            self.node, self.replacement = take_in(results[0], source, output)
        self.reports = [result.report for result in results]
        self.report = self.reports[frames.shown if frames is not None else 0]
        self.import_seconds = time.monotonic() - importing

    def _segment_all(
        self, jobs: Sequence[Job], table: tuple[Organ, ...], options: Options
    ) -> Iterator[None]:
        """Segment one volume after the other; returns a list of Result. table: the model's organs."""
        results = []
        for number, job in enumerate(jobs):
            self._frame, self._frames = number, len(jobs)
            try:
                labels, report = yield from self._segment(job.scan, options)
            except IUINetError as error:
                if len(jobs) > 1 and not isinstance(error, Cancelled):
                    name_frame(error, number, len(jobs))
                raise
            segments = make_segments(labels, table, job.source, algorithm_name(report))
            results.append(Result(segments, report, table))
        return results

    def _bring_packages(self) -> Iterator[None]:
        """Install what is missing, after the user has agreed to it."""
        yield
        installation = self._set_up()
        if installation is None:
            return
        try:
            # It does not see new packages, and on Windows it holds the files of old ones.
            self.client.close()
            while not installation.poll():
                stage = "" if installation.fraction is None else "installing"
                self._report(Progress(stage, installation.fraction or 0.0, installation.note))
                yield
        finally:
            installation.close()
        installation.result()

    def _bring_weights(self, weights: str | None) -> Iterator[None]:
        """Download the chosen model if it is listed and not here."""
        if weights is not None and is_path(weights):
            return
        default = next((entry for entry in list_models() if entry.default), None)
        entry = find_entry(weights) if weights is not None else default
        if entry is None or entry.path is not None or not entry.urls:
            return  # resolve reports what is wrong, if anything is
        self._enter(State.DOWNLOADING)
        download = Download(entry)
        download.start()
        try:
            while not download.poll():
                if download.progress is not None:
                    step = download.progress
                    self._report(Progress("downloading", step.received / step.total, step.note))
                yield
        finally:
            download.cancel()
        download.result()

    def _checked_model(self, options: Options) -> Weights:
        """The model, whole; a damaged one that can be had again is moved away and so fetched next time."""
        try:
            return options.find_model()
        except WeightsError as error:
            if error.code in ("weights-hash", "weights-damaged"):
                set_aside(options.weights)
            raise

    def _segment(self, volume: Volume, options: Options) -> Iterator[None]:
        """Hand the voxels to the worker and wait for its labels; returns labels and report."""
        self._enter(State.EXPORTING if self._frame == 0 else State.RUNNING)
        run = self.client.start(volume, options)
        try:
            while not run.poll():
                for stage, fraction in run.take_steps():
                    if stage != "reading" and self.state is State.EXPORTING:
                        self._enter(State.RUNNING)
                    note = run.fallbacks[-1] if run.fallbacks else ""
                    self._report(Progress(stage, fraction, note, self._frame, self._frames))
                try:
                    yield
                except Cancelled:
                    run.cancel()  # the worker gets a moment to obey; poll ends the run in any case
        finally:
            run.abandon()  # does nothing to a run that has ended
        return run.result()

    # Reporting --------------------------------------------------------------------------------------

    def _enter(self, state: State) -> None:
        self.state, self.progress = state, Progress(frame=self._frame, frames=self._frames)
        self._changed()

    def _report(self, progress: Progress) -> None:
        if progress != self.progress:
            self.progress = progress
            self._changed()

    def _end(self, state: State) -> None:
        self._run = None
        self._frame, self._frames = 0, 1
        self.seconds = time.monotonic() - self._began
        self._enter(state)


def _busy() -> IUINetError:
    hint = "Wait until it is finished, or cancel it."
    return IUINetError("a segmentation is under way", code="busy", hint=hint)
