"""Dispatch: one process hands items out, in order, and does without those that failed."""

import pytest

from spqr_tests.execution import dispatch
from spqr_tests.execution.item import Items
from spqr_tests.execution.sharing import Done
from spqr_tests.store.store import Store
from tests.execution.made import chains, item
from tests.tiny import silent


class Cluster:
    """Does an item when it is waited for, the last one first; some fail."""

    def __init__(self, items: Items, failing: tuple[str, ...] = ()) -> None:
        self._items = items
        self._failing = failing
        self.submitted: list[str] = []
        self.most = 0

    def submit(self, name: str) -> str:
        """The task is the item's name."""
        assert all(self._items[one].done() for one in self._items[name].after)
        self.submitted.append(name)
        return name

    def wait(self, tasks: list[str]) -> tuple[str, str | None]:
        """Do the last one."""
        self.most = max(self.most, len(tasks))
        if tasks[-1] in self._failing:
            return tasks[-1], "it broke"
        self._items[tasks[-1]].make()
        return tasks[-1], None

    def carry_out(self, at_once: int) -> Done:
        """All of the items."""
        return dispatch.carry_out(self._items, self.submit, self.wait, silent, at_once=at_once)


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_all_is_done_once_and_no_more_at_a_time_than_asked(store: Store, at_once: int) -> None:
    cluster = Cluster(items := chains(store, 3, 4, lambda: None))
    done = cluster.carry_out(at_once)
    assert sorted(cluster.submitted) == sorted(items) == sorted(done.made)
    assert cluster.most <= at_once
    assert not items.missing()


def test_trainings_are_handed_out_first(store: Store) -> None:
    cluster = Cluster(chains(store, 3, 4, lambda: None))
    cluster.carry_out(3)
    assert sorted(cluster.submitted[:3]) == ["train 0", "train 1", "train 2"]


def test_what_is_stored_is_not_handed_out(store: Store) -> None:
    items = chains(store, 1, 2, lambda: None)
    items["train 0"].make()
    cluster = Cluster(items)
    cluster.carry_out(2)
    assert "train 0" not in cluster.submitted


def test_what_waits_for_a_failure_is_left_out(store: Store) -> None:
    items = Items(
        [
            item(store, "train", kind="train"),
            item(store, "generate", ["train"]),
            item(store, "judge", ["generate"]),
            item(store, "alone"),
        ]
    )
    cluster = Cluster(items, failing=("train",))
    done = cluster.carry_out(2)
    assert sorted(cluster.submitted) == ["alone", "train"]
    assert done.failed == {
        "train": "it broke",
        "generate": "it waits for train, which failed",
        "judge": "it waits for generate, which failed",
    }
