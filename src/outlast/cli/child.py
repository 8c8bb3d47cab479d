"""A process of a cell, started by the supervisor: ``python -m outlast.cli.child KIND HOME ID …``."""

from __future__ import annotations

import sys

from outlast.adapters.host.output import print_whole
from outlast.bootstrap.child import main

if __name__ == "__main__":
    print_whole()
    sys.exit(main(sys.argv[1:]))
