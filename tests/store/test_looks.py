"""Looks: each question's answers are kept, once for each protocol hash."""

from pathlib import Path

from spqr_tests.store import contents, looks
from spqr_tests.store.store import Store

NAMED = looks.key("a model", "a question", "some bounds")


def note(store: Store, protocol: str, prompts: int = 60) -> None:
    looks.note(store, NAMED, protocol, prompts, 1, "inconclusive")


def test_a_look_is_earlier_for_every_other_hash(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", "x")
    assert looks.earlier(store, NAMED, "one") == ()
    note(store, "one")
    note(store, "two", 120)
    assert [(one.protocol, one.prompts) for one in looks.earlier(store, NAMED, "three")] == [
        ("one", 60),
        ("two", 120),
    ]
    assert [one.protocol for one in looks.earlier(store, NAMED, "two")] == ["one"]


def test_the_same_run_again_is_no_further_look(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", "x")
    for _ in range(3):
        note(store, "one")
    assert len(looks.earlier(store, NAMED, "two")) == 1


def test_another_model_question_or_bound_has_looks_of_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", "x")
    note(store, "one")
    for given in (
        ("another", "a question", "some bounds"),
        ("a model", "another", "some bounds"),
        ("a model", "a question", "others"),
    ):
        assert looks.earlier(store, looks.key(*given), "two") == ()


def test_a_damaged_record_is_moved_aside_and_counts_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", "x")
    note(store, "one")
    [path] = (store.entries / looks.KIND).glob("*/*.json")
    path.write_text("{}", encoding="utf-8")
    assert looks.earlier(store, NAMED, "two") == ()
    note(store, "three")
    assert [one.protocol for one in looks.earlier(store, NAMED, "two")] == ["three"]


def test_a_store_with_looks_is_sound(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", "x")
    note(store, "one")
    [entry] = contents.entries(store)
    assert entry.name[0] == looks.KIND
    assert contents.problem(store, entry) is None
