"""Slice and 3-D views without a window, drawn by Slicer's own MRML displayable managers.

Not Slicer's widgets: there is no frame, slider or corner annotation around them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

ORIENTATIONS = ("Axial", "Coronal", "Sagittal")
_SEGMENTS_2D = "vtkMRMLSegmentationsDisplayableManager2D"
_SEGMENTS_3D = "vtkMRMLSegmentationsDisplayableManager3D"
_CAMERA = "vtkMRMLCameraDisplayableManager"


class View:
    """A render window of so many pixels (width, height) that is never shown."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        # Displayable managers look for an interactor, although nobody will interact.
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.window.SetInteractor(self.interactor)

    def manage(self, factory: Any, names: tuple[str, ...], logic: Any, node: Any) -> None:
        """Let displayable managers of these classes draw the scene for a view node."""
        factory.SetMRMLApplicationLogic(logic)
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)
        self.group.Initialize(factory, self.renderer)
        self.group.SetMRMLDisplayableNode(node)

    def draw(self) -> np.ndarray:
        """The picture, uint8 (height, width, 3)."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        pixels = vtk_to_numpy(grabber.GetOutput().GetPointData().GetScalars())
        return pixels.reshape(self.size[1], self.size[0], 3)[::-1].copy()


class SliceView(View):
    """A slice of a volume in one of ORIENTATIONS, through a point (RAS, mm), with all visible segments."""

    def __init__(
        self, application_logic: Any, volume: Any, orientation: str, size: tuple[int, int], point: Any = None
    ) -> None:
        super().__init__(size)
        scene = volume.GetScene()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        self.node = scene.CreateNodeByClass("vtkMRMLSliceNode")
        self.node.UnRegister(None)
        self.node.SetLayoutName(orientation)
        self.node = scene.AddNode(self.node)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        self.logic.SetMRMLScene(scene)
        self.logic.SetSliceNode(self.node)
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        self.node.SetOrientation(orientation)
        self.node.SetDimensions(*size, 1)
        self.logic.FitSliceToAll(*size)
        if point is not None:
            self.node.JumpSliceByCentering(*point)
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(self.logic.GetImageDataConnection())
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        self.renderer.AddViewProp(actor)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        self.manage(factory, (_SEGMENTS_2D,), application_logic, self.node)


class ThreeDView(View):
    """The surfaces of all visible segments, seen from the front, in Slicer's colours of the background."""

    def __init__(self, application_logic: Any, scene: Any, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.node = slicer.vtkMRMLViewNode()
        self.node.SetLayoutName("1")
        self.node = scene.AddNode(self.node)
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        self.manage(factory, (_CAMERA, _SEGMENTS_3D), application_logic, self.node)
        self.renderer.SetBackground(*self.node.GetBackgroundColor())
        self.renderer.SetBackground2(*self.node.GetBackgroundColor2())
        self.renderer.GradientBackgroundOn()

    def draw(self) -> np.ndarray:
        """The picture, with all surfaces in it."""
        camera = self.renderer.GetActiveCamera()
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(0, 1000, 0)  # from the front: the patient's anterior is RAS +A
        camera.SetViewUp(0, 0, 1)
        self.renderer.ResetCamera()
        camera.Zoom(1.4)
        return super().draw()
