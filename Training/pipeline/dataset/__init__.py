"""Training data: found, checked and cached by ``prepare.py``, with its splits and organs."""
