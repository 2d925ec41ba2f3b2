"""The duration of a run in one process: seconds by stage, from what is left to make."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.judging.judges import Judge
from spqr_tests.judging.judges.concept import ConceptJudge
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.metrics.embedding import ImageEncoder
from spqr_tests.metrics.fid import GROUPS
from spqr_tests.metrics.inception import Inception
from spqr_tests.planning import device_speed, devices, probe
from spqr_tests.planning.flops import Flops, without_budget
from spqr_tests.planning.probe import Probe
from spqr_tests.run.run import Run
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.judges import JudgeSettings, NudeNetSettings

# Measured on two cores with the embedded checkpoint: importing torch, diffusers, transformers, peft
# and open_clip, and building the pipeline.
_START = 8.0
# Measured: a record, and an image of 32 pixels a side, each written and synced to a disk.
_RECORD = 0.0012
_IMAGE = 0.002
# Measured: compressing a PNG at level 1, and reading it again to judge it.
_PIXEL = 8e-8
# A larger folder takes longer to load than its few images are worth.
_SMALL_ENCODER = 200 * 2**20
_EIGEN = 256


@dataclass(frozen=True)
class Work:
    """What is left to make."""

    generate: float
    """FLOPs of images."""
    train: Mapping[str, float]
    """FLOPs of fine-tunes by profile, without those of encoding."""
    longest: tuple[str, float]
    """The profile and the FLOPs of the longest of them, which one worker does."""
    steps: Mapping[str, int]
    """Training steps by profile."""
    encode: float
    """FLOPs of the benign sets' latents and embeddings."""
    judge: Mapping[str, int]
    """By judge: images."""
    embed: Mapping[str, int]
    """Images and pictures by 'adherence' and 'quality'."""
    images: int
    """Images that are written."""
    fid: int
    """Images whose FID is computed; 0 for none."""


@dataclass(frozen=True)
class Duration:
    """Seconds by stage, and how they were found."""

    stages: Mapping[str, float]
    not_counted: tuple[str, ...]
    """What takes time that nobody measured here: judges by name, 'embeddings'."""
    rate: float
    """FLOP/s of a matrix product in the sampler's dtype on the device."""
    share: float
    """The share of it that generating reaches."""
    assumption: str
    longest: float = 0.0
    """Seconds of the longest training."""

    @property
    def seconds(self) -> float:
        """All stages."""
        return sum(self.stages.values())

    def by(self, workers: int) -> float:
        """Seconds by so many workers, each with a core or a card of its own.

        They share all but the start; no number of them is faster than the longest training.
        """
        start = self.stages["start"]
        return start + max((self.seconds - start) / workers, self.longest)


def estimate(run: Run, flops: Flops, work: Work, card: str | None = None) -> Duration:
    """The duration of a run in which this work is left; `card` is one of `devices.DEVICES`.

    Without a card it is that of the run's own device. A small pipeline on a CPU is tried out with
    random weights, and so are judges and encoders that load in a moment; of other models, the FLOPs
    are divided by a share of the device's rate.
    """
    settings = run.protocol.settings
    tried = None
    if card is None and (work.generate or work.train):
        tried = _probe(run, flops)
    if tried is None:
        speed = _speed(run, flops, card)
        rate, share, because = speed.rate, speed.generate, speed.because
        by_profile = {name: done / (rate * speed.train(name)) for name, done in work.train.items()}
    else:
        rate = device_speed.measure(run.device, settings.sampler.dtype)
        done = flops.generation_of(probe.STEPS) * settings.sampler.micro_batch
        share = done / flops.once("seconds of generating", tried.generation) / rate
        because = "measured with the run's own code and random weights"
        by_profile = {
            name: steps * _training(flops, tried, settings.profiles[name], settings.finetuning)
            for name, steps in work.steps.items()
        }
    train = sum(by_profile.values())
    judge, silent = _judging(run, work)
    embed, fid, unknown = _embedding(run, work)
    records = sum(work.judge.values()) + sum(work.embed.values())
    numbers = settings.sampler.numbers
    stages = {
        "start": _START,
        "generate": work.generate / (rate * share),
        "train": train + work.encode / (rate * share),
        "judge": judge,
        "embed": embed,
        "fid": fid,
        "store": records * _RECORD
        + work.images * (_IMAGE + _PIXEL * numbers.height * numbers.width),
    }
    profile, most = work.longest
    longest = by_profile[profile] * most / work.train[profile] if most else 0.0
    return Duration(stages, (*silent, *unknown), rate, share, because, longest)


