"""The one error that users are meant to read."""


class BaconError(Exception):
    """Bad input or an impossible request; the message names the file or key, what was found, what is allowed, what to do.

    Command-line entry points print it without a traceback and exit with status 1.
    """
