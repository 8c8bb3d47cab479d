"""Finds the user's App: ``module:object`` or ``file.py:object``, with errors that point into the user's own code."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from outlast.agent.app import App
from outlast.blueprint.load import check_agents
from outlast.blueprint.schema import Blueprint, default_pool
from outlast.kernel.error import ConfigurationError, OutlastError
from outlast.policy.budget import Budget

frames_max = 4
"""Lines of the user's own code that an import error shows."""


def load_app(target: str, directory: Path | str) -> App[Any]:
    """The App that `target` names, imported from `directory`, which is put on the import path.

    ``app:app``, ``desk.main:app``, ``app.py:app``; without ``:object``, the only App of the module. Raises
    ConfigurationError: no such file, an error at import (with the lines of the user's code that led there), no such
    object, something that is no App, several Apps.
    """
    home = Path(directory).resolve()
    module_name, _, attribute = target.partition(":")
    module = _import(module_name, home, target)
    if not attribute:
        return _only_app(module, target)
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, App):
        return found  # type: ignore[return-value] # its type parameter is the user's
    apps = _apps(module)
    hint = f"; there is {' and '.join(f'{module_name}:{name}' for name in apps)}" if apps else ""
    if found is None:
        raise ConfigurationError(f"app {target}: {module_name} has no {attribute!r}{hint}")
    raise ConfigurationError(
        f"app {target} is {type(found).__name__}, expected an outlast.App: write {attribute} = outlast.App(...){hint}"
    )


def configure_app(app: App[Any], blueprint: Blueprint) -> App[Any]:
    """Apply what the blueprint says about the app's agents; it goes before what the code says. Returns `app`.

    Raises ConfigurationError for an agent that the app does not have.
    """
    check_agents(blueprint, app.agents)
    for name, said in blueprint.agents.items():
        agent = app.agents[name]
        changes: dict[str, Any] = {}
        if said.workers is not None:
            changes["pool"] = name
        if said.deadline is not None:
            changes["deadline_s"] = said.deadline
        if said.budget is not None:
            limits = said.budget
            changes["budget"] = Budget(limits.steps, limits.tokens, limits.cost, limits.time)
        agent.options = dataclasses.replace(agent.options, **changes)
    return app


def pools_of(app: App[Any]) -> tuple[str, ...]:
    """The worker pools that an app's agents name."""
    return tuple(sorted({agent.pool or default_pool for agent in app.agents.values()}))


def _import(name: str, home: Path, target: str) -> ModuleType:
    path = _file_of(name, home)
    where = str(home)
    if path is not None:
        name = path.stem
        where = str(path.parent)
    if where not in sys.path:
        sys.path.insert(0, where)
    try:
        if path is None and importlib.util.find_spec(name) is None:
            raise _not_there(name, home, target)
        return importlib.import_module(name)
    except OutlastError as error:
        if isinstance(error, ConfigurationError) and error.__traceback__ is not None and _frames(error, home) == []:
            raise
        raise _broken(target, error, home) from None
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise _not_there(name, home, target) from None
        raise _broken(target, error, home) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever the user's code raises is told to the user)
        raise _broken(target, error, home) from None


def _file_of(name: str, home: Path) -> Path | None:
    if not name.endswith(".py"):
        return None
    path = (home / name).resolve()
    if not path.is_file():
        raise ConfigurationError(f"app file {path} is not there: create it, or correct `app:` in outlast.yaml")
    return path


def _not_there(name: str, home: Path, target: str) -> ConfigurationError:
    file = home.joinpath(*name.split(".")).with_suffix(".py")
    return ConfigurationError(
        f"app {target}: there is no {file}, nor a package of that name: create it, or correct `app:` in outlast.yaml"
    )


def _broken(target: str, error: BaseException, home: Path) -> ConfigurationError:
    """The error, with the lines of the user's code that led to it and none of ours."""
    lines = [f'  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}' for frame in _frames(error, home)]
    if isinstance(error, SyntaxError) and error.filename:
        lines.append(f"  {error.filename}:{error.lineno}: {(error.text or '').strip()}")
        text = error.msg
    else:
        text = str(error)
    shown = "\n".join(lines[-frames_max:])
    return ConfigurationError(
        f"app {target} cannot be imported: {type(error).__name__}: {text}" + (f"\n{shown}" if shown else "")
    )


def _frames(error: BaseException, home: Path) -> list[traceback.FrameSummary]:
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__).resolve().parent.parent)
    told = [f for f in frames if not f.filename.startswith(("<", ours)) and f.filename != importlib.__file__]
    return [f for f in told if f.filename.startswith(str(home))] or told


def _apps(module: ModuleType) -> dict[str, App[Any]]:
    found: dict[str, App[Any]] = {}
    for name, value in vars(module).items():
        if isinstance(value, App) and not any(value is known for known in found.values()):
            found[name] = value
    return found


def _only_app(module: ModuleType, target: str) -> App[Any]:
    apps = _apps(module)
    if len(apps) == 1:
        return next(iter(apps.values()))
    if not apps:
        raise ConfigurationError(f"app {target}: {module.__name__} holds no outlast.App: write app = outlast.App(...)")
    names = ", ".join(f"{target}:{name}" for name in apps)
    raise ConfigurationError(f"app {target}: {module.__name__} holds {len(apps)} Apps: choose one of {names}")
