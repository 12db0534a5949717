"""Files of this computer at the end of a run: what goes wrong with one is a warning.

What a run has made or deleted elsewhere is done, and bills or does not: no file changes that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aws_setup.engine.file_errors import file_problem
from aws_setup.engine.step import RunContext
from aws_setup.engine.wording import shell_word
from aws_setup.errors import SetupError


def delete_file(path: Path) -> None:
    """Delete a file, or a link and not what it leads to; already gone is fine.

    Raises:
        SetupError: it is still there; the fix has the command that deletes it. A folder is kept:
            no run makes one there, so it has what somebody else has put into it.
    """
    try:
        path.unlink(missing_ok=True)
    except NotADirectoryError:
        return  # one of the folders above it is a file: there is nothing to delete
    except OSError as error:
        folder = path.is_dir() and not path.is_symlink()
        word = shell_word(str(path))
        raise SetupError(
            f"{path} was not deleted",
            "it is a folder" if folder else error.strerror or str(error),
            f"see what is in it, then `rm -r {word}`"
            if folder
            else f"make {path.parent} a folder that you may write, then `rm {word}`",
        ) from None


@contextmanager
def as_warnings(ctx: RunContext) -> Iterator[None]:
    """Turn what goes wrong with a file in the block into warnings; other errors stay errors."""
    try:
        yield
    except SetupError as error:
        for problem in error.problems:
            ctx.warn(problem)
    except OSError as error:
        found = file_problem(error)
        if found is None:
            raise
        ctx.warn(found)
