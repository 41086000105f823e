"""Who may write: what a witness answers, what answers amount to, what a guard does next. Pure functions, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

State = Dict[str, Any]

PERMIT, FORBID, WAIT, NONE = "permit", "forbid", "wait", "none"
# Who of the other site may permit. All others can only say that they know a newer epoch.
PERMITTERS = ("gateway", "database")
CLEAN = ("shut down", "shut down in recovery")


class Verdict(NamedTuple):
    """What a witness answers, or what several answers amount to, and why. ``taking_over``: a dead run is overruled."""

    verdict: str
    why: str
    taking_over: bool = False


class Facts(NamedTuple):
    """The database of this host as files tell it; ``writable`` is None where a running server has not said it yet.

    ``promoted``: it has left the timeline on which the promotion was decided that this host knows of.
    """

    present: bool
    running: bool
    control: str
    signal: bool
    writable: Optional[bool]
    promoted: bool = False


def epoch_of(state: State, key: str = "epoch") -> Tuple[int, Optional[str]]:
    """Return (number, site) of what a state file says, (0, None) where it says nothing that can be understood."""
    held = state.get(key)
    number = held.get("epoch" if key == "fired" else "number") if isinstance(held, dict) else None
    site = held.get("site") if isinstance(held, dict) else None
    good = isinstance(number, int) and not isinstance(number, bool) and number > 0 and isinstance(site, str)
    return (number, site) if good and isinstance(number, int) else (0, None)


def busy(state: State, now: float) -> bool:
    """Tell whether a run that may be alive works on this host. ``now`` is unix time."""
    held = state.get("operation") or {}
    return bool(held.get("open")) and float(held.get("expires") or 0) > now


def decided_for(state: State, site: str) -> bool:
    """Tell whether this host's disk knows a promotion of ``site`` to be decided whose epoch is not committed yet."""
    number, owner = epoch_of(state, "fired")
    return owner == site and number > epoch_of(state)[0]


def standing(state: State, site: str, promoted: bool) -> Tuple[int, Optional[str]]:
    """Return the epoch in whose name this host may ask: the committed one, or the one for which it was promoted already.

    A promotion is decided only when the other side is proven down and fenced; from then on there is only forward.
    """
    return epoch_of(state, "fired") if promoted and decided_for(state, site) else epoch_of(state)


def held(state: State, site: str, promoted: bool) -> bool:
    """Tell whether this very database was seen to take writes in the epoch in whose name it asks.

    A standby to which an epoch was only told, or a host restored from a snapshot, has no such record: it would open old data.
    """
    epoch = standing(state, site, promoted)
    return epoch_of(state, "held") == epoch or (promoted and epoch_of(state, "fired") == epoch)


def answer(
    me: Dict[str, Any], state: State, question: Dict[str, Any], now: float, writable: Optional[bool]
) -> Verdict:
    """Return what the host ``me`` {site, role} says to a question {site, want, epoch}.

    ``writable`` tells whether a database of this very host takes writes (None: unknown; False on other hosts).
    """
    mine, theirs = epoch_of(state), epoch_of(question)
    if question.get("want") != PERMIT:
        return Verdict(NONE, "not asked for")
    if mine[0] > theirs[0] or (mine[0] == theirs[0] and mine != theirs):
        return Verdict(FORBID, "epoch %d belongs to %s" % mine)
    if me["role"] not in PERMITTERS or me["site"] in (None, "", question.get("site")):
        return Verdict(NONE, "may only forbid")
    if theirs[1] != question.get("site"):
        return Verdict(NONE, "epoch %d is not of the site that asks" % theirs[0])
    if mine[0] < theirs[0] and epoch_of(state, "prepared") != theirs:
        # Restored from a snapshot, or never told: it cannot know what else it has missed.
        return Verdict(NONE, "knows nothing newer than epoch %d" % mine[0])
    number, owner = epoch_of(state, "fired")
    if owner not in (None, theirs[1]) and number > theirs[0]:
        return Verdict(FORBID, "epoch %d was decided for %s" % (number, owner))
    if me["role"] == "database" and writable is not False:
        return Verdict(
            FORBID if writable else NONE, "the database here %s" % ("takes writes" if writable else "is unclear")
        )
    number, owner = epoch_of(state, "prepared")
    if owner not in (None, theirs[1]) and number > theirs[0]:
        # The promotion is fired on the database host: only there a run that is dead can be kept from going on.
        if busy(state, now) or me["role"] != "database":
            return Verdict(WAIT, "a switch to %s has begun and is not finished" % owner)
        return Verdict(PERMIT, "epoch %d of %s is the newest; the switch to %s died" % (*theirs, owner), True)
    return Verdict(PERMIT, "epoch %d of %s is the newest" % theirs)


