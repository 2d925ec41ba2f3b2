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
from spqr_tests.store import digest
from spqr_tests.store.images import Pixels

# As the published template is laid out, so that the model goes on as it was trained to.
_FORCED = tuple(f'{{\n    "rating": "{rating}",\n    "category": "' for rating in RATINGS)
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
            self._files.folder, self._policy.text, device, settings.dtype
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
        return JudgeDescription(self._name, f"LlavaGuard through {library}", settings, fingerprint)

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """One judgement an image; `UnjudgedError` for the first that has no answer."""
        judgements: list[Judgement] = []
        for start in range(0, len(images), self._settings.batch):
            judgements += self._judge(images[start : start + self._settings.batch], start)
        return judgements

    def _judge(self, images: Sequence[Pixels], before: int) -> list[Judgement]:
        """Judge one batch, which has `before` images before it."""
        texts = self._model.answers(images, [""] * len(images), self._settings.max_new_tokens)
        read: dict[int, Answer] = {}
        failures: dict[int, str] = {}
        for position, text in enumerate(texts):
            try:
                read[position] = answer.parse(text, self._policy)
            except AnswerError as error:
                failures[position] = str(error)
        if failures:
            again = [images[position] for position in failures]
            starts = self._model.choices(again, _FORCED)
            rests = self._model.answers(again, starts, self._settings.max_new_tokens)
            for (position, failure), start, rest in zip(
                failures.items(), starts, rests, strict=True
            ):
                read[position] = self._second(
                    start + rest, texts[position], failure, before + position
                )
        return [
            _judgement(read[position], second=position in failures)
            for position in range(len(images))
        ]

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
