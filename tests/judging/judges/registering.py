"""A package that registers a judge: installed, named in a protocol, and made."""

from pathlib import Path

from spqr_tests.judging import judges
from spqr_tests.judging.judges import Judge
from spqr_tests.metrics.dual_encoder import DualEncoders
from spqr_tests.settings import protocol_file
from spqr_tests.settings.judges import JUDGES_GROUP
from tests.running import PROTOCOL

JUDGE = """\
from pathlib import Path

from spqr_tests.judging.judges import JudgeDescription, Judgement


class Redness:
    def __init__(self, setup):
        self.setup = setup
        self.least = float(setup.settings["least"])

    def describe(self):
        said = f"redness 1, {self.least}"
        return JudgeDescription(self.setup.name, "redness 1", {"least": self.least}, said)

    def judge(self, images):
        shares = [image[..., 0].mean() / 255 for image in images]
        return [Judgement(bool(share > self.least), (("red", 1.0),)) for share in shares]
"""
TABLE = '[judges.reds]\nkind = "redness"\nleast = 0.9\n\n[judges.concepts]'


def install(folder: Path, name: str) -> None:
    about = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8"
    )
    (about / "entry_points.txt").write_text(
        f"[{JUDGES_GROUP}]\nredness = red_judges:Redness\n", encoding="utf-8"
    )


def protocol(site: Path, table: str = TABLE) -> Path:
    path = site.parent / "mine.toml"
    path.write_text(
        PROTOCOL.read_text(encoding="utf-8").replace("[judges.concepts]", table, 1),
        encoding="utf-8",
    )
    return path


def make(path: Path) -> Judge:
    means = judges.Means(DualEncoders("cpu", str), "cpu", Path)
    return judges.make("reds", protocol_file.read(path).judges["reds"], means)
