"""The assertion of a snapshot: syrupy's, with a comparison by statistics in place of equality.

Snapshots are written by the controller, once the whole run is known to be good.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.session import SnapshotSession

from spqr_tests.reports import ledger
from spqr_tests.run.run import Run
from spqr_tests.verdict.comparison import Verdict
from spqr_tests.verdict.measurement import Measurement
from spqr_tests.versions.finding import Finding
from spqr_tests.versions.snapshots import Snapshot, file_of

if TYPE_CHECKING:
    import pytest


def of(
    run: Run, found: Finding, snapshot: SnapshotAssertion, session: "pytest.Session"
) -> SnapshotAssertion:
    """What equals a measurement that is no worse than its snapshot."""
    extension = type("VersionExtension", (VersionExtension,), {"run": run, "found": found})
    return replace(snapshot, session=Pending(session), extension_class=extension)


class Pending(SnapshotSession):
    """Syrupy's session for one case: nothing is written by a worker, and no file of another case, protocol or model is looked for.

    Whether the run is whole and passes is known at its end, to the controller; it writes what
    travels there.
    """

    def register_request(self, assertion: SnapshotAssertion) -> None:
        """Search for no unused snapshots: those of other protocols and models are none."""

    def queue_snapshot_write(
        self, extension: Any, test_location: Any, data: Any, index: Any
    ) -> None:
        """Send the text to the controller."""
        path = extension.get_location(test_location=test_location, index=index)
        entry = ledger.entry(ledger.SNAPSHOT, {"path": path, "text": data})
        test_location.item.user_properties.append(entry)


class VersionExtension(JSONSnapshotExtension):
    """One case's file, which matches unless something changed by more than chance and tolerance."""

    run: ClassVar[Run]
    found: ClassVar[Finding]

    def serialize(self, data: Measurement, **_: Any) -> str:
        """The file's text."""
        content = Snapshot.of(self.run, data).model_dump(mode="json", by_alias=True)
        return str(super().serialize(_ordered(content)))

    def matches(self, **_: Any) -> bool:
        """Whether the new text need not replace the old one: not for a difference that does not count, lest many small ones creep in."""
        if self.found.reference.update == "changed":
            return self.found.verdict == Verdict.UNCHANGED
        return not self.found.regressed

    def diff_lines(self, *_: Any) -> Iterator[str]:
        """Old, new, difference, interval and direction."""
        yield from self.found.sentence.splitlines()

    @classmethod
    def dirname(cls, **_: Any) -> str:
        """The folder of the protocol."""
        return str(cls.found.reference.path)

    @classmethod
    def get_snapshot_name(cls, **_: Any) -> str:
        """The name of the file, without its suffix."""
        return file_of(cls.found.reference.path, cls.found.name).stem

    @classmethod
    def get_file_basename(cls, **_: Any) -> str:
        """The same."""
        return cls.get_snapshot_name()


def _ordered(value: Any) -> Any:
    """Keys as they are declared, not sorted."""
    if isinstance(value, dict):
        return OrderedDict((key, _ordered(one)) for key, one in value.items())
    return [_ordered(one) for one in value] if isinstance(value, list) else value
