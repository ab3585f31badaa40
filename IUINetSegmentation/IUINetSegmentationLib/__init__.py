"""The Slicer side of the extension: between MRML nodes and the iuinet library. Never imports torch.

volume_node         a vtkMRMLScalarVolumeNode to and from the library's Volume
segmentation_node   labels to a vtkMRMLSegmentationNode with names, colors and terminology
subject_hierarchy   what DICOM left beside a node, and the place of a result
provenance          with what a segmentation was made, as attributes of its node
run                 all of it around one call of the worker process
"""
