"""Items whose work is to write a record into a store."""

from collections.abc import Callable, Sequence

from spqr_tests.execution.item import Item, Items, Kind
from spqr_tests.store import digest
from spqr_tests.store.store import Store


def item(
    store: Store,
    name: str,
    after: Sequence[str] = (),
    *,
    kind: Kind = "generate",
    model: str = "",
    cost: float = 1.0,
    unit: str | None = None,
    make: Callable[[], object] = lambda: None,
) -> Item:
    """One that calls `make` and then puts a record of its name."""
    key = digest.of_json(name)

    def do() -> None:
        make()
        store.put_record("made", key, name)

    def done() -> bool:
        return store.peek("made", key) is not None

    return Item(kind, name, model, cost, done, do, tuple(after), name if unit is None else unit)


def chains(store: Store, models: int, images: int, make: Callable[[], object]) -> Items:
    """A training for each model, and after it images that are judged."""
    found = [
        item(store, f"train {model}", kind="train", cost=50, make=make, unit=str(model))
        for model in range(models)
    ]
    for model in range(models):
        for number in range(images):
            name = f"{model}, {number}"
            found.append(
                item(
                    store,
                    f"generate {name}",
                    [f"train {model}"],
                    model=str(model),
                    make=make,
                    unit=str(model),
                )
            )
            found.append(
                item(
                    store,
                    f"judge {name}",
                    [f"generate {name}"],
                    kind="judge",
                    cost=0.1,
                    make=make,
                    unit=str(model),
                )
            )
    return Items(found)
