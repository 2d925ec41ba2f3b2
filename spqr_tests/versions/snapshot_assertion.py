"""Syrupy's snapshot assertion, with a statistical comparison instead of equality.

The controller writes the snapshots once the whole run has passed.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.location import PyTestLocation
from syrupy.session import SnapshotSession

from spqr_tests.run import properties
from spqr_tests.run.run import Run
from spqr_tests.verdict.comparison import Verdict
from spqr_tests.verdict.measurement import Measurement
from spqr_tests.versions.finding import Finding
from spqr_tests.versions.snapshots import Snapshot, file_of

if TYPE_CHECKING:
    import pytest


def of(run: Run, found: Finding, item: "pytest.Item") -> SnapshotAssertion:
    """An assertion that equals a measurement which is not worse than its snapshot.

    It is made as syrupy's fixture `snapshot` makes its own, which a project may have replaced.
    """
    option = item.config.option
    # Older versions lack the second.
    updates = ("update_snapshots", "update_new_snapshots_only")
    return SnapshotAssertion(
        session=Pending(item.session),
        extension_class=type("VersionExtension", (VersionExtension,), {"run": run, "found": found}),
        test_location=PyTestLocation(item),
        **{name: getattr(option, name) for name in updates if hasattr(option, name)},
    )


class Pending(SnapshotSession):
    """Syrupy's session for one case, which writes nothing itself.

    Only the controller knows, at the end, whether the run is complete and passes. New snapshots
    are sent there.
    """

    def register_request(self, assertion: SnapshotAssertion) -> None:
        """Do nothing: snapshots of other protocols and models are not unused."""

    def queue_snapshot_write(
        self, extension: Any, test_location: Any, data: Any, index: Any
    ) -> None:
        """Send the text to the controller."""
        path = extension.get_location(test_location=test_location, index=index)
        entry = properties.entry(properties.SNAPSHOT, {"path": path, "text": data})
        test_location.item.user_properties.append(entry)


class VersionExtension(JSONSnapshotExtension):
    """One case's file; it matches unless the change exceeds chance and tolerance."""

    run: ClassVar[Run]
    found: ClassVar[Finding]

    def serialize(self, data: Measurement, **_: Any) -> str:
        """The text of the file."""
        content = Snapshot.of(self.run, data).model_dump(mode="json", by_alias=True)
        if content["until"] is None:  # only a dose has one
            del content["until"]
        return str(super().serialize(_ordered(content)))

    def matches(self, **_: Any) -> bool:
        """Whether the old text stays.

        It also stays where a difference is within chance or tolerance: many small changes would
        otherwise add up unnoticed.
        """
        if self.found.reference.update == "changed":
            return self.found.verdict == Verdict.UNCHANGED
        return not self.found.regressed

    def diff_lines(self, *_: Any) -> Iterator[str]:
        """The lines of the comparison, in words."""
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
        """As `get_snapshot_name`."""
        return cls.get_snapshot_name()


def _ordered(value: Any) -> Any:
    """Keep keys in the order of the schema: syrupy sorts those of plain dicts."""
    if isinstance(value, dict):
        return OrderedDict((key, _ordered(one)) for key, one in value.items())
    return [_ordered(one) for one in value] if isinstance(value, list) else value
