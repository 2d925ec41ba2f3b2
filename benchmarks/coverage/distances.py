"""Simulated worlds of features: what KID and CMMD cover, and what each distance reads.

The intervals are made by the code of a run.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.coverage.cells import DRAWS, FEW, SEED, Cells, Reading, cell
from benchmarks.coverage.scores import REFERENCE, WIDTH, fid, missed, root_of
from benchmarks.laws import FloatArray
from spqr_tests.metrics.discrepancy import KERNELS, similarity_among, unbiased
from spqr_tests.metrics.fid import GROUPS
from spqr_tests.metrics.frechet import Frechet
from spqr_tests.metrics.jackknife import Jackknife
from spqr_tests.verdict import intervals

SIZES = (100, 512)
SLOW = 2000
"""KID's n for collapsed images, with half of the runs: an image is compared with every other."""
NEAR = 4
"""With a distance of fewer standard errors, what is quadratic in the images decides."""
IMAGES = 3
"""Images a prompt, in the world that has several."""
WIDE_WIDTH, WIDE_SIZES, TRUE_FID = 512, (100, 512, 5000), 20
"""Features, numbers of images and the true FID of what the distances read."""
_SCALES = np.linspace(0.1, 1, WIDTH)
World = Callable[[np.random.Generator, int], FloatArray]


def features(rng: np.random.Generator, n: int) -> FloatArray:
    """Features (n, width) whose mean square is .4, about that of Inception's."""
    return rng.standard_normal((n, WIDTH)) * _SCALES


def _shifted(rng: np.random.Generator, n: int) -> FloatArray:
    return features(rng, n) + 0.1


def _mixture(rng: np.random.Generator, n: int) -> FloatArray:
    centres = np.random.default_rng(9).standard_normal((4, WIDTH)) / 2
    scales = np.where(rng.random(n) < 0.2, 1.6, 0.8)[:, None]
    return features(rng, n) * scales + centres[rng.integers(4, size=n)] + 0.15


def _collapsed(rng: np.random.Generator, n: int) -> FloatArray:
    found = features(rng, n)
    found[rng.random(n) < 0.01] = 3 * _SCALES
    return found


def _rare(rng: np.random.Generator, n: int) -> FloatArray:
    found = features(rng, n)
    found[rng.random(n) < 0.05] += 0.75
    return found


def _prompts(rng: np.random.Generator, n: int) -> FloatArray:
    shared = np.repeat(features(rng, -(-n // IMAGES)), IMAGES, axis=0)[:n]
    return np.asarray(np.sqrt(0.5) * (shared + features(rng, n)) + 0.1)


WORLDS: dict[str, tuple[World, float]] = {
    "as the reference": (features, 1.0),
    "shifted": (_shifted, 1.0),
    "four Gaussians, each of two widths": (_mixture, 0.05),
    "5 % of another kind": (_rare, 0.05),
    f"shifted, {IMAGES} images a prompt": (_prompts, 1.0),
}
"""How features are sampled, and the share of the smallest group that the distance hangs on."""


def covered(
    runs: int,
    worlds: Mapping[str, tuple[World, float]] | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
) -> Cells:
    """KID and CMMD against a fixed reference; the truth is their expectation."""
    plain = features(np.random.default_rng(SEED), REFERENCE)
    chosen = WORLDS if worlds is None else worlds
    asked = [
        (one, world, n)
        for one, world in itertools.product(KERNELS, chosen)
        for n in (SIZES if sizes is None else sizes[one])
    ]
    for name, world, n in asked:
        sample, share = chosen[world]
        rng = np.random.default_rng([SEED, n])
        reference = prepared(name, plain)
        among = similarity_among(KERNELS[name], reference)
        clusters = np.arange(n) // IMAGES if sample is _prompts else None
        values, found = [], []
        repeated = runs if n < SLOW else runs // 2
        for _ in range(repeated):
            rows = prepared(name, sample(rng, n))
            made = unbiased(KERNELS[name], reference, rows, clusters, among)
            values.append(made.value)
            found.append(intervals.percentile(made.draws(DRAWS, rng), include=made.value))
        row = f"{name.upper()}, {world}"
        truth = float(np.mean(values))
        few = bool(n * share < FEW or truth < NEAR * np.std(values))
        yield cell("distances", row, n, missed(found, truth), few=few, runs=repeated)


def collapsed(runs: int) -> Cells:
    """All three distances where 1 % of the images are one picture, far from the reference."""
    plain = features(np.random.default_rng(SEED), REFERENCE)
    frechet, mean = Frechet(plain), plain.mean(axis=0)
    root = root_of(plain)
    for n in SIZES:
        rng = np.random.default_rng([SEED, n])
        values, found = [], []
        for _ in range(runs):
            rows = _collapsed(rng, n)
            value = fid(rows, mean, root)
            left = frechet.without(rows, rng.permutation(n) % min(n, GROUPS))
            made = Jackknife(value, value + (len(left) - 1) * (left.mean() - left), least=0)
            values.append(value)
            found.append(intervals.percentile(made.draws(DRAWS, rng), include=value))
        shares = missed(found, float(np.mean(values)))
        yield cell("collapsed", "FID", n, shares, few=0.01 * n < FEW, runs=runs)
    worlds = {"1 % collapsed onto one far picture": (_collapsed, 0.01)}
    for one in covered(runs, worlds, {"kid": (*SIZES, SLOW), "cmmd": SIZES}):
        row = one.row.partition(",")[0]
        yield cell("collapsed", row, one.n, (one.above, one.below), few=one.few, runs=one.runs)


def readings(repeats: int = 5) -> list[Reading]:
    """What each distance reads of three sets of images, by n."""
    rng = np.random.default_rng(SEED)
    scales = np.linspace(0.1, 1, WIDE_WIDTH)
    # Gaussians that differ in width alone: the true FID is the sum of the squared differences.
    apart = float(np.sqrt(TRUE_FID / (scales**2).sum()))
    plain = rng.standard_normal((REFERENCE, WIDE_WIDTH)) * scales
    mean, root = plain.mean(axis=0), root_of(plain)
    found = []
    for (world, width), n in itertools.product(
        (
            ("real pictures", 1.0),
            ("less diverse", 1 - apart),
            ("more diverse", 1 + apart),
        ),
        WIDE_SIZES,
    ):
        sets = [rng.standard_normal((n, WIDE_WIDTH)) * scales * width for _ in range(repeats)]
        read = {"fid": [fid(rows, mean, root) for rows in sets]} | {
            name: [
                unbiased(kernel, prepared(name, plain), prepared(name, rows)).value for rows in sets
            ]
            for name, kernel in KERNELS.items()
        }
        found += [
            Reading(world, name, n, round(float(mean_of), 6), round(float(deviation), 6))
            for name, values in read.items()
            for mean_of, deviation in [(np.mean(values), np.std(values))]
        ]
    return found


def prepared(distance: str, rows: FloatArray) -> FloatArray:
    """Features as the distance takes them: of length 1 for CMMD."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) if distance == "cmmd" else rows
