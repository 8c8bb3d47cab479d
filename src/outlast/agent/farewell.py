"""What follows a run's end: hints to those who may wait for it, and now and then a snapshot of its session."""

from __future__ import annotations

from outlast.agent import event as ev
from outlast.agent.mail import post
from outlast.agent.platform import Platform
from outlast.agent.session import Entered, Session, next_turn, save_snapshot
from outlast.kernel.error import OutlastError


async def tell_others(
    platform: Platform,
    run: str,
    created: ev.RunCreated,
    event: ev.RunEnd,
    entered: Entered | None,
    session: Session | None,
) -> None:
    """Wake its parent and the next turn. Hints only: whoever waits also looks by itself, every `wait_poll_s`."""
    try:
        if created.parent and not isinstance(event, ev.RunContinued):
            await _wake(platform, run, created.parent)
        if entered is not None:
            after = await next_turn(platform, created.session, entered.turn)
            if after is not None:
                await _wake(platform, run, after)
            await _snapshot(platform, created.session, event, entered, session)
    except OutlastError:
        return


async def _wake(platform: Platform, ended: str, waiting: str) -> None:
    await post(platform, waiting, ev.MailWake(f"ended:{ended}", ended))


async def _snapshot(platform: Platform, name: str, event: ev.RunEnd, entered: Entered, session: Session | None) -> None:
    state = entered.state
    if state is None or (state.turns + 1) % platform.settings.session_snapshot_every:
        return
    change = session.change() if session is not None and isinstance(event, ev.RunCompleted) else None
    after = state.after(change, entered.turn.at, platform.settings.session_messages_max)
    await save_snapshot(platform, name, entered.turn, after)
