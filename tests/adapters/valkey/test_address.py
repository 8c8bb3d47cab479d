from __future__ import annotations

import pytest

from outlast.adapters.valkey.address import Address
from outlast.adapters.valkey.connection import ValkeyPlace
from outlast.kernel.error import ConfigurationError


@pytest.mark.parametrize(
    ("url", "place", "password"),
    [
        ("valkey://h", ValkeyPlace(("h:6379",)), None),
        ("redis://h:1/", ValkeyPlace(("h:1",)), None),
        ("rediss://:p%40ss@h:1", ValkeyPlace(("h:1",), tls=True), "p@ss"),
        (
            "valkeys://user:secret@a:1,b:2,c?cluster=true&ca=ca.pem",
            ValkeyPlace(("a:1", "b:2", "c:6379"), cluster=True, tls=True, ca_file="ca.pem", username="user"),
            "secret",
        ),
    ],
)
def test_a_url_says_where_and_with_which_password(url: str, place: ValkeyPlace, password: str | None) -> None:
    address = Address.parse(url)
    assert (address.place, address.password()) == (place, password)
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "hunter2", "http://u:hunter2@h", "valkey://", "valkeys://u:hunter2@", "valkeys://u:hunter2@h/3",
        "valkey://h?password=hunter2", "valkey://h?cluster=hunter2", "valkeys://u:hunter2@h,:1",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Address.parse(url)
    assert "hunter2" not in str(caught.value)
