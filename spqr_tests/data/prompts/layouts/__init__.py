"""The layouts that are known, a module each."""

from spqr_tests.data.prompts.layouts import (
    coco_annotations,
    coco_captions,
    esd,
    i2p,
    mma_diffusion,
    ring_a_bell,
    visu,
)

PUBLISHED = (
    i2p.LAYOUT,
    esd.LAYOUT,
    visu.LAYOUT,
    *ring_a_bell.LAYOUTS,
    mma_diffusion.LAYOUT,
    coco_captions.LAYOUT,
    coco_annotations.LAYOUT,
)
"""Every layout but the plain one."""
