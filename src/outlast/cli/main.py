"""The entry point: finds the command, imports only it, and turns every error into one clear line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import typer
import typer.core
import typer.main

from outlast.adapters.host.output import give_up_unwritten, print_whole
from outlast.cli.exit import ExitCode, exit_code
from outlast.cli.option import context_settings
from outlast.kernel.error import InvariantBroken, OutlastError

HELP = """Keeps AI agents running when things go wrong, and proves it.

Start here:

    outlast init desk && cd desk
    outlast run support "Refund order 1043, 80 EUR" --crash-in refund
"""

EPILOG = (
    "Exit codes: 0 ok · 1 failed, or a negative verdict · 2 usage or configuration · 3 not found · 4 conflict · "
    "5 unavailable · 130 interrupted. OUTLAST_DEBUG=1 shows tracebacks, NO_COLOR=1 turns colours off."
)

complete_variable = "_OUTLAST_COMPLETE"
"""Set by a shell's completion script when it asks what may follow."""


class Entry(NamedTuple):
    """Where a command lives; `help` stands here so that listing commands imports none of them."""

    module: str
    attribute: str
    panel: str
    help: str


_store = "Prepare a journal that machines share; say what rights it needs, and what a failover lost."
_import = "Draft outlast.yaml from templates of CloudFormation (CDK, SAM) or plans of Terraform."
_blueprint = "Check outlast.yaml, show it with its defaults, print its reference and JSON Schema."
_plan = "Say what the objectives imply, why, and what would change if one of them did."
_cost = "Estimate what a system costs in a month: by component, by promise, by strategy for a lost region."
_failures = "List what can fail, how it shows, what protects it, and which drill would prove it."
_queues = "Look at the queues that agents read; let dead letters try again."
_backup = "Back up the journal now; list, verify and prune backups."
_restore = "Restore the journal from a backup, as it was at an instant, into an empty store."
_migrate = "Copy the whole journal, with its blobs, from one engine to another, and verify the copy."

COMMANDS: dict[str, Entry] = {
    "init": Entry("init", "init", "Write", "Make a new project: an agent that works at once, and its test."),
    "up": Entry("up", "up", "Run", "Run workers, server and supervisor here, until Ctrl-C."),
    "gateway": Entry("gateway", "gateway_app", "Run", "Put one address in front of model endpoints."),
    "run": Entry("run", "run", "Run", "Start a run and follow it to its end."),
    "signal": Entry("tell", "signal", "Run", "Send a signal to a run."),
    "cancel": Entry("tell", "cancel", "Run", "Ask a run to stop."),
    "runs": Entry("runs", "runs", "Look", "List runs, newest first."),
    "show": Entry("runs", "show", "Look", "Tell the story of one run, step by step."),
    "replay": Entry("replay", "replay", "Look", "Execute a run's history against today's code, without effects."),
    "sessions": Entry("sessions", "sessions", "Look", "List sessions, the most recently used first."),
    "session": Entry("sessions", "session", "Look", "Show one session: its messages and turns."),
    "resolve": Entry("tell", "resolve", "Operate", "Decide a step in doubt: it was done, try again, or fail."),
    "redrive": Entry("tell", "redrive", "Operate", "Let a quarantined or held run try again."),
    "stop": Entry("switch", "stop", "Operate", "Stop an agent: none of its runs takes another step (kill switch)."),
    "resume": Entry("switch", "resume", "Operate", "Let a stopped agent go on."),
    "pools": Entry("pools", "pools_app", "Operate", "Show the pools of a gateway; drain, eject or weigh an endpoint."),
    "audit": Entry("audit", "audit_app", "Operate", "Verify the journal's hash chain, or show its records."),
    "store": Entry("store", "store_app", "Operate", _store),
    "queues": Entry("queues", "queues_app", "Operate", _queues),
    "backup": Entry("backup", "backup_app", "Operate", _backup),
    "restore": Entry("restore", "restore", "Operate", _restore),
    "migrate": Entry("migrate", "migrate", "Operate", _migrate),
    "keys": Entry("keys", "keys_app", "Operate", "Make and rotate the keys that payloads are encrypted with."),
    "assess": Entry("assess", "assess", "Design", "Say where a described system breaks, and what would mend it."),
    "import": Entry("importing", "import_app", "Design", _import),
    "graph": Entry("graph", "graph", "Design", "Draw what needs what, and what fails when something fails."),
    "blueprint": Entry("blueprint", "blueprint_app", "Design", _blueprint),
    "plan": Entry("plan", "plan", "Design", _plan),
    "cost": Entry("cost", "cost", "Design", _cost),
    "failures": Entry("failures", "failures", "Design", _failures),
    "doctor": Entry("doctor", "doctor", "Operate", "Check this machine and project, and say what to mend."),
    "model": Entry("model", "model_app", "More", "Fetch and serve a small real model on this machine."),
    "demo": Entry("demo", "demo", "More", "Crash everything while agents work, and count what was lost: nothing."),
    "completion": Entry("completion", "completion", "More", "Print the completion script for a shell."),
    "version": Entry("version", "version", "More", "Print the version of Outlast and of what it stands on."),
}


