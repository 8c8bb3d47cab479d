from __future__ import annotations

import importlib
import pkgutil

import outlast
from outlast.kernel.error import NotFound, OutlastError, StoreUnavailable
from outlast.server.problem import STATUS, problem_headers, problem_of, status_of
from outlast.server.refusal import Overloaded, Unauthorized, WrongMethod
from tests.server.site import Site


def every_error() -> list[type[OutlastError]]:
    for module in pkgutil.walk_packages(outlast.__path__, "outlast."):
        if module.name.startswith(
            ("outlast.kernel", "outlast.agent", "outlast.journal", "outlast.model", "outlast.server")
        ):
            importlib.import_module(module.name)
    found, left = set[type[OutlastError]](), [OutlastError]
    while left:
        kind = left.pop()
        if kind not in found:
            found.add(kind)
            left += kind.__subclasses__()
    return sorted(found, key=lambda kind: kind.__name__)


def test_every_error_has_a_status_and_what_may_succeed_later_is_no_clients_fault() -> None:
    for kind in every_error():
        error = kind.__new__(kind)
        status = status_of(error)
        assert 400 <= status < 600
        if kind.retryable:
            assert status in (408, 422, 429, 500, 503, 504), kind


def test_codes_are_unique_among_errors() -> None:
    codes = [kind.code for kind in every_error() if "code" in vars(kind)]
    assert len(codes) == len(set(codes))


def test_a_problem_says_what_its_error_says() -> None:
    problem = problem_of(NotFound("run x does not exist"))
    assert (problem.type, problem.title, problem.status) == ("about:blank", "Not Found", 404)
    assert (problem.detail, problem.code, problem.retryable) == ("run x does not exist", "not_found", False)


def test_a_problem_always_has_a_detail_that_can_be_encoded() -> None:
    assert problem_of(Overloaded()).detail == "overloaded"
    assert problem_of(NotFound("half \ud800")).detail == "half ?"


def test_headers_follow_the_error() -> None:
    assert problem_headers(StoreUnavailable("x"))["retry-after"] == "1"
    assert "retry-after" not in problem_headers(NotFound("x"))
    assert problem_headers(Unauthorized("x"))["www-authenticate"] == 'Bearer realm="outlast"'
    assert problem_headers(WrongMethod("x", "GET, HEAD"))["allow"] == "GET, HEAD"


def test_no_line_of_the_table_is_needless() -> None:
    for kind, status in STATUS.items():
        if kind is not OutlastError:
            inherited = next(STATUS[base] for base in kind.__mro__[1:] if base in STATUS)
            assert status != inherited or kind.__name__ in ("ConfigurationError", "BadRequest", "StoreError")


async def test_paths_that_are_none_are_not_found(site: Site) -> None:
    for path in ["/none", "/v1", "/v1/", "/v1/runs/", "/v1/runs/x/y", "/livez/", "//", "/v1/agents/a/b/c"]:
        answer = await site.get(path)
        assert (answer.status, answer.code) == (404, "no_route")


async def test_paths_that_look_elsewhere_are_refused(site: Site) -> None:
    for path in ["/../etc/passwd", "/v1/../../x", "/v1/runs/..", "/v1/runs/%2e%2e%2fx", "/v1/runs/%00", "/%ff"]:
        raw = await site.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert raw.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))


async def test_methods_that_are_none_are_refused(site: Site) -> None:
    for method, path, allow in [
        ("POST", "/v1/runs", "GET"),
        ("DELETE", "/v1/runs/x", "GET"),
        ("GET", "/v1/runs/x/cancel", "POST"),
        ("PUT", "/", "GET"),
    ]:
        answer = await site.ask(method, path)
        assert (answer.status, answer.code) == (405, "wrong_method")
        assert allow in answer.headers["allow"]


async def test_a_strange_method_is_refused(site: Site) -> None:
    for method in ("TRACE", "CONNECT", "BREW", "get", "A" * 200):
        raw = await site.raw(f"{method} /v1/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert raw.startswith((b"HTTP/1.1 405 ", b"HTTP/1.1 400 ")), raw


async def test_head_is_get_without_a_body(site: Site) -> None:
    for path in ("/", "/livez", "/v1/runs", "/openapi.json"):
        answer = await site.ask("HEAD", path)
        assert (answer.status, answer.body) == (200, b"")
    run = await site.start()
    answer = await site.ask("HEAD", f"/v1/runs/{run}/events", headers={"Accept": "text/event-stream"})
    assert answer.status == 200