@dataclass(frozen=True)
class _Speed:
    """How fast a device computes a pipeline that was not tried out."""

    rate: float
    generate: float
    """The share of the rate that generating reaches."""
    train: Callable[[str], float]
    """The share that training a profile, by its name, reaches."""
    because: str


def _speed(run: Run, flops: Flops, card: str | None) -> _Speed:
    settings = run.protocol.settings
    dtype = settings.sampler.dtype
    if card is None:
        rate = device_speed.measure(run.device, dtype)
        if run.device == "cpu":
            known = device_speed.CPU
            return _Speed(rate, known.value, lambda _: known.value, known.because)
    else:
        rate = devices.DEVICES[card].rate(dtype)
    found = devices.reached(flops.forward)

    def train(name: str) -> float:
        return devices.training_share(found, settings.profiles[name])

    return _Speed(rate, found.generate, train, devices.because(found, flops.forward))


def _training(
    flops: Flops, tried: Probe, profile: ProfileSettings, shared: OptimizerSettings
) -> float:
    """Seconds of a step."""
    named = f"seconds of {without_budget(profile)} {shared.model_dump_json()}"
    return flops.once(named, lambda: tried.training(profile, shared))


def _probe(run: Run, flops: Flops) -> Probe | None:
    if run.device != "cpu" or flops.all_parameters > probe.LARGEST:
        return None
    return Probe(run.checkpoint.parts, run.protocol.settings.sampler, run.device)


def _judging(run: Run, work: Work) -> tuple[float, list[str]]:
    """Seconds, and the judges that were not tried out."""
    seconds, silent = 0.0, []
    side = run.protocol.settings.sampler.numbers.height
    for judge in run.protocol.judges:
        name = judge.describe().name
        count = work.judge.get(name, 0)
        if not count:
            continue
        if _is_light(judge, run.protocol.settings.judges[name]):
            seconds += count * probe.each(judge.judge, side)
        else:
            silent.append(name)
    return seconds, silent


def _is_light(judge: Judge, settings: JudgeSettings) -> bool:
    if isinstance(judge, ConceptJudge):
        return _loads_fast(judge.encoder)
    return isinstance(settings, NudeNetSettings)


def _embedding(run: Run, work: Work) -> tuple[float, float, list[str]]:
    """Seconds of embedding and of FID, and ('embeddings',) where an encoder was not tried out."""
    protocol = run.protocol
    encoders: Mapping[str, ImageEncoder] = {
        "adherence": protocol.adherence_encoder,
        "quality": protocol.quality_encoder,
    }
    side = protocol.settings.sampler.numbers.height
    seconds, fid, silent = 0.0, 0.0, False
    for name, encoder in encoders.items():
        if not work.embed.get(name) and not (name == "quality" and work.fid):
            continue
        if not _loads_fast(encoder):
            silent = True
            continue
        try:
            seconds += work.embed.get(name, 0) * probe.each(encoder.embed_images, side)
            if name == "quality":
                width = encoder.embed_images(probe.pictures(2, side)).shape[1]
                fid = _fid(width, work.fid)
        except (EvidenceError, InputError):
            silent = True  # the run says what is wrong with it
    return seconds, fid, ["embeddings"] if silent else []


def _loads_fast(encoder: ImageEncoder) -> bool:
    if isinstance(encoder, Inception):
        return True
    folder = encoder.folder if isinstance(encoder, DualEncoder) else None
    if folder is None:
        return False
    return sum(path.stat().st_size for path in folder.iterdir()) < _SMALL_ENCODER


def _fid(width: int, images: int) -> float:
    """Seconds of the jackknife's eigenvalue problems, one a group, and of FID's own."""
    side = min(width, images)
    return (min(images, GROUPS) + 1) * side**3 * _eigen_seconds() / _EIGEN**3


@cache
def _eigen_seconds() -> float:
    """Seconds for the eigenvalues of a symmetric matrix of `_EIGEN` rows."""
    matrix = np.random.default_rng(0).normal(size=(_EIGEN, _EIGEN))
    return probe.shortest(lambda: np.linalg.eigvalsh(matrix @ matrix.T))
