"""Prints gunicorn's settings, one a line: its name in a file, and its flags.
tests/suite/gunicorn-settings.txt has its output."""

from gunicorn.config import KNOWN_SETTINGS

for setting in KNOWN_SETTINGS:
    print(" ".join([setting.name, *(setting.cli or [])]))
