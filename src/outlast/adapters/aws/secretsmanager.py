"""Secrets that configuration names as ``aws-secret:NAME``. Seen with emulators only: untested on AWS."""

from __future__ import annotations

from typing import Any

from outlast.adapters.aws.client import Place, connect_timeout_s
from outlast.adapters.aws.refusal import translated
from outlast.kernel.error import ConfigurationError, StoreUnavailable

read_timeout_s = 5.0
"""Bound of one answer."""


class SecretsManager:
    """Reads secrets when they are first asked for, each once; nothing of them is logged or stands in a message.

    Blocks for a call to AWS: not for an event loop. Hand it to `Secret.resolve` as `vault`.
    """

    def __init__(self, place: Place | None = None) -> None:
        self._place = place or Place()
        self._client: Any = None
        self._read: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The text of a secret, by its name or ARN. Raises ConfigurationError, also when AWS does not answer."""
        if name not in self._read:
            try:
                with translated(f"secret {name}", ConfigurationError, service="Secrets Manager"):
                    answer = self._connected().get_secret_value(SecretId=name)
            except StoreUnavailable as error:
                raise ConfigurationError(str(error)) from None
            text = answer.get("SecretString")
            if not isinstance(text, str):
                raise ConfigurationError(f"secret {name} holds bytes, expected text: store it as a string")
            self._read[name] = text
        return self._read[name]

    def __repr__(self) -> str:
        return "SecretsManager()"

    def _connected(self) -> Any:
        if self._client is None:
            try:
                from botocore import config as configs  # pyright: ignore[reportMissingTypeStubs] (it ships none)
                from botocore import session as sessions  # pyright: ignore[reportMissingTypeStubs] (nor here)
            except ImportError:
                raise ConfigurationError("AWS secrets need the extra: pip install 'outlast[aws]'") from None
            config = configs.Config(
                retries={"total_max_attempts": 2, "mode": "standard"},  # it is read once, at the start
                connect_timeout=connect_timeout_s,
                read_timeout=read_timeout_s,
            )
            session: Any = sessions.get_session()  # pyright: ignore[reportUnknownMemberType] (no stubs)
            self._client = session.create_client(
                "secretsmanager",
                region_name=self._place.region,
                endpoint_url=self._place.endpoint_url,
                config=config,
            )
        return self._client
