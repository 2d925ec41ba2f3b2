"""Tiny pipelines of families, a module each: to add one, add a file and its name here."""

from tests.tiny.families.family import TinyFamily
from tests.tiny.families.pixart_sigma import PIXART_SIGMA
from tests.tiny.families.playground import PLAYGROUND

FAMILIES: dict[str, TinyFamily] = {
    "pixart-sigma": PIXART_SIGMA,
    "playground": PLAYGROUND,
}