def newest(answers: Dict[str, Dict[str, Any]]) -> Tuple[int, Optional[str], str]:
    """Return (number, site, who said it) of the newest epoch in the answers."""
    found: Tuple[int, Optional[str], str] = (0, None, "")
    for host, said in answers.items():
        number, site = epoch_of(said)
        if number > found[0]:
            found = (number, site, host)
    return found


def judge(own: Tuple[int, Optional[str]], answers: Dict[str, Dict[str, Any]]) -> Verdict:
    """Return what all answers amount to: one who forbids outweighs all who permit; silence permits nothing."""
    for host, item in sorted(answers.items()):
        found = epoch_of(item)
        if found[0] > own[0] or (found[0] == own[0] and found != own):
            return Verdict(FORBID, "%s: epoch %d belongs to %s" % (host, *found))
    for wanted in (FORBID, PERMIT, WAIT):
        said = sorted(host for host, item in answers.items() if item.get("verdict") == wanted)
        if said:
            return Verdict(wanted, "%s: %s" % (said[0], answers[said[0]].get("why") or wanted))
    return Verdict(NONE, "; ".join(silence(answers)) or "there is nobody to ask")


def silence(answers: Dict[str, Dict[str, Any]]) -> List[str]:
    """Return why nobody permitted, a phrase for each who could have or did not answer."""
    return ["%s: %s" % (host, item.get("error") or item.get("why")) for host, item in sorted(answers.items())]


def lift_holds(state: State, now: float) -> bool:
    """Tell whether a person has permitted one opening, in this epoch, and it is neither used nor expired."""
    lift = state.get("lift") or {}
    return (
        bool(lift)
        and lift.get("used") is None
        and lift.get("epoch") == epoch_of(state)[0]
        and float(lift.get("until") or 0) > now
    )


def next_act(site: str, state: State, facts: Facts, now: float, ran: bool, mine: bool = False) -> str:
    """Return what the guard of a database does now. ``ran``: the server was seen to run since the host was started.

    ``mine``: the guard has stopped it in order to start it again.

    | server                         | epoch                     | act                                              |
    |--------------------------------|---------------------------|--------------------------------------------------|
    | takes writes                   | own, none, decided for it | keep: the signal lies there for the next start   |
    | takes writes                   | another site's            | stop                                             |
    | has not said yet               | any                       | look                                             |
    | in recovery, signal there      | own, no run at work       | open, if somebody permits                        |
    | in recovery                    | any other                 | none: a standby, or a promotion under way        |
    | down, signal missing           | any, no run at work       | fence                                            |
    | died, or stopped by the guard  | own, no run at work       | start: asks before it, else it comes up read-only |
    | down, any other                |                           | none: somebody stopped it                        |
    """
    owner = epoch_of(state)[1]
    if not facts.present:
        return "none"
    if facts.running:
        if facts.writable is None:
            return "look"
        if facts.writable:
            return "keep" if owner in (None, site) or decided_for(state, site) else "stop"
        return "open" if may_want(site, state, now, facts.promoted) and facts.signal else "none"
    if busy(state, now):
        return "none"
    if not facts.signal:
        return "fence"
    gone = mine or (ran and facts.control not in CLEAN)
    return "start" if gone and may_want(site, state, now, facts.promoted) else "none"


def may_want(site: str, state: State, now: float, promoted: bool) -> bool:
    """Tell whether this site is the active one as far as this host knows, and no run is at work that will see to it."""
    return standing(state, site, promoted)[1] == site and not busy(state, now)
