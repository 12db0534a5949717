"""Private keys that tests load are checked once: cryptography examines an RSA key for 30 ms."""

from __future__ import annotations

import functools
from typing import Any

from cryptography.hazmat.primitives import serialization

LOADERS = ("load_pem_private_key", "load_ssh_private_key", "load_der_private_key")


def install(*, check: bool = True) -> None:
    """Have cryptography remember keys by their text; call it before others import its functions.

    Args:
        check: whether a key is examined. A run of a script, which is forked for each, forgets it,
            and the key was examined where the test has made it.
    """
    for name in LOADERS:
        load = getattr(serialization, name)
        if not hasattr(load, "__wrapped__"):
            unchecked = functools.partial(load, unsafe_skip_rsa_key_validation=True)
            setattr(serialization, name, _remembered(load if check else unchecked))


def _remembered(load: Any) -> Any:
    known = functools.lru_cache(maxsize=100)(load)

    @functools.wraps(getattr(load, "func", load))
    def loaded(data: Any, password: Any = None, backend: Any = None, **how: Any) -> Any:
        if type(data) is bytes and type(password) in (bytes, type(None)) and not how:
            return known(data, password)
        return load(data, password, backend, **how)

    return loaded
