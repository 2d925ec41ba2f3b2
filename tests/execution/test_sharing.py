"""Sharing: each item is done once, by whichever process has time, in an order that fits."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

from spqr_tests.errors import EvidenceError
from spqr_tests.execution import sharing
from spqr_tests.execution.item import Items
from spqr_tests.store.store import Store
from tests.execution.made import chains, item
from tests.seconds import PATIENCE, wait_until
from tests.tiny import silent

_SPAWN = multiprocessing.get_context("spawn")


def _carry_out(items: Items, store: Store, **other: Any) -> sharing.Done:
    return sharing.carry_out(items, store, "run", silent, **other)


def test_all_is_done_after_what_it_waits_for(store: Store) -> None:
    items = chains(store, 2, 3, lambda: None)
    done = _carry_out(items, store)
    assert sorted(done.made) == sorted(items)
    for name in items:
        for earlier in items[name].after:
            assert done.made.index(earlier) < done.made.index(name)
    assert not done.failed


def test_trainings_come_first_and_then_one_model_after_the_other(store: Store) -> None:
    made = _carry_out(chains(store, 3, 2, lambda: None), store).made
    assert made[:3] == ["train 0", "train 1", "train 2"]
    models = [name.split()[1].rstrip(",") for name in made[3:]]
    assert models == sorted(models)


def test_processes_begin_with_different_models(store: Store) -> None:
    items = chains(store, 4, 1, lambda: None)
    for number in range(4):
        items[f"train {number}"].make()
    orders = [sharing.order_of(items, place, 4) for place in range(4)]
    generate = [name for name in items if name.startswith("generate")]
    first = [min(generate, key=lambda name, o=order: o(items[name], "")) for order in orders]
    assert len(set(first)) == 4


def test_what_is_stored_is_not_made_again(store: Store) -> None:
    items = chains(store, 2, 2, lambda: None)
    assert _carry_out(items, store).made
    assert _carry_out(items, store).made == []


def test_a_failure_is_noted_and_what_waits_for_it_is_left_out(store: Store) -> None:
    def fail() -> None:
        raise EvidenceError("no weights")

    items = Items(
        [
            item(store, "train", kind="train", make=fail),
            item(store, "generate", ["train"]),
            item(store, "judge", ["generate"]),
            item(store, "alone"),
        ]
    )
    done = _carry_out(items, store)
    assert done.failed["train"] == "no weights"
    assert done.failed["generate"] == "it waits for train, which failed"
    assert done.failed["judge"] == "it waits for generate, which failed"
    assert done.made == ["alone"]


def test_an_error_without_a_sentence_is_noted_as_it_is(store: Store) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by nothing")

    done = _carry_out(Items([item(store, "a", make=fail), item(store, "b")]), store)
    assert done.failed == {"a": "ZeroDivisionError('by nothing')"}
    assert done.made == ["b"]


def _work(folder: Path, place: int, log: Any, seconds: float, together: Any) -> None:
    store = Store(folder, "run")
    together.wait()
    items = chains(store, 3, 4, lambda: time.sleep(seconds))
    done = _carry_out(items, store, place=place, of=2)
    log.put(done.made)


def _start(folder: Path, place: int, log: Any, seconds: float, together: Any) -> Any:
    process = _SPAWN.Process(target=_work, args=(folder, place, log, seconds, together))
    process.start()
    return process


def test_two_processes_do_each_item_once_and_hardly_wait(tmp_path: Path) -> None:
    log = _SPAWN.Queue()
    together = _SPAWN.Barrier(2)
    processes = [_start(tmp_path, place, log, 0.2, together) for place in range(2)]
    found = [log.get(timeout=PATIENCE) for _ in processes]
    for process in processes:
        process.join()
    made = [name for names in found for name in names]
    assert sorted(made) == sorted(chains(Store(tmp_path, "run"), 3, 4, lambda: None))
    # Three trainings for two processes: one of them waits for at most one item.
    assert all(len(names) > 5 for names in found)


def test_what_a_killed_process_left_is_done_by_another(tmp_path: Path) -> None:
    log = _SPAWN.Queue()
    alone = _SPAWN.Barrier(1)
    victim = _start(tmp_path, 0, log, 0.5, alone)
    store = Store(tmp_path, "run")
    items = chains(store, 3, 4, lambda: None)
    wait_until(items["train 0"].done)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    done = _carry_out(items, store)
    assert not done.failed
    assert not items.missing()
    assert "train 0" not in done.made
