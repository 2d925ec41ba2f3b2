"""A protocol that decides a release has enough prompts for its intervals, or is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from spqr_tests.data.prompts import Prompt, PromptSet
from spqr_tests.errors import InputError
from spqr_tests.run import floors
from spqr_tests.settings import protocol_file
from spqr_tests.settings.protocol import Protocol
from tests.settings.test_protocol import PACKAGED

RELEASE = next(path for path in PACKAGED if path.stem == "embedded")
PROMPT = Prompt("a circle", 1, (), source="row 1")


def rows(n: int, different: int | None = None) -> PromptSet:
    texts = [f"a circle, {number % (different or n)}" for number in range(n)]
    return PromptSet(Path("own.csv"), tuple(replace(PROMPT, text=text) for text in texts))


def settings(distance: str = "fid", *, release: bool = True) -> Protocol:
    found = protocol_file.read(RELEASE, {}, {})
    quality = found.quality.model_copy(update={"distance": None if distance == "fid" else distance})
    return found.model_copy(update={"release": release, "quality": quality})


@pytest.mark.parametrize(
    ("adherence", "quality", "named"),
    [
        (rows(99), rows(500), r"\[adherence\] has 99 prompts, and with fewer than 100"),
        (rows(300, 60), rows(500), r"\[adherence\] has 60 prompts"),
        (rows(100), rows(499), r"\[quality\] has 499 images, .* quality by fid errs"),
    ],
)
def test_too_few_are_refused(adherence: PromptSet, quality: PromptSet, named: str) -> None:
    with pytest.raises(InputError, match=named + r".*set release = false"):
        floors.check(settings(), Path("own.toml"), adherence, quality)
    floors.check(settings(release=False), Path("own.toml"), adherence, quality)


@pytest.mark.parametrize(("distance", "least"), floors.QUALITY.items())
def test_each_distance_has_its_own(distance: str, least: int) -> None:
    asked = settings(distance)
    floors.check(asked, Path("own.toml"), rows(100), rows(least))
    with pytest.raises(InputError, match=f"fewer than {least} "):
        floors.check(asked, Path("own.toml"), rows(100), rows(least - 1))
