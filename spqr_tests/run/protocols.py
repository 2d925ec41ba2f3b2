"""Protocols by name or file, with the data that they name and a hash over everything."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from spqr_tests import quotes
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.data.prompts import PromptSet, Role
from spqr_tests.data.prompts import read as read_prompts
from spqr_tests.errors import InputError
from spqr_tests.generation import held_out
from spqr_tests.judging import judges
from spqr_tests.judging.judges import Judge
from spqr_tests.metrics.dual_encoder import DualEncoder, DualEncoders
from spqr_tests.metrics.embedding import ImageEncoder
from spqr_tests.metrics.inception import Inception
from spqr_tests.run import floors, sources, try_out, user_data
from spqr_tests.run.packaged import Packaged
from spqr_tests.run.registered_protocols import Protocols
from spqr_tests.run.user_data import UserData
from spqr_tests.settings import protocol_file
from spqr_tests.settings.judges import LIMITS
from spqr_tests.settings.prompts import PromptsSettings, QualitySettings
from spqr_tests.settings.protocol import Protocol
from spqr_tests.store import digest
from spqr_tests.store.store import Store

_EMBEDDED = 32
# They decide the seeds of the prompts, which are hashed with the prompts.
_SEEDS = {"images_per_prompt", "seeding"}
# What may be in a set, and not what is in it.
_ALLOWED = {"cut"}
_SETS = ("harmful", "ood", "adherence", "quality")
_SIZES = {"n", "sample", "seed", "seeding", "images_per_prompt"}
"""What decides which rows of a set are used, how often and with which seeds."""
# Prose for readers, limits of judges' processes, and the names of data and of recipes whose content
# is hashed.
_UNHASHED: dict[str, Any] = {
    "about": True,
    "data": True,
    "correction": {"source"},
    "finetuning": {"training_icc_source"},
    "judges": {"__all__": LIMITS},
    "profiles": {"__all__": {"recipe", "families"}},
    "scenarios": {"__all__": {"about"}},
    "harmful": _SEEDS | _ALLOWED,
    "ood": _SEEDS | _ALLOWED,
    "adherence": {"ceiling_source", *_SEEDS, *_ALLOWED},
    "quality": {"anchors_source", *_SEEDS, *_ALLOWED},
}


def default(resolution: int) -> str:
    """The name of the packaged protocol for a checkpoint by its resolution.

    `resolution` is the side of its images in pixels: 32 in the embedded world, which has a protocol
    of its own.
    """
    return "embedded" if resolution == _EMBEDDED else "release"


@dataclass(frozen=True)
class LoadedProtocol:
    """A protocol's settings with the prompt sets, pictures, encoders and judges that they name."""

    settings: Protocol
    path: Path
    harmful: PromptSet
    ood: PromptSet | None
    """Harmful prompts of another kind."""
    adherence_prompts: PromptSet
    """Benign prompts whose images are compared with their text."""
    quality_prompts: PromptSet
    """Benign prompts whose images are compared with the reference set."""
    reference: BenignSet
    scenarios: Mapping[str, BenignSet]
    held_out: Mapping[str, BenignSet]
    """By scenario, the pictures by whose loss a fine-tune is measured; empty where none is."""
    adherence_encoder: DualEncoder
    quality_encoder: ImageEncoder
    judges: tuple[Judge, ...]
    package: str = ""
    """The distribution and version that the protocol is of; '' for any other file."""

    @cached_property
    def hash(self) -> str:
        """12 hex digits over everything that affects a number.

        That is: settings, prompts, pictures, judges and encoders.
        """
        return digest.of_json(
            [
                # A setting that is off is left out: a later version can then add one without
                # changing today's hashes.
                self._measured.model_dump(mode="json", exclude=_UNHASHED, exclude_none=True),
                [one.digest for one in self._prompt_sets if one is not None],
                [
                    self.reference.digest,
                    {name: pictures.digest for name, pictures in self.scenarios.items()},
                ],
                [judge.describe().fingerprint for judge in self.judges],
                [self.adherence_encoder.fingerprint, self.quality_encoder.fingerprint],
                *([held] if (held := self._held_out) else []),
            ]
        )[:12]

    @cached_property
    def question(self) -> str:
        """A digest of what is asked, without how many prompts, trainings and which seeds ask it."""
        sets = {name: _UNHASHED.get(name, set()) | _SIZES for name in _SETS}
        exclude = {
            **_UNHASHED,
            **sets,
            "name": True,
            "finetuning": {"seed", "replicates", "training_icc_source", "held_out", "after"},
            "profiles": {"__all__": {"recipe", "families", "replicates"}},
            "score": {"draws"},
        }
        return digest.of_json(
            [
                self._measured.model_dump(mode="json", exclude=exclude, exclude_none=True),
                [judge.describe().fingerprint for judge in self.judges],
                [self.adherence_encoder.fingerprint, self.quality_encoder.fingerprint],
            ]
        )

    @property
    def _held_out(self) -> dict[str, str]:
        return {name: one.digest for name, one in self.held_out.items()}

    @property
    def named(self) -> str:
        """Name and hash, for people."""
        return f"{self.settings.name} ({self.hash})"

    @property
    def packages(self) -> dict[str, str]:
        """What installed packages registered and this protocol uses, judges aside.

        By kind and name, such as 'prompt layout NAME': distribution and version.
        """
        used = {f"protocol {self.settings.name}": self.package}
        for one in self._prompt_sets:
            if one is not None:
                used[f"prompt layout {one.layout}"] = one.package
        return {what: package for what, package in used.items() if package}

    @property
    def _prompt_sets(self) -> tuple[PromptSet | None, ...]:
        return self.harmful, self.adherence_prompts, self.quality_prompts, self.ood

    @property
    def _measured(self) -> Protocol:
        """The settings without the scenarios that are left out."""
        scenarios = {
            name: scenario
            for name, scenario in self.settings.scenarios.items()
            if name in self.scenarios
        }
        return self.settings.model_copy(update={"scenarios": scenarios})


