"""The layouts that are known, a module each."""

from spqr_tests.data.prompts.layouts import (
    coco_annotations,
    coco_captions,
    draw_bench,
    esd,
    i2p,
    mjhq,
    mma_diffusion,
    parti_prompts,
    plain,
    ring_a_bell,
    visu,
)

PUBLISHED = (
    i2p.LAYOUT,
    esd.LAYOUT,
    visu.LAYOUT,
    *ring_a_bell.LAYOUTS,
    mma_diffusion.LAYOUT,
    *coco_captions.LAYOUTS,
    coco_annotations.LAYOUT,
    parti_prompts.LAYOUT,
    draw_bench.LAYOUT,
    mjhq.LAYOUT,
)
"""Every layout but the plain one."""
NAMES = frozenset(
    {
        *(name for layout in PUBLISHED for name in layout.needs),
        *(name for names in plain.COLUMNS.values() for name in names),
    }
)
"""Every column by which a layout is known."""
