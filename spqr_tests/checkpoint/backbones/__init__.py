"""The backbones that are known, one module each: adding one is adding a file."""

import pkgutil
from importlib import import_module

from spqr_tests.checkpoint.backbones.backbone import Backbone

BACKBONES: tuple[Backbone, ...] = tuple(
    module.BACKBONE
    for module in (
        import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    if hasattr(module, "BACKBONE")
)
"""One of each family; none of them imports torch until it is used."""
