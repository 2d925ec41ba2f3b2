"""The known backbones, one module each: to add one, add a file."""

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
"""One of each family; none imports torch until it is used."""
