"""Damaged, lying and hostile inputs by the thousand, each tried in a process of its own.

PYTHONPATH=Testing:Training:IUINetSegmentation .venv/bin/python -m fuzz --cases 10000 --seed 1
"""
