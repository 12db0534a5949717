"""The shell scripts that read, compare and write files on a machine, as text.

Each runs as `sh -c SCRIPT lambda-fs ARGUMENT…`, so that no shell ever parses an argument.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from aws_setup.engine.decoding import decoding
from aws_setup.engine.wording import shell_word

ABSENT = 66
"""Exit code of READ and DIGEST when the file certainly does not exist (EX_NOINPUT)."""

NO_FILE = 65
"""Exit code of a script when something else is where the file belongs (EX_DATAERR)."""

FILE_ONLY = f"""\
file_only() {{
  [ -e "$1" ] && ! [ -f "$1" ] || return 0
  kind=device
  [ ! -d "$1" ] || kind=folder
  [ ! -p "$1" ] || kind='named pipe'
  [ ! -S "$1" ] || kind=socket
  printf '%s\\n%s\\n' "$1" "$kind" >&2
  exit {NO_FILE}
}}
"""
"""The function with which the scripts look at a path first, and print it with what is there.

A pipe would block what reads it, and mv puts a file into a folder of its name.
"""

_MISSING = """\
problem=$(LC_ALL=C stat -- "$1" 2>&1 >/dev/null) || {
  case $problem in *"No such file or directory"*) exit 66 ;; esac
  printf '%s\\n' "$problem" >&2
  exit 1
}
"""

READ = FILE_ONLY + _MISSING + 'file_only "$1"\nexec cat -- "$1"\n'
"""Arguments: path. Prints the file."""

DIGEST = FILE_ONLY + _MISSING + 'file_only "$1"\nsha256sum < "$1" && stat -c "%a %U %G" -- "$1"\n'
"""Arguments: path. Prints SHA-256, mode, owner and group."""

FACTS = (
    FILE_ONLY
    + """\
for path in "$@"; do
  file_only "$path"
  if [ -f "$path" ]; then
    printf '%s %s %s\\n' "$(sha256sum < "$path" | cut -c1-64)" "$(stat -c %.9Y -- "$path")" "$path"
  fi
done
"""
)
"""Arguments: paths. Prints SHA-256, modification time and path of each existing file."""

WRITE = (
    FILE_ONLY
    + """\
set -eu
umask 077
file_only "$1"
folder=$(dirname -- "$1")
(umask 022; mkdir -p -- "$folder")
temporary=".$(basename -- "$1").lambda-fs-"
# What a machine that lost its power left behind; not what another run is writing now.
find "$folder" -maxdepth 1 -type f -name "$temporary????????" -mmin +10 -delete
new=$(mktemp -- "$folder/${temporary}XXXXXXXX")
trap 'rm -f -- "$new"' EXIT
trap 'exit 75' HUP INT TERM PIPE
cat > "$new"
case $(sha256sum < "$new") in
  "$4 "*) ;;
  *) echo 'the content arrived incomplete' >&2; exit 74 ;;
esac
[ -z "$3" ] || chown -- "$3" "$new"
chmod -- "$2" "$new"
sync -- "$new"
mv -fT -- "$new" "$1"
"""
)
"""Arguments: path, octal mode, owner ('' for unchanged), SHA-256. Reads the content from stdin.

A missing folder is created and is readable by all, as /opt and /data are.
"""

UNEXPECTED_OUTPUT = (
    "run `ssh MACHINE true`, which must print nothing: remove what prints from the .bashrc of the "
    "machine's users, then run the same command again"
)
"""The fix where a script's output has other lines, such as those of a .bashrc that prints."""


def no_file_text(errors: str) -> tuple[str, str]:
    """Return the cause and the fix from what a script printed before it ended with NO_FILE."""
    path, _, kind = errors.strip().rpartition("\n")
    path = path.rpartition("\n")[2]
    why = f"{path} is a {kind}, not a file"
    file, other = (shell_word(name, windows=False) for name in (path, f"{path}.old"))
    fix = f"run `sudo mv {file} {other}` on that machine"
    return why, f"{fix}, then run the same command again"


KEPT = "kept"
"""Line that a script prints when it has kept what it replaced; a .bashrc may print others."""

NAME = "lambda-fs"
"""The scripts' name in a process list."""


@dataclass(frozen=True)
class FileFacts:
    """A file on a machine: SHA-256 in hexadecimal, and modification time by the machine's clock."""

    digest: str
    changed: float


def parse_facts(answer: str) -> dict[str, FileFacts]:
    """Return path -> facts from the output of FACTS.

    Raises:
        SetupError: it is the output of something else.
    """
    rows = (line.split(" ", 2) for line in answer.splitlines())
    with decoding("the list of files of a machine cannot be used", UNEXPECTED_OUTPUT):
        return {path: FileFacts(digest, float(changed)) for digest, changed, path in rows}


def digest_of(content: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class FileSpec:
    """The desired file: content, octal mode, and `user` or `user:group` ('' for any)."""

    content: bytes
    mode: int
    owner: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    def matches(self, answer: str) -> bool:
        """Tell whether the output of DIGEST describes exactly this file."""
        digest, _, mode, user, group = (answer.split() + [""] * 5)[:5]
        current = f"{user}:{group}" if ":" in self.owner else user
        return digest == self.digest and mode == f"{self.mode:o}" and self.owner in {"", current}
