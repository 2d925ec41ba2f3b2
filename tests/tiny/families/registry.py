"""Tiny pipelines of families, a module each: to add one, add a file and its name here."""

from tests.tiny.families.auraflow import AURAFLOW
from tests.tiny.families.facts import Facts
from tests.tiny.families.kolors import KOLORS
from tests.tiny.families.pixart_sigma import PIXART_SIGMA
from tests.tiny.families.playground import PLAYGROUND
from tests.tiny.families.sana import SANA

FAMILIES: dict[str, Facts] = {
    "pixart-sigma": PIXART_SIGMA,
    "playground": PLAYGROUND,
    "sana": SANA,
    "auraflow": AURAFLOW,
    "kolors": KOLORS,
}
