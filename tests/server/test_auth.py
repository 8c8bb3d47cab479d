from __future__ import annotations

import pytest

from outlast.agent.control import Control
from outlast.kernel.error import ConfigurationError
from outlast.server.auth import check_token, is_loopback
from tests.server.site import Site, desk, running

TOKEN = "correct-horse-battery-staple"


async def test_with_a_token_everything_but_livez_asks_for_it(control: Control) -> None:
    async with running(control, desk(), token=TOKEN) as site:
        for path in ("/", "/v1/runs", "/v1/agents", "/openapi.json", "/readyz", "/none", "/livez/", "//livez"):
            answer = await site.get(path, Authorization="")
            assert (answer.status, answer.code) == (401, "unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer ")
            assert TOKEN not in answer.body.decode()
        assert (await site.get("/livez", Authorization="")).status == 200
        assert (await site.get("/v1/runs")).status == 200


async def test_another_token_is_refused(control: Control) -> None:
    others = [
        "Bearer", "Bearer ", "Bearer wrong-horse-battery-staple", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN} {TOKEN}", f"Bearer {TOKEN.upper()}", "Bearer \xff\xfe",
        f"Digest Bearer {TOKEN}",
    ]  # fmt: skip
    head = "GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: "
    async with running(control, desk(), token=TOKEN) as site:
        for given in others:
            raw = await site.raw(f"{head}{given}\r\n\r\n".encode("latin-1"))
            assert raw.startswith(b"HTTP/1.1 401 "), given
            assert b"wrong-horse" not in raw
            assert TOKEN not in site.log.getvalue()


async def test_the_scheme_is_read_in_any_case_and_two_headers_are_refused(control: Control) -> None:
    async with running(control, desk(), token=TOKEN) as site:
        assert (await site.get("/v1/runs", Authorization=f"bearer {TOKEN}")).status == 200
        twice = f"Authorization: Bearer {TOKEN}\r\n" * 2
        raw = await site.raw(f"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{twice}\r\n".encode())
        assert raw.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 15, "with a space in it", "with\r\nX-Evil: 1 break", "ünïcödé-ünïcödé-ünïcödé"]
)
def test_a_token_that_is_none_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_token(token)
    assert not token or token not in str(refused.value)


HOSTS = ["localhost", "127.0.0.1", "127.0.0.1:80", "[::1]:80", "LOCALHOST:7788", "127.8.9.1"]
OTHERS = [
    "evil.example", "evil.example:7788", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil.example",
    "10.0.0.1", "0.0.0.0", "", "[::2]", "[", "localhost:x@y", "evil.example#localhost", "2130706433",
]  # fmt: skip


async def test_this_machine_may_be_called_by_its_names(site: Site) -> None:
    for host in HOSTS:
        assert (await site.get("/v1/runs", Host=host)).status == 200


async def test_any_other_host_is_refused(site: Site) -> None:
    for host in OTHERS:
        raw = await site.raw(f"GET /v1/runs HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert raw.startswith((b"HTTP/1.1 421 ", b"HTTP/1.1 400 "))


async def test_no_host_at_all_is_refused(site: Site) -> None:
    assert (await site.raw(b"GET /v1/runs HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 421 ")


CROSS = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "chrome-extension://abcdef"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "nonsense"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
]


async def test_a_browser_cannot_post_for_another_site(site: Site) -> None:
    for headers in CROSS:
        sent = {"Content-Type": "application/json", **headers}
        answer = await site.ask("POST", "/v1/agents/quiet/runs", b"{}", sent)
        assert (answer.status, answer.code) == (403, "cross_origin")
        assert (await site.get("/v1/runs")).json["runs"] == []


async def test_a_page_of_this_server_may_post(site: Site) -> None:
    headers = {"Origin": site.address, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
    assert (await site.ask("POST", "/v1/agents/quiet/runs", b"{}", headers)).status == 201


async def test_nobody_is_told_that_other_origins_may_read(site: Site) -> None:
    for answer in (
        await site.ask("OPTIONS", "/v1/runs", headers={"Access-Control-Request-Method": "POST"}),
        await site.get("/v1/runs", Sec_Fetch_Site="cross-site"),
        await site.get("/v1/runs", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate"),
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_loopback_is_told_from_what_looks_like_it() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1", "LocalHost")))
    assert not any(map(is_loopback, ("", "127.evil.example", "0.0.0.0", "::", "localhost.", "10.0.0.1", "127.0.0.1 ")))
