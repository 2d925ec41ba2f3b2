"""The check that benign sets are harmless.

Otherwise a drift would not be unintentional, as the threat model has it (arXiv 2511.19558, section
3).

A benign set's captions must not be harmful prompts or name what is forbidden, and no judge may flag
one of its pictures.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import PromptSet
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.generation.generations import Progress
from spqr_tests.judging import judging
from spqr_tests.judging.judges import Judge
from spqr_tests.settings.finetuning import ThreatSettings
from spqr_tests.store import digest
from spqr_tests.store.cost import Cost
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store

_SHOWN = 10
_TELLING = 3
"""Words of a caption from which on it says something of its own."""
_BATCH = 32
_WORD = re.compile("[a-z0-9]+")
# Scripts that put no space between words: each of their characters is taken for a word (kana, Han,
# Thai to Burmese, Khmer).
_UNSPACED = re.compile(
    "([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])"
)
# Canonical combining classes that are not accents: none, the voicing of kana, and the virama that
# joins Indic consonants.
_NO_ACCENTS = (0, 8, 9)

_Words = tuple[str, ...]


def check(
    store: Store,
    settings: ThreatSettings,
    benign: BenignSet,
    harmful: PromptSet,
    judges: Sequence[Judge],
    cost: Cost,
    progress: Progress,
) -> None:
    """Refuse a benign set that is not harmless.

    Each picture is judged once; a set that passed is remembered in the store.

    Raises `InputError` for captions, as `check_captions`, and `EvidenceError` that lists the
    pictures which a judge flags.
    """
    check_captions(settings, benign, harmful, judges)
    if settings.images:
        looking = looking_at_pictures(settings, judges)
        pictures = sorted(set(benign.identities))
        judgements = [
            judging.key(judge.describe(), picture) for judge in looking for picture in pictures
        ]
        key = digest.of_json([sorted(judgements), sorted(settings.cleared)])
        if store.record("admitted", key) is None:
            # Without a lock: workers that ask at the same time share the work.
            admitted = store.attempt(
                key, lambda: _admit(store, settings, benign, looking, cost, progress)
            )
            store.put_record("admitted", key, admitted)


def looking_at_pictures(settings: ThreatSettings, judges: Sequence[Judge]) -> list[Judge]:
    """The judges that look at a benign set's pictures; none where they are not checked."""
    return [
        judge
        for judge in judges
        if settings.images and (settings.judges is None or judge.describe().name in settings.judges)
    ]


def check_captions(
    settings: ThreatSettings, benign: BenignSet, harmful: PromptSet, judges: Sequence[Judge]
) -> None:
    """Refuse captions that overlap with a harmful prompt or name what a judge forbids.

    `InputError` lists those that are, contain or are contained in a harmful prompt.

    Whole words are compared, whatever their case, accents and punctuation. A caption of fewer than
    three words may occur in a harmful prompt: 'a dagger under a tree' does not make 'a tree'
    harmful. What a judge forbids are the phrases in `forbidden` of its settings.
    """
    if not settings.captions:
        return
    prompts = _Phrases(
        (
            words(prompt.text),
            f"the harmful prompt of {harmful.path.name}, {prompt.source or f'number {number}'}",
        )
        for number, prompt in enumerate(harmful.rows, 1)
    )
    forbidden = _Phrases(
        (words(phrase), f"{phrase!r}, which the judge {described.name} forbids")
        for described in (judge.describe() for judge in judges)
        for phrase in _strings(described.settings.get("forbidden"))
    )
    captions = [words(caption) for _, caption in benign.pairs]
    longer = _Phrases((caption, "") for caption in captions if len(caption) >= _TELLING)
    around = {
        caption: place
        for prompt, place in prompts.places.items()
        for caption in longer.within(prompt)
    }
    findings = []
    for caption, (path, _) in zip(captions, benign.pairs, strict=True):
        if caption in prompts.places:
            found = f"is {prompts.places[caption]}"
        elif held := next(prompts.within(caption), None):
            found = f"holds {prompts.places[held]}"
        elif named := next(forbidden.within(caption), None):
            found = f"names {forbidden.places[named]}"
        elif caption in around:
            found = f"is part of {around[caption]}"
        else:
            continue
        findings.append(f"the caption of {path.name} {found}")
    if findings:
        raise InputError(
            f"The benign set {benign.folder} cannot be fine-tuned on; {len(findings)} of"
            f" {len(captions)} captions are not harmless: {_listed(findings)}. Take these pictures"
            " out, or give them other captions."
        )


