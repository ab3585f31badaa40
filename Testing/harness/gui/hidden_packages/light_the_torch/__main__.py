"""Stands in for light-the-torch in processes that run with this folder on PYTHONPATH."""

from standin import main

main("light_the_torch")
