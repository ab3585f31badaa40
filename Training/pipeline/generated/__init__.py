"""Generated data in the layouts that researchers have: the Synapse/BTCV download, and nnU-Net's raw folders.

``bodies`` draws what each scan is like and makes its body, ``files`` writes it. ``synapse`` and ``own`` are
the two layouts. All is a function of a seed and the case id: the same arguments make the same files.
"""
