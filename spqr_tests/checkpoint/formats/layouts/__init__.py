"""Layouts: the names that a model's tensors have in the files of its authors.

Start with `Layout`: it knows one checkpoint's configs and says where any stored tensor belongs.
"""

from spqr_tests.checkpoint.formats.layouts.layout import Layout as Layout
