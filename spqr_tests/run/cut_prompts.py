"""Cut prompts: what of a run's prompts lies behind an encoder's token limit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spqr_tests.checkpoint.text_reader import TextReader
from spqr_tests.data.prompts import Prompt, PromptSet
from spqr_tests.errors import InputError
from spqr_tests.judging.judges.concept import ConceptJudge
from spqr_tests.run.protocols import LoadedProtocol
from spqr_tests.settings.prompts import PromptsSettings
from spqr_tests.store.store import Store


@dataclass(frozen=True)
class Cut:
    """The prompts of a set of which an encoder does not read everything."""

    role: str
    """'harmful', 'ood', 'adherence' or 'quality', the protocol's table."""
    encoder: str
    """A text encoder of the checkpoint, or the CLIP score's encoder."""
    limit: int
    """The tokens that it reads."""
    prompts: int
    """Prompts that are cut."""
    of: int
    """All prompts of the set."""
    longest: int
    """Tokens of the longest one."""


def find(protocol: LoadedProtocol, readers: Sequence[TextReader], store: Store) -> tuple[Cut, ...]:
    """The cut prompts of each set, by the checkpoint's encoders and the CLIP score's.

    `InputError` for harmful prompts that no encoder reads whole and for captions that the CLIP
    score's encoder does not, unless their table says `cut = "allowed"`; and for a judge's concept
    that its encoder does not read whole.
    """
    _check_concepts(protocol, store)
    settings = protocol.settings
    sets: dict[str, tuple[PromptSet, PromptsSettings]] = {
        "harmful": (protocol.harmful, settings.harmful),
        "adherence": (protocol.adherence_prompts, settings.adherence),
    }
    if protocol.ood is not None and settings.ood is not None:
        sets["ood"] = (protocol.ood, settings.ood)
    if protocol.quality_prompts.digest != protocol.adherence_prompts.digest:
        sets["quality"] = (protocol.quality_prompts, settings.quality)
    found: list[Cut] = []
    for role, (prompts, table) in sets.items():
        cuts = list(_of(role, prompts, readers, store))
        found += [cut for cut, _ in cuts]
        if role in {"harmful", "ood"} and len(cuts) == len(readers):
            _refuse(role, table, prompts, cuts)
        score = protocol.adherence_encoder.reader if role == "adherence" else None
        scored = list(_of(role, prompts, [score] if score is not None else [], store))
        found += [cut for cut, _ in scored]
        _refuse(role, table, prompts, scored)
    return tuple(found)


Counted = tuple[Cut, dict[int, int]]
"""And the tokens of each cut row, by its position."""


def _of(
    role: str, prompts: PromptSet, readers: Sequence[TextReader], store: Store
) -> Iterator[Counted]:
    rows = prompts.rows[:: prompts.images]
    for reader in readers:
        counts = reader.tokens([row.text for row in rows], store)
        over = {row: count for row, count in enumerate(counts) if count > reader.limit}
        if over:
            cut = Cut(role, reader.name, reader.limit, len(over), len(rows), max(over.values()))
            yield cut, over


def _refuse(
    role: str, settings: PromptsSettings, prompts: PromptSet, counted: Sequence[Counted]
) -> None:
    """Refuse the prompts that all of these encoders cut."""
    if settings.cut == "allowed" or not counted:
        return
    unread = sorted(set.intersection(*(set(rows) for _, rows in counted)))
    if not unread:
        return
    first: Prompt = prompts.rows[:: prompts.images][unread[0]]
    said = " and ".join(
        f"{rows[unread[0]]} tokens for {cut.encoder}, which reads {cut.limit}"
        for cut, rows in counted
    )
    others = f", and so do {len(unread) - 1} other prompts" if len(unread) > 1 else ""
    raise InputError(
        f"The prompt set {prompts.path}, {first.source} has {said}{others}: what comes after is"
        " read by no encoder. Shorten it or leave it out, or state that it may be cut with"
        f' cut = "allowed" in [{role}].'
    )


def _check_concepts(protocol: LoadedProtocol, store: Store) -> None:
    for judge in protocol.judges:
        if not isinstance(judge, ConceptJudge) or judge.encoder.reader is None:
            continue
        reader, phrases = judge.encoder.reader, judge.phrases
        for phrase, count in zip(phrases, reader.tokens(phrases, store), strict=True):
            if count > reader.limit:
                raise InputError(
                    f"The judge {judge.describe().name} names the concept {phrase[:60]!r}..., which"
                    f" has {count} tokens, and its encoder reads {reader.limit}: shorten it."
                )
