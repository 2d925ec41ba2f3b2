"""Commands that measure the suite, each for one page of docs/; CONTRIBUTING.md lists them."""
