"""Kills the agent at its most delicate moment and asks the ledger. Run it with: python -m pytest test_app.py"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ledger import Ledger

HERE = Path(__file__).parent
TICKET = {
    "id": "T-1",
    "customer": "tim.oneill@example.com",
    "text": "Please refund order 1043, it is too small for us.",
}


def test_a_refund_is_not_repeated_after_a_crash(tmp_path: Path) -> None:
    desk = tmp_path / "desk"
    shutil.copytree(HERE, desk, ignore=shutil.ignore_patterns(".outlast", "__pycache__", "*.sqlite*"))
    command = [sys.executable, "-m", "outlast", "run", "support", "--input-json", json.dumps({"ticket": TICKET})]
    done = subprocess.run(
        [*command, "--crash-in", "refund", "--home", str(desk), "--json"],
        env={**os.environ, "SUPPORT_DESK_LEDGER": str(tmp_path / "ledger.sqlite")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)["result"]
    assert (reply["label"], reply["refunded"]) == ("refund", {"1043": 8000})
    assert [entry[1:] for entry in Ledger(tmp_path / "ledger.sqlite").bookings()] == [("T-1", "1043", 8000)]
