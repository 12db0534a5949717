"""Proves that a run that is disturbed at any write can be finished, and removed.

`python -m tests.trust` runs everything; the tests of this folder run a sample of each kind.
docs/trust.md explains what is tried and how to repeat one case.
"""

import gc

from tests.support import loaded_keys, service_models

# As for the tests (tests/conftest.py): what all worlds of a process read is read once.
service_models.install()
loaded_keys.install()
gc.set_threshold(20_000)
