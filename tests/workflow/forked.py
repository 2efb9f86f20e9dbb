"""Snakemake's command line in a process forked from one that has imported Snakemake and its libraries.

More than half of a dry run is these imports, which no test edits. `bacon` is not among them: every process imports it anew,
from the checkout that its test names. What a process cannot inherit this way are the limits of the process that asks for it.
"""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
# pytest: a forked process imports the main module of the one that asks for it.
_CONTEXT.set_forkserver_preload(["pytest", "snakemake.cli", "h5py", "pydantic", "scipy.special"])


def snakemake(arguments: list[str], *, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run Snakemake in ``folder`` as ``python -m snakemake`` does; its status and output."""
    with tempfile.NamedTemporaryFile() as output:
        process = _CONTEXT.Process(target=_main, args=(arguments, folder, environment, output.name))
        process.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode, Path(output.name).read_text()


def _main(arguments: list[str], folder: Path, environment: dict[str, str], output: str) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = ["", *environment.get("PYTHONPATH", "").split(os.pathsep)]
    sys.argv = ["snakemake", *arguments]
    assert "bacon" not in sys.modules
    from snakemake.cli import main

    main()
