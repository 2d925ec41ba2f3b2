"""The site of README.md and docs/, which mkdocs builds: `tox -e docs`."""
