"""Layouts: the names that a model's tensors have in files of its authors' own making.

`Layout` is the way in: it knows one checkpoint's configs and says of any stored tensor where it
belongs.
"""

from spqr_tests.checkpoint.formats.layouts.layout import Layout as Layout
from spqr_tests.checkpoint.formats.layouts.layout import places as places
