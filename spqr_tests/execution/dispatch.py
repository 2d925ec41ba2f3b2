"""Dispatch: one process hands a run's items to others that do them, as a cluster has them."""

from collections.abc import Callable
from typing import TypeVar

from spqr_tests.execution.item import Items
from spqr_tests.execution.sharing import Done, order_of
from spqr_tests.generation.generations import Progress

Task = TypeVar("Task")


def carry_out(
    items: Items,
    submit: Callable[[str], Task],
    wait: Callable[[list[Task]], tuple[Task, str | None]],
    progress: Progress,
    *,
    at_once: int,
) -> Done:
    """Have what is missing done, what others wait for first and at most `at_once` at a time.

    `submit` begins an item, by its name. `wait` gives one of the tasks that ended, and why it
    failed, or None; what it raises ends the work.
    """
    order, found = order_of(items), Done()
    left = sorted((item.name for item in items.values()), key=lambda name: order(items[name], ""))
    finished: set[str] = set()
    running: dict[Task, str] = {}
    while left or running:
        for name in list(left):
            item = items[name]
            if any(one in found.failed for one in item.after):
                found.failed[name] = f"it waits for {item.after[0]}, which failed"
            elif not finished.issuperset(item.after) or len(running) >= at_once:
                continue
            elif item.done():
                finished.add(name)
            else:
                running[submit(name)] = name
            left.remove(name)
        if running:
            task, failed = wait(list(running))
            name = running.pop(task)
            if failed is None:
                finished.add(name)
                found.made.append(name)
            else:
                found.failed[name] = failed
        progress("work shared out", len(items) - len(left) - len(running), len(items))
    return found
