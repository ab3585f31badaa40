"""What a training leaves behind so that it can be followed and understood: records, curves, the live line."""
