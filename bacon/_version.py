"""The package version; kept out of ``bacon/__init__.py`` so that a release does not make every artifact stale."""

__version__ = "0.1.0"
