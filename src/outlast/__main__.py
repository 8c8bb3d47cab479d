"""``python -m outlast`` is ``outlast``."""

from __future__ import annotations

import sys

from outlast.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
