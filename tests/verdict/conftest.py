"""Property tests try the same examples in every run and leave no files behind."""

from hypothesis import settings

settings.register_profile("verdict", derandomize=True, database=None, deadline=None)
settings.load_profile("verdict")
