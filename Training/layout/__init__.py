"""Generated data in the layouts that researchers have: the Synapse/BTCV download, and nnU-Net's raw folders.

``scans`` draws what each scan is like, ``bodies`` makes the body, ``registration`` moves one body onto
another's grid, ``enlarging`` brings it to the size of a real scan, ``files`` writes it. ``synapse`` and
``own`` are the two layouts. All is a function of a seed and the case id: the same arguments give the same
files.
"""
