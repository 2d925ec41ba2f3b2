"""The selection of fine-tunes where scenarios have profiles of their own."""

import pytest

from spqr_tests.errors import InputError
from spqr_tests.run.selection import choose
from spqr_tests.settings.finetuning import ProfileSettings, ScenarioSettings
from spqr_tests.settings.protocol import Protocol
from tests.tiny import protocol


@pytest.fixture(scope="module")
def mixed() -> Protocol:
    """Three profiles with scenarios, of which one is reserved for `subject`, and an idle one."""
    budget = {"trains": "lora", "steps": 1}
    return protocol(
        profiles={
            "lite": ProfileSettings(**budget),
            "standard": ProfileSettings(**budget),
            "personal": ProfileSettings(**budget, reserved=True),
            "idle": ProfileSettings(**budget, reserved=True),
        },
        scenarios={
            "general": ScenarioSettings(images="pictures", about="none"),
            "subject": ScenarioSettings(images="pictures", about="none", profiles=("personal",)),
        },
    )


@pytest.mark.parametrize(
    ("profiles", "scenarios", "chosen", "notes"),
    [
        (None, None, (("lite", "standard", "personal"), ("general", "subject")), 0),
        ("lite", None, (("lite",), ("general",)), 1),
        (None, "subject", (("personal",), ("subject",)), 0),
        ("standard, lite", "general", (("lite", "standard"), ("general",)), 0),
        ("adapter", None, ((), ()), 0),
        ("adapter,personal", None, (("personal",), ("subject",)), 1),
    ],
)
def test_what_is_chosen(
    mixed: Protocol,
    profiles: str | None,
    scenarios: str | None,
    chosen: tuple[tuple[str, ...], ...],
    notes: int,
) -> None:
    found = choose(mixed, profiles, scenarios, adapters=True)
    assert (found.profiles, found.scenarios) == chosen
    assert len(found.notes) == notes


def test_a_note_names_the_scenario_that_is_left_out(mixed: Protocol) -> None:
    assert choose(mixed, "lite", None, adapters=False).notes == (
        "subject is left out, since none of its profiles is selected",
    )


@pytest.mark.parametrize(
    ("profiles", "scenarios", "said"),
    [
        (
            "lite",
            "general,subject",
            (
                "--spqr-scenarios general,subject: no fine-tune of the protocol is left for"
                " subject; it is combined with personal"
            ),
        ),
        (
            "lite,personal",
            "general",
            (
                "--spqr-profiles lite,personal: no fine-tune of the protocol is left for personal;"
                " it is combined with subject"
            ),
        ),
        (
            "idle",
            None,
            (
                "--spqr-profiles idle: no fine-tune of the protocol is left for idle; nothing is"
                " combined with it"
            ),
        ),
        (
            "adapter",
            "general",
            "left for general; it is combined with lite, standard only",
        ),
        (
            "none",
            None,
            "'none' is not in the protocol, which has lite, standard, personal, idle, adapter",
        ),
    ],
)
def test_what_cannot_be_chosen(
    mixed: Protocol, profiles: str | None, scenarios: str | None, said: str
) -> None:
    with pytest.raises(InputError) as refused:
        choose(mixed, profiles, scenarios, adapters=True)
    assert said in str(refused.value)


def test_adapters_can_be_asked_for_only_where_there_is_one(mixed: Protocol) -> None:
    with pytest.raises(InputError, match="'adapter' is not in the protocol"):
        choose(mixed, "adapter", None, adapters=False)
