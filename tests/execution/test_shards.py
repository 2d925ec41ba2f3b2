"""Shards: shares that are whole, even and the same everywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spqr_tests.errors import InputError
from spqr_tests.execution.item import Items
from spqr_tests.execution.shards import Shard, share
from spqr_tests.store.store import Store
from tests.execution.made import chains, item


@pytest.mark.parametrize(
    ("asked", "number", "of"), [("1/1", 1, 1), ("2/3", 2, 3), ("08/12", 8, 12)]
)
def test_a_shard_is_read(asked: str, number: int, of: int) -> None:
    assert Shard.parse(asked) == Shard(number, of)


@pytest.mark.parametrize(
    "asked", ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b", "1 / 3", "٣/٣"]
)
def test_another_text_is_refused_with_what_is_expected(asked: str) -> None:
    with pytest.raises(InputError, match=r"--spqr-shard .*: expected I/N.*such as 1/3"):
        Shard.parse(asked)


@pytest.mark.parametrize("of", [1, 2, 3, 5, 20])
def test_the_shares_together_are_the_whole_and_each_has_what_it_waits_for(
    store: Store, of: int
) -> None:
    items = chains(store, 4, 3, lambda: None)
    shares = [share(items, Shard(number, of)) for number in range(1, of + 1)]
    # `Items` itself refuses one that waits for another that is not there.
    assert sorted(name for one in shares for name in one) == sorted(items)


def test_work_of_many_units_is_dealt_out_evenly(store: Store) -> None:
    items = Items(item(store, f"generate {number}") for number in range(30))
    assert [len(share(items, Shard(number, 4))) for number in (1, 2, 3, 4)] == [8, 8, 7, 7]


def test_what_each_share_needs_is_in_each_that_needs_it(store: Store) -> None:
    items = Items(
        [
            item(store, "check", kind="check", unit=""),
            item(store, "train 1", ["check"], kind="train", unit="one"),
            item(store, "train 2", ["check"], kind="train", unit="two"),
            item(store, "generate", unit="three"),
        ]
    )
    shares = [set(share(items, Shard(number, 3))) for number in (1, 2, 3)]
    assert sorted(map(sorted, shares)) == [["check", "train 1"], ["check", "train 2"], ["generate"]]


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=30), st.integers(1, 8))
def test_no_share_is_longer_than_the_mean_by_more_than_one_unit(
    costs: list[float], of: int
) -> None:
    store = Store.__new__(Store)  # nothing is made
    items = Items(item(store, str(row), cost=cost) for row, cost in enumerate(costs))
    loads = [
        sum(one.cost for one in share(items, Shard(number, of)).values())
        for number in range(1, of + 1)
    ]
    assert sum(loads) == pytest.approx(sum(costs))
    assert max(loads) <= sum(costs) / of + max(costs) + 1e-9
