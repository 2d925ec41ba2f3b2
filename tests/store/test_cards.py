"""Cards: a worker has one of the caller's own, and as few others on it as there can be."""

import multiprocessing
import socket
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.store import cards
from spqr_tests.store.store import Store
from tests.seconds import PATIENCE

_SPAWN = multiprocessing.get_context("spawn")


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ("0,1", ("0", "1")),
        ("3, 5 ,7", ("3", "5", "7")),
        ("GPU-5c9ef9c2,MIG-1f4b", ("GPU-5c9ef9c2", "MIG-1f4b")),
        ("", ()),
        ("-1", ()),
        ("2,-1,3", ("2",)),
    ],
)
def test_the_callers_own_cards_count(stated: str, found: tuple[str, ...]) -> None:
    assert cards.visible({"CUDA_VISIBLE_DEVICES": stated}) == found


def test_without_them_the_drivers_count(tmp_path: Path) -> None:
    assert cards.visible({}, tmp_path / "none") == ()
    for bus in ("0000:17:00.0", "0000:31:00.0"):
        (tmp_path / bus).mkdir()
    assert cards.visible({}, tmp_path) == ("0", "1")


@pytest.mark.parametrize(
    ("asked", "stated"), [("cuda:1", "3,5"), ("cpu", "3,5"), ("auto", "3"), ("auto", "")]
)
def test_what_leaves_no_choice_is_left_alone(store: Store, asked: str, stated: str) -> None:
    environment = {"CUDA_VISIBLE_DEVICES": stated}
    assert cards.claim(store, asked, environment) is None
    assert environment == {"CUDA_VISIBLE_DEVICES": stated}


def _claim(folder: Path, answers: Any, end: Any) -> None:
    environment = {"CUDA_VISIBLE_DEVICES": "3,5"}
    found = cards.claim(Store(folder, "run"), "auto", environment)
    answers.put((found, environment["CUDA_VISIBLE_DEVICES"]))
    end.wait(PATIENCE)


def test_workers_spread_over_the_cards_and_a_dead_ones_is_free(tmp_path: Path) -> None:
    answers = _SPAWN.Queue()

    def start(end: Any) -> Any:
        process = _SPAWN.Process(target=_claim, args=(tmp_path, answers, end))
        process.start()
        return process

    ends = [_SPAWN.Event() for _ in range(5)]
    processes, found = [], []
    for end in ends[:4]:
        processes.append(start(end))
        found.append(answers.get(timeout=PATIENCE))
    # One after the other: first a card for each, then a second worker on each.
    assert found == [("3", "3"), ("5", "5"), ("3", "3"), ("5", "5")]
    ends[1].set()
    processes[1].join()
    processes.append(start(ends[4]))
    assert answers.get(timeout=PATIENCE) == ("5", "5")
    for end in ends:
        end.set()
    for process in processes:
        process.join()
    assert any(socket.gethostname() in path.name for path in tmp_path.glob("locks/card-*"))
