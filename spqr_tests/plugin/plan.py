"""`--spqr-plan`: prints what a run would do, and ends the session before anything is done."""

import pytest
from rich.markup import escape

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.planning import outlook, planner
from spqr_tests.planning.plan import (
    FILE,
    CaseOutlook,
    ComparisonOutlook,
    MemoryPeak,
    Outlook,
    Plan,
    Proposal,
    ReleaseOutlook,
)
from spqr_tests.planning.planner import Bought
from spqr_tests.plugin import needs, tables
from spqr_tests.run.run import Run
from spqr_tests.store import whole_files
from spqr_tests.verdict import names
from spqr_tests.verdict.release import ExitCode


def keep_in_one_process(config: pytest.Config) -> None:
    """Keep xdist, before it is configured, from starting workers: they would have nothing to do."""
    if hasattr(config.option, "dist"):
        config.option.dist, config.option.tx, config.option.numprocesses = "no", [], 0


class Planner:
    """Ends a session with the plan, once the cases are collected and selected."""

    def __init__(self, run: Run, card: str | None, price: float | None) -> None:
        self._run = run
        self._bought = Bought(card, price)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Print the plan instead of running what was collected.

        With --spqr-report, also write plan.json.
        """
        if session.testsfailed or not session.items:
            return None  # pytest reports that collection failed or nothing was selected
        try:
            made = planner.make(self._run, needs.of(self._run, session.items), self._bought)
        except InputError as error:
            raise pytest.UsageError(str(error)) from error
        except EvidenceError as error:
            pytest.exit(f"The run would break: {error}", returncode=ExitCode.BROKEN)
        terminal = session.config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None:
            write(terminal, made)
        if self._run.report_folder is not None:
            whole_files.put_json(self._run.report_folder / FILE, made)
        return True


def write(terminal: pytest.TerminalReporter, made: Plan) -> None:
    """Write the plan."""
    terminal.section(
        f"plan of {made.model.target} on protocol {made.protocol.name} ({made.protocol.hash})",
        sep="=",
        bold=True,
    )
    rows = tables.table("what", "needed", "stored", "to make", "FLOPs")
    for prompts in made.prompts:
        rows.add_row(f"{prompts.name} prompts", str(prompts.rows))
    for images in made.images:
        rows.add_row(
            f"images of {escape(images.of)}",
            *_counts(images.images, images.stored),
            _flops(images.flops),
        )
    for one in made.finetunes:
        label = f"training {one.profile}-{one.scenario}, {one.steps} steps of {one.batch}"
        rows.add_row(escape(label), *_counts(1, int(one.stored)), _flops(one.flops))
    for calls in made.judgements:
        flops = _flops(calls.flops) if calls.flops is not None else "-"
        rows.add_row(
            f"judgements by {escape(calls.judge)}",
            *_counts(calls.images, calls.stored, calls.at_most),
            flops,
        )
    for embeddings in made.embeddings:
        rows.add_row(
            f"embeddings of {embeddings.of}", *_counts(embeddings.images, embeddings.stored), "-"
        )
    tables.write(terminal, rows)
    for cut in made.cut:
        tables.say(
            terminal,
            f"cut: {cut.prompts} of {cut.of} of [{cut.role}] by {cut.encoder}, which reads"
            f" {cut.limit} tokens (the longest has {cut.longest})",
            yellow=True,
        )
    if made.sequential:
        tables.say(
            terminal,
            "--spqr-sequential: at most this, since a case stops using harmful prompts once it is"
            " decided; power and n are for a fixed n.",
            bold=True,
        )
    for line in _totals(made):
        tables.say(terminal, line)
    _write_outlook(terminal, made.outlook)
    tables.say(
        terminal, "This was the plan: nothing was generated, fine-tuned or judged.", bold=True
    )


def _write_outlook(terminal: pytest.TerminalReporter, made: Outlook) -> None:
    """Write what can be decided; cases of one axis with the same numbers share a row."""
    terminal.line("")
    for line in _release(made.release) if made.release is not None else ():
        tables.say(terminal, line, bold=True)
    for earlier in made.comparisons:
        tables.say(terminal, _comparison(earlier), bold=True)
    terminal.line("")
    rows = tables.table(
        "decision", "threshold", "true value", "n", "needed", "power", "more images"
    )
    alike: dict[tuple[str, ...], list[str]] = {}
    for one in made.cases:
        alike.setdefault((names.axis(one.name), *_cells(one)), []).append(one.name)
    for (_, *cells), shared in alike.items():
        rows.add_row(escape(outlook.label(shared)), *cells)
    tables.write(terminal, rows)
    for line in outlook.together((one.name, one.warning) for one in made.cases if one.warning):
        tables.say(terminal, f"warning: {line}", yellow=True)
    for line in made.assumptions if made.cases else ():
        tables.say(terminal, f"  assumed: {line}")


def _release(made: ReleaseOutlook) -> list[str]:
    """What the run can decide as a whole."""
    said = [
        (
            f"release: a checkpoint 5 points better than every threshold passes all {made.cases}"
            f" cases together in {made.chance:.0%} of runs; one that shows harm in 1 % of images,"
            f" also after fine-tuning, in {made.sound:.0%}"
        ),
        f"  bottleneck: {made.bottleneck}, which passes in {made.bottleneck_chance:.0%}",
    ]
    one = made.proposal
    said.append(
        "  for 80 %: not even 8 trainings of each fine-tune and 8 times the harmful prompts; other"
        " thresholds would"
        if one is None
        else f"  for 80 %: {_numbers(one)}, at {one.cost:.2g} times the cost"
    )
    for what, other in (
        ("one more training each", made.next_training),
        ("the same cost in prompts", made.same_in_prompts),
    ):
        said.append(f"  {what} ({_numbers(other)}): {other.chance:.0%}")
    return said


def _comparison(one: ComparisonOutlook) -> str:
    """How often more harm than in an earlier version is found."""
    return (
        f"{one.of} {one.named}: a version that shows {one.points:g} points more harm than its"
        f" {one.harmful:.1f} % fails in {one.paired:.0%} of runs where the store holds both"
        f" versions' images, else in {one.unpaired:.0%} ({one.measurements} measurements compared"
        " together)"
    )


def _numbers(one: Proposal) -> str:
    trainings = "one training" if one.trainings == 1 else f"{one.trainings} trainings"
    return f"{one.images:,} harmful images a model, {trainings} of each fine-tune"


def _cells(one: CaseOutlook) -> tuple[str, ...]:
    """The cells of a row; '-' for what is unknown."""
    side = ">=" if one.direction == "min" else "<="
    unknown = one.power is None
    return (
        f"{side} {outlook.written(one.name, one.direction, one.bound)}",
        "-" if one.truth is None else outlook.written(one.name, one.direction, one.truth),
        f"{one.n:,}",
        f"{one.n_needed:,}" if one.n_needed is not None else "-" if unknown else "none",
        "-" if one.power is None else f"{one.power:.0%}",
        "-" if one.more_images is None else f"{one.more_images:,}",
    )


def _totals(made: Plan) -> list[str]:
    flops, time = made.flops, made.time
    silent = f"; not counted: {', '.join(flops.not_counted)}" if flops.not_counted else ""
    parts = (
        f"{_flops(flops.generate)} to generate, {_flops(flops.train)} to fine-tune,"
        f" {_flops(flops.judge)} to judge"
    )
    said = [f"FLOPs: {_flops(flops.total)} ({parts}{silent})"]
    if time is None:
        said.append("time: almost none, since the store holds what would take time")
    else:
        without = f", plus {' and '.join(time.not_counted)}" if time.not_counted else ""
        said.append(f"time: about {spell(time.seconds)} on {time.device} in one process{without}")
        if time.workers > 1 and time.workers_seconds is not None:
            said[-1] += (
                f", about {spell(time.workers_seconds)} by {time.workers} workers"
                f" (-n {time.workers})"
            )
        stages = ", ".join(f"{name} {spell(one)}" for name, one in time.stages.items() if one)
        said.append(f"  of it: {stages}")
        said.append(
            f"  assumed: {time.share:.0%} of {_flops(time.rate)}/s, the rate of a matrix product on"
            f" this device ({time.assumption})"
        )
        if time.price is not None:
            said.append(f"price: about {time.price:,.2f}; several workers cost as much together")
    said += [_memory(one) for one in made.memory]
    said.append(f"disk: about {_scaled(made.disk.bytes, 'B')}")
    said.append(f"  assumed: {made.disk.assumption}")
    return said


def _memory(one: MemoryPeak) -> str:
    """The memory that a kind of work takes, and whether the device has it."""
    said = f"memory: about {_scaled(one.bytes, 'B')} for {one.of} ({one.batch} at once)"
    if one.least is not None and one.least < one.bytes:
        said += f", {_scaled(one.least, 'B')} with gradient checkpointing"
    return said + ("; the device does not have it" if one.fits is False else "")


def _counts(needed: int, stored: int, to_make: int | None = None) -> tuple[str, str, str]:
    return str(needed), str(stored), str(needed - stored if to_make is None else to_make)


def _flops(count: float) -> str:
    return _scaled(count, "FLOP")


def _scaled(count: float, unit: str) -> str:
    """Three digits and an SI prefix: '82.9 TFLOP'."""
    power = next((power for power in range(6, 0, -1) if count >= 1000**power), 0)
    return f"{count / 1000**power:.3g} {['', 'k', 'M', 'G', 'T', 'P', 'E'][power]}{unit}"


def spell(seconds: float) -> str:
    """A time in at most two digits, which is more precise than the estimate."""
    for unit, size in (("days", 2 * 86400), ("hours", 2 * 3600), ("minutes", 120)):
        if seconds >= size:
            return f"{float(f'{seconds / (size / 2):.2g}'):,g} {unit}"
    return f"{max(1, round(seconds))} seconds"
