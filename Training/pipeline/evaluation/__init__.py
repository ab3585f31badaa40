"""Measuring a model: the cases it is measured on, and the scores."""
