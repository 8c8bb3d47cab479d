"""TLS as the URL asks for it: a server that cannot prove its name is refused under verify-full."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlast.kernel.error import StoreUnavailable
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.note import fill, key
from tests.servers.postgres import PASSWORD, USER, PostgresServer


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate for `name` that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    cert, secret = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(secret), "-out", str(cert)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return cert, secret


@pytest.fixture(scope="module")
def tls_server() -> Iterator[PostgresServer]:
    """Only lets in who speaks TLS; its name is localhost."""
    server = PostgresServer(access=["hostnossl all all 127.0.0.0/8 reject"])
    try:
        server.initialize()
        cert, secret = certificate(server.directory, "localhost")
        for path in (cert, secret):
            server.own(path)
        server.settings += ["ssl = on", f"ssl_cert_file = '{cert}'", f"ssl_key_file = '{secret}'"]
        yield server.start()
    finally:
        server.remove()


def at(server: PostgresServer, host: str, options: str) -> Site:
    return Site(f"postgresql://{USER}:{PASSWORD}@{host}:{server.port}/postgres?{options}", "outlast")


async def test_a_server_that_proves_its_name_is_used_encrypted(tls_server: PostgresServer) -> None:
    root = tls_server.directory / "localhost.crt"
    async with opened(at(tls_server, "localhost", f"sslmode=verify-full&sslrootcert={root}")) as engine:
        assert (await fill(engine.journal, key(engine.journal, "a"), 3)).seq == 3
        rows = tls_server.execute(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity a USING (pid) "
            "WHERE a.application_name LIKE 'outlast %'"
        )
        assert rows == [(True,)]


async def test_a_server_of_another_name_or_an_unknown_signer_is_refused(
    tls_server: PostgresServer, tmp_path: Path
) -> None:
    root = tls_server.directory / "localhost.crt"
    other, _ = certificate(tmp_path, "localhost")
    for host, options in (
        ("127.0.0.1", f"sslmode=verify-full&sslrootcert={root}"),
        ("localhost", f"sslmode=verify-full&sslrootcert={other}"),
        ("localhost", "sslmode=disable"),
    ):
        with pytest.raises(StoreUnavailable, match="cannot be reached") as refused:
            async with opened(at(tls_server, host, options)):
                pass
        assert PASSWORD not in str(refused.value)
