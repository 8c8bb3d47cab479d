"""Which server is the primary: every host of the URL is asked, the writable one of the highest timeline is it.

A server that was primary before a failover comes back writable, with a lower timeline: it is never used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

import msgspec
import psycopg
from psycopg import conninfo, errors

from outlast.adapters.postgres.fault import text_of, translated
from outlast.adapters.postgres.memory import Memory
from outlast.adapters.postgres.options import PostgresOptions
from outlast.adapters.postgres.refusal import Refusals
from outlast.adapters.postgres.session import Session, Standing
from outlast.kernel.error import ConfigurationError, StoreUnavailable

Purpose = Literal["write", "read", "blob", "hint", "listen", "look", "replica", "prepare"]
"""look: to read only · hint: its commits wait for nothing."""

probe_s_max = 1.0
"""How long the other hosts of the URL are waited for once a primary was found, in seconds."""
stalled_max = 2
"""Bound of this process's commits (of blobs: likewise) that a server holds because they wait for a standby; beyond it
no further connection is made to write. They cannot be cancelled: they would be there without being replicated."""

_SETTINGS = """
    SELECT set_config('default_transaction_read_only', CASE WHEN %s THEN 'on' ELSE 'off' END, false),
        set_config('search_path', %s, false), set_config('client_min_messages', 'notice', false),
        set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),
        set_config('idle_in_transaction_session_timeout', %s, false), set_config('default_transaction_isolation',
        'read committed', false), set_config('synchronous_commit', CASE WHEN %s THEN 'off'
        WHEN current_setting('synchronous_commit') = 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
        set_config('plan_cache_mode', CASE WHEN %s THEN 'force_generic_plan' ELSE 'auto' END, false),
        current_setting('transaction_read_only') = 'on', current_setting('server_encoding'), current_setting('fsync'),
        current_setting('synchronous_standby_names')
"""
_STANDING = """
    SELECT (SELECT system_identifier::text FROM pg_control_system()),
        substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
        pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint
"""
_STALLED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event = 'SyncRep'"
_UNTOLD = (errors.UndefinedFunction, errors.FeatureNotSupported, errors.InsufficientPrivilege)


class _Host(msgspec.Struct, frozen=True):
    place: str
    parameters: dict[str, Any]


class _Found(msgspec.Struct):
    session: Session
    standing: Standing | None
    writable: bool
    encoding: str
    fsync: bool
    standbys: str


class Servers:
    """The hosts of one URL. `changed` is awaited with the first session on a server that was not used before: what
    was acknowledged must be there.
    """

    def __init__(
        self,
        options: PostgresOptions,
        name: str,
        memory: Memory,
        changed: Callable[[Session], Awaitable[None]],
        *,
        url: str | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._options = options
        self._name = name
        self._memory = memory
        self._changed = changed
        self._refusals = refusals
        self._hosts = hosts_of(options if url is None else msgspec.structs.replace(options, url=url))
        self._current: tuple[str, int] | None = None
        self._gate = asyncio.Lock()
        self.epoch = 0
        """Grows when the primary changes: sessions of an earlier one must not be used."""

    async def connect(self, purpose: Purpose) -> Session:
        """A session on the primary. Raises StoreUnavailable, ConfigurationError."""
        heard = self._refusals if purpose == "write" else None
        try:
            found = await self._primary(purpose)
        except (StoreUnavailable, ConfigurationError) as error:
            if heard is not None:
                heard.refused(str(error), found=False)
            raise
        try:
            session = await self._accepted(found, purpose)
        except (StoreUnavailable, ConfigurationError) as error:
            if heard is not None:
                heard.refused(str(error), found=True)
            raise
        if heard is not None:
            heard.accepted(session.place)
        return session

    async def _accepted(self, found: _Found, purpose: Purpose) -> Session:
        """Its session, if it may be used."""
        session = found.session
        async with self._gate:
            try:
                self._check(found, purpose)
                server = (session.place, found.standing.timeline if found.standing else 0)
                if server != self._current or purpose == "write":
                    await self._changed(session)
                    if server != self._current:
                        self.epoch += 1
                        self._current = server
                session.epoch = self.epoch
                self.note(found.standing)
            except BaseException:
                await session.close()
                raise
            return session

    def note(self, standing: Standing | None) -> None:
        """Remember how far the primary has come. Raises StoreUnavailable."""
        if standing is not None:
            self._memory.note(standing)

    async def any(self) -> Session:
        """A session on the first host that answers, writable or not."""
        faults: list[str] = []
        for host in self._hosts:
            try:
                return (await self._probe(host, "replica")).session
            except StoreUnavailable as error:
                faults.append(str(error))
        raise StoreUnavailable("; ".join(faults))

    async def _primary(self, purpose: Purpose) -> _Found:
        best: _Found | None = None
        probes = [asyncio.ensure_future(self._probe(host, purpose)) for host in self._hosts]
        try:
            waiting = set(probes)
            while waiting:
                wait_s = probe_s_max if any(map(_is_primary, probes)) else None
                done, waiting = await asyncio.wait(waiting, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
            found = [probe.result() for probe in probes if probe.done() and not probe.exception()]
            writable = [one for one in found if one.writable]
            best = max(writable, key=self._rank, default=None)
        finally:
            for probe in probes:
                probe.cancel()
            ended = await asyncio.gather(*probes, return_exceptions=True)
            for one in ended:
                if isinstance(one, _Found) and one is not best:
                    await one.session.close()
        if best is not None:
            return best
        wrong = [one for one in ended if isinstance(one, ConfigurationError)]
        if wrong:
            raise wrong[0]
        said = [
            f"{host.place} is a standby or read-only" if isinstance(one, _Found) else str(one)
            for host, one in zip(self._hosts, ended, strict=True)
        ]
        raise StoreUnavailable("no primary can be reached: " + "; ".join(said))

    def _rank(self, found: _Found) -> tuple[bool, int, int]:
        known, standing = self._memory.known, found.standing
        if standing is None:
            return (known is None, 0, 0)
        return (known is None or standing.system == known.system, standing.timeline, standing.lsn)

    async def _probe(self, host: _Host, purpose: Purpose) -> _Found:
        options = self._options
        name = f"{self._name} {purpose}"
        try:
            async with asyncio.timeout(options.connect_s_max + 1):
                connection = await psycopg.AsyncConnection.connect(
                    **host.parameters, application_name=name, autocommit=True
                )
        except psycopg.Error as error:
            raise StoreUnavailable(f"postgres {host.place} cannot be reached: {_without_secret(error, host)}") from None
        except TimeoutError:
            raise StoreUnavailable(
                f"postgres {host.place} does not answer within {options.connect_s_max:g} s"
            ) from None
        session = Session(cast("psycopg.AsyncConnection[Any]", connection), host.place, options.answer_s_max)
        try:
            return await asyncio.wait_for(self._settle(session, name, purpose), options.connect_s_max + 1)
        except BaseException as error:
            session.sever()
            await session.close()
            if isinstance(error, TimeoutError):
                raise StoreUnavailable(f"postgres {host.place} does not answer") from None
            raise

    async def _settle(self, session: Session, name: str, purpose: Purpose) -> _Found:
        options = self._options
        try:
            rows = await session.quickly(
                _SETTINGS,
                (
                    purpose in ("look", "replica"),
                    f"{options.schema}, pg_catalog",
                    f"{options.statement_s_max * 1000:.0f}ms",
                    f"{options.lock_s_max * 1000:.0f}ms",
                    f"{options.statement_s_max * 1000:.0f}ms",
                    purpose == "hint",
                    purpose == "write",  # or each append is planned anew, which costs as much as running it
                ),
            )
            read_only, encoding, fsync, standbys = rows[0][-4:]
            standing = None
            if not read_only:
                try:
                    system, timeline, lsn = (await session.quickly(_STANDING, ()))[0]
                    standing = Standing(str(system), int(timeline, 16), int(lsn))
                except _UNTOLD:
                    standing = None
                if (
                    (purpose in ("write", "blob") or (purpose == "read" and options.strong))
                    and (await session.quickly(_STALLED, (name[:63],)))[0][0] >= stalled_max
                ):
                    raise StoreUnavailable(
                        f"postgres {session.place}: commits of this process wait for a synchronous standby "
                        "that does not answer: bring one back"
                    )
        except psycopg.Error as error:
            raise translated(error, session.place) from None
        session.standing = standing
        session.warnings.clear()
        return _Found(session, standing, not read_only, str(encoding), fsync == "on", str(standbys).strip())

    async def _stalled(self, session: Session, name: str) -> int:
        return int((await session.quickly(_STALLED, (name[:63],)))[0][0])

    def _check(self, found: _Found, purpose: Purpose) -> None:
        place = found.session.place
        if found.encoding != "UTF8":
            raise ConfigurationError(f"postgres {place}: the database is encoded as {found.encoding}, expected UTF8")
        if found.standing is not None:
            self._memory.check(found.standing, place)
        if purpose != "write" or not self._options.strong:
            return
        if not found.standbys:
            raise StoreUnavailable(
                f"postgres {place}: strong mode needs a synchronous standby, synchronous_standby_names is empty: "
                "set it (as in ANY 1 (s1, s2)), or do without strong mode"
            )
        if not found.fsync:
            raise StoreUnavailable(f"postgres {place}: strong mode needs fsync, which is off: turn it on")
        if found.standing is None:
            raise StoreUnavailable(f"postgres {place}: strong mode needs the timeline, which this server does not tell")


def _is_primary(probe: asyncio.Future[_Found]) -> bool:
    return probe.done() and not probe.cancelled() and probe.exception() is None and probe.result().writable


def _without_secret(error: psycopg.Error, host: _Host) -> str:
    said = text_of(error)
    secret = host.parameters.get("password")
    return said.replace(str(secret), "…") if secret else said


def _parsed(url: str) -> dict[str, Any]:
    try:
        return dict(conninfo.conninfo_to_dict(url))
    except psycopg.Error:
        # what libpq says of it quotes it, password and all
        raise ConfigurationError(
            "postgres: the URL is not understood: expected postgresql://user:password@host:port/database"
        ) from None


def database_of(options: PostgresOptions) -> str:
    """The name of the database in the URL. Raises ConfigurationError."""
    return str(_parsed(options.url).get("dbname") or "")


def hosts_of(options: PostgresOptions) -> list[_Host]:
    """The hosts of a URL, with the settings that make a dead one noticed. Raises ConfigurationError."""
    given = _parsed(options.url)
    for name in ("target_session_attrs", "load_balance_hosts", "application_name"):
        given.pop(name, None)
    idle = max(1, int(options.silence_s_max / 2))
    parameters = {
        "connect_timeout": max(2, int(options.connect_s_max)),
        "keepalives": 1,
        "keepalives_idle": idle,
        "keepalives_interval": max(1, idle // 3),
        "keepalives_count": 3,
        "tcp_user_timeout": int(options.silence_s_max * 1000),
        **given,
        "client_encoding": "utf8",
    }
    lists = {name: str(given[name]).split(",") for name in ("host", "hostaddr", "port") if given.get(name)}
    count = max((len(lists.get(name, ())) for name in ("host", "hostaddr")), default=0) or 1
    found: list[_Host] = []
    for index in range(count):
        one = {
            name: values[index] if len(values) > 1 else values[0]
            for name, values in lists.items()
            if len(values) in (1, count)
        }
        if len(one) != len(lists):
            raise ConfigurationError(f"postgres: the URL names {count} hosts, but not as many ports or addresses")
        place = f"{one.get('host') or one.get('hostaddr') or 'localhost'}:{one.get('port') or 5432}"
        found.append(_Host(f"{place}/{given.get('dbname') or ''}", {**parameters, **one}))
    return found