class LazyGroup(typer.core.TyperGroup):
    """The root command: knows every command's name and line of help, imports one when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the help, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command if it was loaded, else a stand-in that carries its help."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        loaded = self.commands.get(cmd_name)
        return loaded or typer.core.TyperCommand(cmd_name, help=entry.help, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Called for the one command that runs (or is being completed): the only one that is imported."""
        name = args[0]
        if name in COMMANDS:
            self.commands.setdefault(name, load_command(name))
        elif not ctx.resilient_parsing and not name.startswith("-"):
            from outlast.blueprint.document import nearest

            near = nearest(name, COMMANDS)
            ctx.fail(f"no command {name[:64]!r}" + (f": did you mean {near!r}?" if near else ""))
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """Import a command and make it ready to run."""
    entry = COMMANDS[name]
    found = getattr(importlib.import_module(f"outlast.cli.{entry.module}"), entry.attribute)
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
    else:
        wrapper = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
        wrapper.command(name, context_settings=context_settings)(found)
        command = typer.main.get_command(wrapper)
    command.name = name
    return command


def root() -> typer.core.TyperGroup:
    """The whole command line."""
    application = typer.Typer(
        cls=LazyGroup,
        help=HELP,
        epilog=EPILOG,
        add_completion=complete_variable in os.environ,  # else it would show two options that `completion` stands for
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings=context_settings,
    )
    application.callback()(_root)
    return cast(typer.core.TyperGroup, typer.main.get_command(application))


def _version(value: bool) -> None:
    if value:
        from outlast.cli.version import installed

        print(f"outlast {installed()}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's); returns the exit code. Prints errors, raises none."""
    if arguments is not None:
        return _main(arguments)
    print_whole()
    try:
        return _main(sys.argv[1:])
    finally:
        give_up_unwritten()


def _main(arguments: Sequence[str]) -> int:
    if not os.environ.get("COLUMNS") and not sys.stdout.isatty():
        os.environ["COLUMNS"] = "120"  # help and tables in a pipe: Rich would assume 80 and wrap identifiers
    try:
        result = root().main(list(arguments) or ["--help"], prog_name="outlast", standalone_mode=False)
        sys.stdout.flush()
        return int(result) if isinstance(result, int) else ExitCode.OK
    except SystemExit as stopped:  # completion ends so; and a broken pipe, which Typer makes 1
        if isinstance(stopped.__context__, BrokenPipeError):
            return ExitCode.OK
        return stopped.code if isinstance(stopped.code, int) else ExitCode.OK
    except BrokenPipeError:  # whoever read our output has seen enough (``outlast runs | head``)
        return ExitCode.OK
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except (Exception, InvariantBroken) as error:  # noqa: BLE001 (the outermost place: says what happened, by kind)
        if os.environ.get("OUTLAST_DEBUG", "") not in ("", "0"):
            import traceback

            traceback.print_exc()
        return _report(error)


def _report(error: BaseException) -> int:
    from outlast.cli.output import print_error

    while isinstance(error, BaseExceptionGroup):  # of a task group: its first error is the one that ended it
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    if isinstance(error, OutlastError):
        print_error(str(error) or type(error).__name__)
        return exit_code(error)
    if isinstance(error, typer.Abort):
        return ExitCode.INTERRUPTED
    if type(error).__name__ == "NoArgsIsHelpError":
        cast(Any, error).show()  # a group without a command: its help
        return ExitCode.USAGE
    usage = getattr(error, "format_message", None)
    if usage is not None:  # Typer's own: an unknown option, a missing argument, a value out of range
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "outlast"
        print_error(f"{_lowered(str(usage()))}; see: {path} --help")
        return ExitCode.USAGE
    if isinstance(error, OSError):
        name = f" ({error.filename})" if error.filename else ""
        print_error(f"{(error.strerror or str(error) or type(error).__name__).lower()}{name}")
        return ExitCode.UNAVAILABLE
    print_error(
        f"this is a fault in outlast itself: {type(error).__name__}: {error}\n"
        "run the same command with OUTLAST_DEBUG=1 for the traceback, and report it"
    )
    return ExitCode.FAILED


def _lowered(message: str) -> str:
    message = " ".join(message.split()).rstrip(".")
    return message[:1].lower() + message[1:]


if __name__ == "__main__":
    sys.exit(main())
