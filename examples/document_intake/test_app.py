"""The agent with each of its services away, and killed at every position. Run it with: python -m pytest test_app.py

The services are their own functions here, in this process: virtual time cannot wait for a network. The drill of the
README does the same to real processes.
"""

from __future__ import annotations

from typing import Any

from app import Document, Filed, Services, intake
from preprocessing import read
from rules import Extraction, Text, crude_extraction, crude_text

from outlast import testing

LETTER = "<h1>Invoice</h1><p>Invoice number: INV-7</p><p>Please pay &euro; 80.</p><hr class=page><p>Thank you.</p>"


class Office(Services):
    """All of them in this process; what is in `away` does not answer."""

    def __init__(self, *away: str) -> None:
        super().__init__(http=None)  # type: ignore[arg-type] # nothing is asked over it
        self.away = set(away)
        self.kept: dict[str, Extraction] = {}
        self.filings: list[tuple[str, str, str, bool]] = []

    def clear(self) -> None:
        self.kept.clear()
        self.filings.clear()

    def entries(self) -> list[tuple[str, str, bool]]:
        """What was filed, for `survives` to count."""
        return [(document, label, degraded) for _, document, label, degraded in self.filings]

    def _there(self, name: str) -> None:
        if name in self.away:
            raise ConnectionError(f"{name} is away")

    async def fetch(self, document: Document) -> str:
        self._there("documents")
        return LETTER

    async def read(self, raw: str) -> Text:
        self._there("preprocessing")
        return read(raw)

    async def recall(self, digest: str) -> Extraction | None:
        self._there("extractions")
        return self.kept.get(digest)

    async def keep(self, digest: str, extraction: Extraction) -> None:
        self._there("extractions")
        self.kept[digest] = extraction

    async def file(self, key: str, document: str, label: str, degraded: bool) -> int:
        self.filings.append((key, document, label, degraded))
        return len(self.filings)

    async def filing(self, key: str) -> int | None:
        return next((number for number, (known, *_) in enumerate(self.filings, 1) if known == key), None)


def take_in(name: str, office: Office, **more: Any) -> Filed:
    finished = testing.run(intake, {"document": {"id": name, "place": "post"}}, deps=office, **more)
    assert finished.state == "completed", (finished.state, finished.error, finished.reason)
    return finished.result


def test_a_document_is_read_by_a_model_filed_and_remembered() -> None:
    office = Office()
    first = take_in("one", office)
    assert (first.label, first.number, first.pages, first.read_by) == ("invoice", "INV-7", 2, "scripted")
    assert (first.degraded, first.filing) == ([], 1)
    again = take_in("two", office)  # the same text
    assert (again.read_by, again.degraded, again.filing) == ("cache", [], 2)


def test_it_is_filed_once_wherever_its_worker_dies() -> None:
    office = Office("preprocessing")
    given = {"document": {"id": "one", "place": "post"}}
    testing.survives(intake, given, deps=office, effects=office, compare=lambda filed: (filed.label, filed.degraded))
    assert office.entries() == [("one", "invoice", True)]


def test_without_preprocessing_it_is_read_by_rules_and_says_so() -> None:
    office = Office("preprocessing")
    found = take_in("one", office)
    assert (found.label, found.pages, found.degraded) == ("invoice", 1, ["preprocessing"])
    assert found.reviewed_by == ""  # nobody came within two hours
    assert office.kept == {}  # what was read with less than everything is not remembered


def test_without_the_cache_nothing_changes_but_the_time() -> None:
    office = Office("extractions")
    found = [take_in(name, office) for name in ("one", "two")]
    assert [(one.read_by, one.degraded) for one in found] == [("scripted", []), ("scripted", [])]


def test_without_any_model_rules_read_it_and_a_person_is_asked() -> None:
    refuses = testing.Scripted([])
    review = {"review": {"by": "a person", "label": "contract"}}
    found = take_in("one", Office(), model=refuses, signals=review)
    assert (found.label, found.number, found.read_by) == ("contract", "INV-7", "rules")
    assert (found.degraded, found.reviewed_by) == (["reader"], "a person")


def test_without_storage_it_waits() -> None:
    office = Office("documents")
    finished = testing.run(intake, {"document": {"id": "one", "place": "post"}}, deps=office)
    assert finished.state == "failed"  # after all its attempts: half an hour and more, in no time
    assert sum(event.type == "step.retried" for event in finished.events) > 900
    assert office.filings == []


def test_the_service_reads_better_than_the_rules() -> None:
    assert read(LETTER).pages == 2
    assert "\u20ac 80" in read(LETTER).text
    crude = crude_text(LETTER)
    assert (crude.pages, "&euro;" in crude.text) == (1, True)
    assert crude_extraction(crude.text).number == "INV-7"
