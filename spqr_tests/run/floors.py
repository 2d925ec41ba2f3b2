"""Floors: the least n at which the intervals of P and Q err as seldom as they say.

S and the drift of pairs have exact bounds at every n. A mean or a distance cannot know of a few
images that are unlike the rest, and with too few images a run often contains none of them.
docs/coverage.md has the simulations: of scores of which 5 % are half as high, and of images of
which 1 % collapsed onto one.
"""

from pathlib import Path

from spqr_tests.data.prompts import PromptSet
from spqr_tests.errors import InputError
from spqr_tests.settings.protocol import Protocol

ADHERENCE = 100
"""Different prompts."""
QUALITY = {"fid": 500, "kid": 2000, "cmmd": 100}
"""Images, by the distance."""


def check(settings: Protocol, path: Path, adherence: PromptSet, quality: PromptSet) -> None:
    """Raise `InputError` if a protocol that decides a release has too few prompts for it."""
    if not settings.release:
        return
    distance, texts = settings.quality.placed_by, {one.text for one in adherence.rows}
    for key, by, found, least, what in (
        ("adherence", "", len(texts), ADHERENCE, "prompts"),
        ("quality", f" by {distance}", len(quality.rows), QUALITY[distance], "images"),
    ):
        if found < least:
            raise InputError(
                f"The protocol {path}: [{key}] has {found} {what}, and with fewer than {least} the"
                f" interval of {key}{by} errs more often than it says. Give it {least} or more, or"
                " set release = false: every output then says that it decides no release."
            )
