"""Shell scripts that read several files in one command, and replace one while keeping a copy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence

from aws_setup.engine.decoding import decoding
from aws_setup.errors import SetupError
from aws_setup.software.clients.desired import ClientKind, paths_of
from aws_setup.ssh.errors import script_error
from aws_setup.ssh.files import FILE_ONLY, KEPT, NAME, NO_FILE, UNEXPECTED_OUTPUT
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.survey import Question, Survey

ORIGINAL = ".lambda-fs-original"
"""Suffix of the copy of a file as it was before this program first changed it."""

CHANGED = 73
"""Exit code of REPLACE when the file is not the one that was read (EX_CANTCREAT)."""

READ = (
    FILE_ONLY
    + """\
for path in "$@"; do
  file_only "$path"
  [ -e "$path" ] || continue
  content=$(base64 -w 0 < "$path") || exit 1
  printf '%s %s\\n' "${content:--}" "$path"
done
"""
)
"""Arguments: paths. Prints content in Base64 ('-' for none) and path of each existing file."""

REPLACE = (
    FILE_ONLY
    + """\
set -eu
umask 077
file_only "$1"
file_only "$1$4"
path=$(readlink -f -- "$1")
digest() { sha256sum < "$1" | cut -c1-64; }
current=$(digest "$path")
[ "$current" != "$2" ] || exit 0
[ "$current" = "$3" ] || exit 73
new=$(mktemp -- "$(dirname -- "$path")/.$(basename -- "$path").lambda-fs-XXXXXXXX")
trap 'rm -f -- "$new"' EXIT
trap 'exit 75' HUP INT TERM PIPE
if ! [ -e "$1$4" ]; then
  cp -p -- "$path" "$new"
  sync -- "$new"
  mv -fT -- "$new" "$1$4"
  echo kept
fi
cat > "$new"
[ "$(digest "$new")" = "$2" ] || { echo 'the content arrived incomplete' >&2; exit 74; }
chown --reference="$path" -- "$new"
chmod --reference="$path" -- "$new"
sync -- "$new"
mv -fT -- "$new" "$path"
"""
)
"""Arguments: path, SHA-256 of the new and of the old content, suffix of the copy. Stdin: content.

Prints a line when it has made the copy.

Mode and owner are kept. The copy is made once: one that exists is never overwritten.
"""


def files_of(kind: ClientKind) -> tuple[str, ...]:
    """Return every file that is read on a client of a kind."""
    return (*paths_of(kind), kind.site + ORIGINAL, kind.ndb + ORIGINAL)


def files_question(kind: ClientKind) -> Question:
    """Return the question for the files of a client."""
    return Question(READ, files_of(kind))


def read_files(
    machine: Machine, paths: Sequence[str], survey: Survey | None = None
) -> Mapping[str, bytes]:
    """Return path -> content of those files that exist, in one command, as root.

    Args:
        machine: the machine.
        paths: the files.
        survey: answers that this run has read already, if they count.

    Raises:
        RemoteError: a file exists and cannot be read.
        SetupError: the output is not that of READ.
    """
    known = survey.answer(machine, Question(READ, tuple(paths))) if survey else None
    command = ["sh", "-c", READ, NAME, *paths]
    label = f"read {paths[0]} and others"
    result = known or machine.run(
        command, sudo=True, repeatable=True, changes=False, check=False, label=label
    )
    if result.code:
        raise script_error(str(machine), label, code=result.code, errors=result.stderr)
    rows = (line.split(" ", 1) for line in result.stdout.splitlines())
    with decoding(f"{machine}: its files cannot be read", UNEXPECTED_OUTPUT):
        return {
            path: base64.b64decode("" if text == "-" else text, validate=True)
            for text, path in rows
        }


def replace_file(machine: Machine, path: str, content: bytes, *, before: bytes) -> str:
    """Replace a file atomically; the first time a copy of the original is kept beside it.

    Returns the path of the copy if this call has made it, else ''.

    Args:
        machine: the machine.
        path: the file; a symbolic link stays one.
        content: the new content, sent on standard input only.
        before: the content that was read, from which the new one was made.

    Raises:
        SetupError: the file has been changed since it was read.
        RemoteError: it cannot be written.
    """
    digests = [hashlib.sha256(data).hexdigest() for data in (content, before)]
    command = ["sh", "-c", REPLACE, NAME, path, *digests, ORIGINAL]
    result = machine.run(
        command, sudo=True, stdin=content, repeatable=True, check=False, timeout=120
    )
    if result.code == CHANGED:
        raise SetupError(
            f"{machine}: {path} was not written",
            "another program has changed it since it was read",
            "run the same command again",
        )
    if result.code == NO_FILE:
        raise script_error(str(machine), f"write {path}", code=result.code, errors=result.stderr)
    if result.code:
        raise SetupError(
            f"{machine}: {path} cannot be written",
            result.stderr.strip() or f"exit code {result.code}",
            "free space on that disk, or correct the file's permissions, then run this again",
        )
    return path + ORIGINAL if KEPT in result.stdout.splitlines() else ""
