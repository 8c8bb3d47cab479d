"""What a program must come to, by its text alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from outlast.simulation.program import Operation

_ONCE = ("once", "once_late", "once_unsure", "once_coy", "once_blind", "once_refuse", "once_far")
_SAYS_ITS_SUBJECT = ("pure", "shaky", "typed", *_ONCE)
_INCOMPLETE = ("poison", "fail", "once_never")


def _inside(subject: str, operation: Operation) -> list[tuple[str, Sequence[Operation]]]:
    """The programs inside an operation, with their paths."""
    match operation:
        case ["gather", branches]:
            return [(f"{subject}.{number}", branch) for number, branch in enumerate(branches)]
        case ["map", count, _, branch]:
            return [(f"{subject}.{number}", branch) for number in range(count)]
        case ["child" | "try", inner]:
            return [(subject, inner)]
        case ["loop", left, inner]:
            rest: list[Operation] = [["loop", left - 1, inner]]
            return [(subject, inner), (f"{subject}+", rest)] if left else [(subject, inner)]
        case _:
            return []


def operations(path: str, program: Sequence[Operation]) -> Iterator[tuple[str, Operation]]:
    """All operations that are come to, with their subjects, those inside others too."""
    for index, operation in enumerate(program):
        subject = f"{path}/{index}"
        yield subject, operation
        for inner_path, inner in _inside(subject, operation):
            yield from operations(inner_path, inner)
        if not _is_passed(operation):
            return


def _is_passed(operation: Operation) -> bool:
    """Whether anything can come after it."""
    if operation[0] == "try":
        return True
    return operation[0] not in _INCOMPLETE and all(completes(inner) for _, inner in _inside("", operation))


def must_book(path: str, program: Sequence[Operation]) -> set[str]:
    """The subjects that a completed run must have booked once."""
    return {subject for subject, operation in operations(path, program) if operation[0] in _ONCE}


def may_book(path: str, program: Sequence[Operation]) -> set[str]:
    """The subjects that may be booked, once."""
    more = {subject for subject, operation in operations(path, program) if operation[0] == "abandon_once"}
    return must_book(path, program) | more


def completes(program: Sequence[Operation]) -> bool:
    """Whether it can complete at all."""
    return all(_is_passed(operation) for operation in program)


def is_poisoned(program: Sequence[Operation]) -> bool:
    """Whether it kills its worker."""
    return any(operation[0] == "poison" for _, operation in operations("", program))


def branches_of(program: Sequence[Operation]) -> int:
    """How many steps can be in flight at once, at most."""
    return 1 + sum(
        len(operation[1]) if operation[0] == "gather" else min(operation[1], operation[2])
        for _, operation in operations("", program)
        if operation[0] in ("gather", "map")
    )


def _short(value: Any) -> str:
    return repr(value)[:200]


def gives(path: str, program: Sequence[Operation]) -> dict[str, str]:
    """What agent code must get, by subject, from the steps that are looked at each time."""
    found: dict[str, str] = {}
    for subject, operation in operations(path, program):
        match operation:
            case ["big", characters]:
                found[subject] = subject.ljust(characters, ".")
            case ["typed"]:
                found[subject] = subject
            case _:
                pass
    return found


def misfit(path: str, program: Sequence[Operation], result: Any) -> str:  # noqa: C901 # one case for each
    """Why a result is not what the program says; "" if it is."""
    values = cast("list[Any]", result if isinstance(result, list) else [])
    if len(values) != len(program):
        return f"{path}: {_short(result)} for {len(program)} operations"
    for index, (operation, value) in enumerate(zip(program, values, strict=True)):
        subject = f"{path}/{index}"
        fits = True
        match operation:
            case [name, *_] if name in _SAYS_ITS_SUBJECT:
                fits = value == subject
            case ["big", characters]:
                fits = value == subject.ljust(characters, ".")
            case ["model"]:
                fits = value == f"say {subject}"
            case ["try", inner] if not completes(inner):
                fits = value == "caught"
            case ["sleep", _] | ["abandon", _]:
                fits = value is None
            case ["abandon_once", _]:
                fits = value in (None, subject)
            case ["race"]:
                fits = value in ("a", "b", "ab")
            case ["version"]:
                fits = value == 1
            case ["gather" | "map", *_]:
                for (inner_path, inner), part in zip(_inside(subject, operation), value, strict=True):
                    if problem := misfit(inner_path, inner, part):
                        return problem
            case ["child" | "loop" | "try", *_]:
                inner_path, inner = _inside(subject, operation)[0]
                if problem := misfit(inner_path, inner, value):
                    return problem
            case _:
                pass
        if not fits:
            return f"{subject}: {_short(value)}"
    return ""
