"""Items: names, order and ranks."""

import pytest

from spqr_tests.execution.item import Items
from spqr_tests.store.store import Store
from tests.execution.made import chains, item


def test_a_rank_is_the_cost_of_the_longest_chain(store: Store) -> None:
    items = Items(
        [
            item(store, "a", cost=1),
            item(store, "b", ["a"], cost=10),
            item(store, "c", ["a"], cost=3),
            item(store, "d", ["b", "c"], cost=5),
            item(store, "alone", cost=2),
        ]
    )
    assert items.ranks == {"a": 16, "b": 15, "c": 8, "d": 5, "alone": 2}


def test_two_items_of_one_name_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="two items are named a"):
        Items([item(store, "a"), item(store, "a")])


def test_an_item_comes_after_what_it_waits_for(store: Store) -> None:
    with pytest.raises(ValueError, match="a waits for b, which does not come first"):
        Items([item(store, "a", ["b"]), item(store, "b")])


def test_what_is_missing_is_what_the_store_lacks(store: Store) -> None:
    items = chains(store, 1, 2, lambda: None)
    items["train 0"].make()
    assert [one.name for one in items.missing()] == [
        "generate 0, 0",
        "judge 0, 0",
        "generate 0, 1",
        "judge 0, 1",
    ]
