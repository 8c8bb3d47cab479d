from __future__ import annotations

from outlast.adapters.host.environment import child_environment

BASE = {
    "PATH": "/bin", "HOME": "/root", "LC_ALL": "C", "PYTHONPATH": "src", "PAY_KEY": "secret", "OUTLAST_CHILD": "parent",
    "OUTLAST_CONTROL_FD": "3", "PYTHONHASHSEED": "random",
}  # fmt: skip


def test_only_user_code_sees_the_users_variables() -> None:
    writer = child_environment(BASE, "c1", runs_user_code=False)
    assert writer == {
        "PATH": "/bin", "HOME": "/root", "LC_ALL": "C", "PYTHONPATH": "src",
        "OUTLAST_CHILD": "c1", "PYTHONHASHSEED": "0",
    }  # fmt: skip
    worker = child_environment(BASE, "c2", runs_user_code=True)
    assert worker == writer | {"OUTLAST_CHILD": "c2", "PAY_KEY": "secret"}
