"""What this process spent: counters that a report adds up over workers."""

from dataclasses import asdict, dataclass


@dataclass
class Cost:
    """Generations painted, images judged (once per judge) and variants fine-tuned; what the store held is not counted."""

    generated: int = 0
    judged: int = 0
    finetuned: int = 0

    def since(self, earlier: "Cost") -> dict[str, int]:
        """What was spent after `earlier` was copied."""
        before = asdict(earlier)
        return {name: value - before[name] for name, value in asdict(self).items()}
