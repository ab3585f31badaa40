"""Stands in for pip in processes that run with this folder on PYTHONPATH."""

from standin import main

main("pip")
