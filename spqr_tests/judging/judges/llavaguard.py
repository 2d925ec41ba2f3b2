"""LlavaGuard as a judge: a vision-language model that rates an image against a policy.

The published policy (model card of LlavaGuard v1.2) has nine categories, O1 to O9: hate, violence,
sexual content, nudity, criminal planning, weapons and substances, self-harmful, animal cruelty,
disasters. Each says what an image should not and can contain, then three assessment steps (rating,
category, rationale) and a JSON template follow. The suite's own policy has these categories and
this structure in other words; whoever wants the published text puts it into a file and names that
as `policy`.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path

from spqr_tests.judging.judges import (
    JudgeDescription,
    Judgement,
    UnjudgedError,
    answer,
    model_files,
    policy,
)
from spqr_tests.judging.judges.answer import RATINGS, Answer, AnswerError
from spqr_tests.judging.judges.vision_language import VisionLanguageModel
from spqr_tests.settings.judges import LlavaGuardSettings
from spqr_tests.store import digest, libraries
from spqr_tests.store.images import Pixels

# As the published template is laid out, so that the model goes on as it was trained to.
_FORCED = tuple(f'{{\n    "rating": "{rating}",\n    "category": "' for rating in RATINGS)
_SHAPE = "batches of one size, filled up"
"""How images are put together, which the last bits of an answer depend on."""
_SECOND = ("second attempt", 1.0)
"""The reason that marks an image whose first answer could not be read."""


class LlavaGuardJudge:
    """Flags an image that the model rates Unsafe; the reason is the category, with the score 1.

    An answer that cannot be read is asked for once more, with its first words forced: a rating, one
    of two. What then cannot be read either, or contradicts the first answer, is an `UnjudgedError`.
    `InputError` when model or policy cannot be had.
    """

    def __init__(
        self, name: str, settings: LlavaGuardSettings, device: str, locate: Callable[[str], Path]
    ) -> None:
        self._name = name
        self._settings = settings
        self._policy = (
            policy.OWN if settings.policy is None else policy.read(locate(settings.policy), name)
        )
        self._files = model_files.find(
            settings.model, settings.revision, "llava_onevision", name, locate
        )
        self._model = VisionLanguageModel(
            self._files.folder,
            self._policy.text,
            device,
            settings.dtype,
            self._files.require_unchanged,
        )

    def describe(self) -> JudgeDescription:
        """Model, commit, policy and how it is asked.

        The fingerprint is over these, the policy's text and the model's files.
        """
        return self._description

    @cached_property
    def _description(self) -> JudgeDescription:
        settings = self._settings.model_dump(mode="json") | {"revision": self._files.commit}
        library = f"transformers {metadata.version('transformers')}"
        # Model and policy count by their content, wherever they are.
        asked = {key: value for key, value in settings.items() if key not in ("model", "policy")}
        fingerprint = digest.of_json([library, asked, self._policy.text, self._files.fingerprint])
        computed_with = {"shape": _SHAPE, **libraries.minor(("torch", "pillow"))}
        return JudgeDescription(
            self._name, f"LlavaGuard through {library}", settings, fingerprint, computed_with
        )

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """One judgement an image; `UnjudgedError` for the first that has no answer."""
        alike: dict[tuple[int, ...], list[int]] = {}
        for position, image in enumerate(images):
            alike.setdefault(image.shape, []).append(position)
        found: dict[int, Judgement] = {}
        for positions in alike.values():
            for start in range(0, len(positions), self._settings.batch):
                self._judge(images, positions[start : start + self._settings.batch], found)
        return [found[position] for position in range(len(images))]

    def _judge(
        self, images: Sequence[Pixels], positions: Sequence[int], found: dict[int, Judgement]
    ) -> None:
        """Judge one batch, of images of one size."""
        shown = self._filled([images[position] for position in positions])
        texts = self._model.answers(shown, [""] * len(shown), self._settings.max_new_tokens)
        for position, text in zip(positions, texts, strict=False):
            try:
                found[position] = _judgement(answer.parse(text, self._policy), second=False)
            except AnswerError as error:
                again = self._again(images[position], position, text, str(error))
                found[position] = _judgement(again, second=True)

    def _again(self, image: Pixels, position: int, first: str, failure: str) -> Answer:
        """Ask about one image once more; other images' first words may have another length."""
        shown = self._filled([image])
        start = self._model.choices(shown, _FORCED)[0]
        rest = self._model.answers(shown, [start] * len(shown), self._settings.max_new_tokens)[0]
        return self._second(start + rest, first, failure, position)

    def _filled(self, images: Sequence[Pixels]) -> list[Pixels]:
        """A whole batch: the last image is repeated."""
        return [*images, *[images[-1]] * (self._settings.batch - len(images))]

    def _second(self, text: str, first: str, failure: str, position: int) -> Answer:
        try:
            found = answer.parse(text, self._policy)
        except AnswerError as error:
            raise UnjudgedError(
                position,
                f"{failure}, and so it is when asked again ({error}; max_new_tokens is"
                f" {self._settings.max_new_tokens}).",
            ) from error
        if stated := answer.ratings(first) - {found.rating}:
            raise UnjudgedError(
                position,
                f"{failure}; it says {stated.pop()} there, and {found.rating} when asked again.",
            )
        return found


def _judgement(found: Answer, *, second: bool) -> Judgement:
    flagged = found.rating == "Unsafe"
    return Judgement(flagged, ((found.category, 1.0),) * flagged + (_SECOND,) * second)
