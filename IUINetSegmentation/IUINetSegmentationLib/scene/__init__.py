"""What is read from the scene and put into it: volumes, segmentations, sequences, and their place (MRML)."""
