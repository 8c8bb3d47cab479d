"""Several sealers as one: the first seals, all of them open. So a system moves from a key file to KMS, or back."""

from __future__ import annotations

from outlast.journal.cipher import Key
from outlast.journal.seal import Sealer
from outlast.kernel.error import StoreSealed, StoreUnavailable


class Sealers:
    """A Sealer."""

    def __init__(self, first: Sealer, *others: Sealer) -> None:
        self._first = first
        self._all = (first, *others)

    @property
    def current(self) -> Key:
        return self._first.current

    def known(self, id: str) -> Key | None:
        return next((key for sealer in self._all if (key := sealer.known(id)) is not None), None)

    async def fetch(self, id: str) -> Key:
        """As in Sealer. One that is away leaves open whether it has the key: then StoreUnavailable is raised."""
        away: StoreUnavailable | None = None
        said: list[str] = []
        for sealer in self._all:
            try:
                return await sealer.fetch(id)
            except StoreSealed as error:
                said.append(str(error))
            except StoreUnavailable as error:
                away = error
        raise away or StoreSealed("; ".join(said))
