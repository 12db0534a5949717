"""The key files of a client VM: which of them hold which key, and a generated pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_setup.engine.decoding import decoding
from aws_setup.ssh.files import NAME, UNEXPECTED_OUTPUT
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.survey import Question, Survey

SSH = "/home/ubuntu/.ssh"
PRIVATE, PUBLIC, AUTHORIZED = f"{SSH}/id_rsa", f"{SSH}/id_rsa.pub", f"{SSH}/authorized_keys"

GENERATE_KEY = """\
set -eu
umask 077
mkdir -p "$1"
exec 9< "$1"
flock 9
key=$1/id_rsa
public=$(ssh-keygen -y -P '' -f "$key" 2> /dev/null < /dev/null | cut -d ' ' -f 1-2)
if [ -e "$key" ] && ! grep -qsxF -- "$public $2" "$key.pub"; then
  mv -f -- "$key" "$key.of-the-image"
  [ ! -e "$key.pub" ] || mv -f -- "$key.pub" "$key.of-the-image.pub"
  echo kept
fi
[ -e "$key" ] || ssh-keygen -q -t rsa -b 3072 -m PEM -N '' -C "$2" -f "$key" < /dev/null
if head -n 1 "$key" | grep -q 'BEGIN OPENSSH'; then
  new=$(mktemp "$1/.id_rsa.lambda-fs-XXXXXXXX")
  trap 'rm -f -- "$new"' EXIT
  cat "$key" > "$new"
  ssh-keygen -q -p -m PEM -P '' -N '' -f "$new" < /dev/null > /dev/null
  mv -f -- "$new" "$key"
fi
"""
"""Arguments: folder, comment of the key. A key from the image is public, so it is renamed, and a
line is printed.

So is a private key that is not that of its public one: ssh offers the public one, and then says
"private key … contents do not match public" (OpenSSH, sshconnect2.c: identity_sign).
A command whose connection was lost is sent again and may still be running, and ssh-keygen refuses
a key that has appeared meanwhile: the folder is locked (flock(1) of util-linux).
https://github.com/openssh/openssh-portable/blob/master/sshconnect2.c
λFS's benchmark logs in to its followers with JSch 0.1.55 (its pom.xml), which cannot read
OpenSSH's own format, the default of ssh-keygen since 7.8
(https://www.openssh.com/txt/release-7.8, https://github.com/mwiede/jsch/issues/12): the key is
written as PEM, and one that an earlier version wrote becomes it.
"""

LIST_KEYS = """\
for file in "$1/id_rsa" "$1/id_rsa.of-the-image" "$1"/.id_rsa.lambda-fs-????????; do
  if [ -f "$file" ]; then
    public=$(ssh-keygen -y -P '' -f "$file" 2> /dev/null < /dev/null | cut -d ' ' -f 2)
    form=$(head -n 1 "$file" | tr -cd 'A-Z')
    printf '%s %s %s %s\\n' "$(sha256sum < "$file" | cut -c1-64)" "${public:--}" \\
      "${form:--}" "$file"
  fi
done
"""
"""Arguments: folder. Prints SHA-256, public key, kind of file, and path of the private keys
written here.

The last pattern is that of a file that was being written when the machine lost its power. The
public key is - where ssh-keygen cannot read it, as in a key with a passphrase.
"""

REMOVE_FILES = """\
while [ "$#" -gt 1 ]; do
  case $(sha256sum < "$2") in "$1 "*) rm -f -- "$2" ;; esac
  shift 2
done
"""
"""Arguments: SHA-256 and path of each file; one that has another content by now is kept."""

KEYS = Question(LIST_KEYS, (SSH,))


@dataclass(frozen=True)
class PrivateKey:
    """A private key on a client: SHA-256 of the file, and the public key in Base64 or ''.

    `form` are the letters of the file's first line, as BEGINRSAPRIVATEKEY.
    """

    digest: str
    public: str
    form: str
    path: str


def private_keys(client: Machine, survey: Survey) -> list[PrivateKey]:
    """Return the private keys in the files that this setup writes.

    Raises:
        SetupError: the client's answer is not one.
    """
    known = survey.answer(client, KEYS)
    if known is None:
        command = ["sh", "-c", LIST_KEYS, NAME, SSH]
        known = client.run(command, sudo=True, repeatable=True, changes=False, label="list keys")
    rows = (line.split(" ", 3) for line in known.stdout.splitlines())
    with decoding(f"{client}: the list of its SSH keys cannot be used", UNEXPECTED_OUTPUT):
        return [
            PrivateKey(digest, public.removesuffix("-"), form, path)
            for digest, public, form, path in rows
        ]


def remove_keys(client: Machine, keys: Sequence[PrivateKey]) -> None:
    """Remove private keys, unless their file has changed since it was read."""
    named = [argument for key in keys for argument in (key.digest, key.path)]
    command = ["sh", "-c", REMOVE_FILES, NAME, *named]
    client.run(command, sudo=True, repeatable=True, label="remove keys")


def pair_with(comment: str, public: str | None, keys: Sequence[PrivateKey]) -> str | None:
    """Return a client's public key if it has that comment and is that of its private key.

    A private key that Java programs cannot read is none.
    """
    text = (public or "").strip()
    words = text.split(" ")
    private = [key.public for key in keys if key.path == PRIVATE and "OPENSSH" not in key.form]
    return text if words[1:] == [*private, comment] else None
