"""The selection: which fine-tunes of the protocol a run measures."""

from typing import NamedTuple

from spqr_tests import quotes
from spqr_tests.checkpoint.adapter import PROFILE
from spqr_tests.errors import InputError
from spqr_tests.settings.protocol import Protocol

Names = tuple[str, ...]


class Selection(NamedTuple):
    """The profiles and scenarios that are fine-tuned, in the protocol's order.

    `notes` has a sentence for each scenario that is left out although no option names it.
    """

    profiles: Names
    scenarios: Names
    notes: Names


def choose(
    protocol: Protocol, profiles: str | None, scenarios: str | None, *, adapters: bool
) -> Selection:
    """The fine-tunes of the protocol that the options select.

    `profiles` and `scenarios` are comma-separated names, None for all. With `adapters`, the profile
    "adapter" means the ready adapters: named alone, it leaves out every fine-tune. Raises
    `InputError` for a name that the protocol lacks, and for a named profile or scenario that is
    left without a fine-tune.
    """
    special = {PROFILE} - set(protocol.profiles) if adapters else set()
    wanted = _asked("--spqr-profiles", profiles, (*protocol.profiles, *special))
    on = _asked("--spqr-scenarios", scenarios, tuple(protocol.scenarios))
    pairs = [pair for pair in protocol.variants if pair[0] in wanted and pair[1] in on]
    made_profiles, made_scenarios = ({pair[position] for pair in pairs} for position in (0, 1))
    for profile in wanted:
        if profiles is not None and profile not in made_profiles | special:
            _refuse(
                "--spqr-profiles",
                profiles,
                profile,
                [other for one, other in protocol.variants if one == profile],
            )
    idle = [name for name in on if name not in made_scenarios]
    for scenario in idle:
        if scenarios is not None:
            _refuse(
                "--spqr-scenarios",
                scenarios,
                scenario,
                [one for one, other in protocol.variants if other == scenario],
            )
    notes = (
        tuple(f"{name} is left out, since none of its profiles is selected" for name in idle)
        if pairs
        else ()
    )
    return Selection(
        tuple(name for name in wanted if name in made_profiles),
        tuple(name for name in on if name in made_scenarios),
        notes,
    )


def _refuse(option: str, asked: str, name: str, partners: list[str]) -> None:
    why = (
        f"it is combined with {', '.join(partners)} only, which the other option leaves out"
        if partners
        else "nothing is combined with it"
    )
    raise InputError(f"{option} {asked}: no fine-tune of the protocol is left for {name}; {why}.")


def _asked(option: str, asked: str | None, known: Names) -> Names:
    """The names in the protocol's order; all when the option is not given."""
    if asked is None:
        return known
    names = [name.strip() for name in asked.split(",")]
    for name in names:
        if name not in known:
            raise InputError(
                f"{option} {asked}: {quotes.shown(name)} is not in the protocol, which has"
                f" {', '.join(known)}."
            )
    return tuple(name for name in known if name in names)