def words(text: str) -> _Words:
    """The words of a text, for comparisons.

    Case, accents, punctuation and invisible characters do not matter.
    """
    if text.isascii():
        return tuple(_WORD.findall(text.lower()))
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    kept = (
        one
        for one in plain
        if unicodedata.combining(one) in _NO_ACCENTS and unicodedata.category(one) != "Cf"
    )
    spelt = "".join(one if unicodedata.category(one)[0] in "LMN" else " " for one in kept)
    return tuple(_UNSPACED.sub(r" \1 ", unicodedata.normalize("NFC", spelt)).split())


class _Phrases:
    """Phrases to look for in texts, and for each the place that it comes from."""

    def __init__(self, phrases: Iterable[tuple[_Words, str]]) -> None:
        self.places: dict[_Words, str] = {}
        for phrase, place in phrases:
            if phrase:
                self.places.setdefault(phrase, place)
        self._lengths = sorted({len(phrase) for phrase in self.places})

    def within(self, text: _Words) -> Iterator[_Words]:
        """The phrases that occur in a text."""
        for length in self._lengths:
            for start in range(len(text) - length + 1):
                if (phrase := text[start : start + length]) in self.places:
                    yield phrase


def _strings(value: Any) -> Iterator[str]:
    """The phrases of a judge's table or list."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _strings(list(value.values()))
    elif isinstance(value, Sequence):
        for one in value:
            yield from _strings(one)


def _admit(
    store: Store,
    settings: ThreatSettings,
    benign: BenignSet,
    judges: Sequence[Judge],
    cost: Cost,
    progress: Progress,
) -> dict[str, Any]:
    """What is remembered of a set that no judge objects to, but for what a person has cleared."""
    pictures = benign.known
    judged = _judged(store, pictures, judges, cost, progress)
    flags = judged.flags
    findings = []
    for number in flags.any.nonzero()[0].tolist():
        shown = digest.of_pixels(pictures[number].pixels())
        if shown in settings.cleared:
            continue
        said = []
        for name, judgements in judged.by_judge.items():
            if judgements[number].flagged:
                label, score = max(
                    judgements[number].reasons, key=lambda one: one[1], default=("", None)
                )
                said.append(name if score is None else f"{name}: {label}, {score:.2f}")
        findings.append(f"{pictures[number].path.name} ({'; '.join(said)}; pixels {shown})")
    if findings:
        raise EvidenceError(
            f"The benign set {benign.folder} cannot be fine-tuned on; {len(findings)} of"
            f" {len(pictures)} pictures are flagged: {_listed(findings)}. Take them out, since what"
            " a model learns from them is not an unintended drift, or list those that a person has"
            " looked at and found harmless in the protocol's threat.cleared."
        )
    return {
        "flagged": int(flags.any.sum()),
        "judges": sorted(flags.by_judge),
        "pictures": len(pictures),
    }


def _judged(
    store: Store,
    pictures: Sequence[KnownPicture],
    judges: Sequence[Judge],
    cost: Cost,
    progress: Progress,
) -> judging.Judged:
    """What the judges say of all pictures; a batch that another worker holds is left to it."""

    def judged(batch: Sequence[KnownPicture]) -> judging.Judged:
        return judging.judge(store, judges, batch, cost, lambda *_: None, "")

    done = 0
    waiting = [pictures[start : start + _BATCH] for start in range(0, len(pictures), _BATCH)]
    while waiting:
        left = []
        for batch in waiting:
            lock = store.lock(_batch_key(batch))
            if not lock.try_acquire():
                left.append(batch)
                continue
            try:
                judged(batch)
            finally:
                lock.release()
            done += len(batch)
            progress("judging what is fine-tuned on", done, len(pictures))
        if left and len(left) == len(waiting):
            with store.lock(_batch_key(left[0])):  # all of them are in others' hands
                pass
        waiting = left
    return judged(pictures)


def _batch_key(batch: Sequence[KnownPicture]) -> str:
    return digest.of_json(["admitting", [picture.digest for picture in batch]])


def _listed(findings: Sequence[str]) -> str:
    more = len(findings) - _SHOWN
    return "; ".join(findings[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
