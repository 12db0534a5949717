"""Keys that tests load are those of the text and the password; errors are never remembered."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization

from tests.support.certificates import ec_key

PASSWORD = b"secret"


def test_a_key_is_loaded_once_for_each_password() -> None:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    key = ec_key()
    plain = key.private_bytes(*form, serialization.NoEncryption())
    locked = key.private_bytes(*form, serialization.BestAvailableEncryption(PASSWORD))
    first = serialization.load_pem_private_key(plain, password=None)
    assert serialization.load_pem_private_key(plain, None) is first
    for _ in range(2):
        with pytest.raises(TypeError):
            serialization.load_pem_private_key(plain, PASSWORD)
        with pytest.raises(TypeError):
            serialization.load_pem_private_key(locked, None)
        with pytest.raises(ValueError):  # cryptography's texts differ by OpenSSL
            serialization.load_pem_private_key(locked, b"other")
    assert serialization.load_pem_private_key(locked, PASSWORD) is not first
