"""``python -m iuinet`` is the command ``iuinet``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
