"""A benign set: pictures and their captions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from spqr_tests.store import digest
from spqr_tests.store.pictures import KnownPicture


@dataclass(frozen=True)
class BenignSet:
    """Pairs of a picture's path and one of its captions, in the metadata's order.

    A picture with several captions has as many pairs, each an example to train on. Wherever
    pictures are counted, judged or compared with, it is one picture.
    """

    folder: Path
    pairs: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...] = ()
    """How pictures are converted, and what of the files was left out."""
    contents: Mapping[Path, str] = field(default_factory=dict)
    """SHA-256 (hex) of the bytes of pictures that were just compared with it."""

    @cached_property
    def pictures(self) -> tuple[Path, ...]:
        """The pictures, each once, in the order in which they come first."""
        return tuple(dict.fromkeys(path for path, _ in self.pairs))

    @cached_property
    def known(self) -> tuple[KnownPicture, ...]:
        """`pictures`, each with what it is known by since this was first asked."""
        return tuple(
            KnownPicture.at(path)
            if (content := self.contents.get(path)) is None
            # Of what the suite itself has written, no colour or direction is converted.
            else KnownPicture(path, content)
            for path in self.pictures
        )

    @property
    def identities(self) -> tuple[str, ...]:
        """By what each of `pictures` is known, as `store.pictures.identity` says."""
        return tuple(picture.digest for picture in self.known)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the captions and the pictures."""
        identities = {picture.path: picture.digest for picture in self.known}
        return digest.of_json([[identities[path], caption] for path, caption in self.pairs])

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a run's header says about the set; nothing where all is plain."""
        pictures, different = len(self.pictures), len(set(self.identities))
        said = []
        if len(self.pairs) > pictures:
            said.append(
                f"{pictures} pictures with {len(self.pairs)} captions; each pair is an example to"
                " train on, and each picture counts once elsewhere"
            )
        said += self.notes
        if different < pictures:
            said.append(f"pictures that are copies of others: {pictures - different} of {pictures}")
        return tuple(said)
