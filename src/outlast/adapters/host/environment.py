"""What a child process finds in its environment."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.adapters.host.crash import crash_variable, token_variable
from outlast.adapters.host.group import child_variable
from outlast.adapters.host.lifeline import lifeline_variable

control_variable = "OUTLAST_CONTROL_FD"
"""The number of the file descriptor that is the child's end of its control channel."""

_PLAIN = frozenset({
    "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV",
    crash_variable, token_variable,
})  # fmt: skip
_PLAIN_PREFIXES = ("LC_", "PYTHON", "COV_", "COVERAGE_")
_OURS = frozenset({child_variable, control_variable, lifeline_variable})


def child_environment(base: Mapping[str, str], child: str, *, runs_user_code: bool) -> dict[str, str]:
    """The environment of a child.

    One that runs the user's code gets everything: tools read keys and addresses there. The others get what an
    interpreter needs to start, and no secrets. All get their id and one hash seed, so that sets order alike everywhere.
    """
    chosen = {
        name: value
        for name, value in base.items()
        if name not in _OURS and (runs_user_code or name in _PLAIN or name.startswith(_PLAIN_PREFIXES))
    }
    chosen[child_variable] = child
    chosen["PYTHONHASHSEED"] = "0"
    return chosen