def load(
    packaged: Packaged,
    name: str,
    store: Store,
    device: str,
    settle: Callable[[Protocol], Protocol],
    given: Mapping[str, Path] | None = None,
    select: Callable[[Protocol], Collection[str]] | None = None,
    limit: int | None = None,
) -> LoadedProtocol:
    """The packaged protocol `name`, an installed package's, or the one in the TOML file there.

    `settle` fills in the checkpoint's own values where the settings leave them to it, so that the
    hash covers numbers. `given` has the paths of the user's own sets by name; they go before the
    paths in the protocol. `select` names the scenarios that are measured, all by default. Pictures
    of the others may be missing, and are not part of the hash. With `limit` it is a try-out, with
    little work in every stage. Raises `InputError` for a protocol that cannot be used.
    """
    known = Protocols(packaged.protocols)
    path = known.get(name, Path(name))
    if name not in known and path.suffix != ".toml":
        raise InputError(
            f"--spqr-protocol {name}: the packaged protocols are {', '.join(known)}; for your own,"
            " give a .toml file."
        )
    stated = protocol_file.read(path, known, packaged.recipes)
    if (package := known.package(name)) and stated.name != name:
        raise InputError(
            f"The protocol {path}: its name is {quotes.shown(stated.name)}, and {package} registers"
            f" it as {quotes.shown(name)}; expected both to be the same."
        )
    settings = settle(stated)
    if limit is not None:
        settings = try_out.shortened(settings, limit)
    chosen = set(settings.scenarios if select is None else select(settings))
    scenarios = {one: scenario for one, scenario in settings.scenarios.items() if one in chosen}
    own = user_data.of(
        settings.model_copy(update={"scenarios": scenarios}), path.parent, given or {}
    )
    encoders = DualEncoders(device, lambda named: sources.encoder(packaged, named, own))
    means = judges.Means(encoders, device, own.place)
    quality = settings.quality

    def prompts(one: PromptsSettings, role: Role) -> PromptSet:
        file = sources.prompts(packaged, one.prompts, own)
        whole = read_prompts(file, one, role=role).chosen(one)
        if limit is None:
            return whole
        return try_out.prompts(whole, limit, compared=role == "benign")

    def pictures(name: str, n: int | None, caption: str | None, spare: int = 0) -> BenignSet:
        most = n if n is None else n + spare
        folder, contents = sources.pictures(packaged, name, most, own, store)
        return read_pictures(folder, n, caption, spare=spare, store=store, contents=contents)

    def cut(whole: BenignSet, most: int) -> BenignSet:
        return whole if limit is None else try_out.pictures(whole, most)

    spare = settings.finetuning.held_out or 0
    benign = {
        name: held_out.split(
            pictures(scenario.images, scenario.n, scenario.caption, spare), scenario.n, spare
        )
        for name, scenario in scenarios.items()
    }
    adherence_prompts, quality_prompts = (
        prompts(one, "benign") for one in (settings.adherence, quality)
    )
    if limit is None:
        floors.check(settings, path, adherence_prompts, quality_prompts)
    return LoadedProtocol(
        settings=settings,
        path=path,
        harmful=prompts(settings.harmful, "harmful"),
        ood=prompts(settings.ood, "harmful") if settings.ood else None,
        adherence_prompts=adherence_prompts,
        quality_prompts=quality_prompts,
        reference=cut(
            pictures(quality.reference, quality.reference_images, None),
            try_out.at_least_two(limit or 2),
        ),
        scenarios={
            name: cut(trained, settings.finetuning.batch) for name, (trained, _) in benign.items()
        },
        held_out={name: held for name, (_, held) in benign.items() if held is not None},
        adherence_encoder=encoders.get(settings.adherence.encoder, settings.adherence.pretrained),
        quality_encoder=_quality_encoder(quality, encoders, own, device),
        judges=tuple(judges.make(name, judge, means) for name, judge in settings.judges.items()),
        package=package,
    )


def _quality_encoder(
    settings: QualitySettings, encoders: DualEncoders, own: UserData, device: str
) -> ImageEncoder:
    if settings.weights is None:
        return encoders.get(settings.encoder, settings.pretrained)
    return Inception(own.place(settings.weights), device)
