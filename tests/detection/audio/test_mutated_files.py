"""Damaged files of every format are decoded or refused, in less than 1 s of processor time and 100 MB of memory."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.mutants import decode_in_child

# Files per child process. A child needs about half a second to start.
BATCH = 250


def test_200_damaged_files_are_decoded_or_refused() -> None:
    decode_in_child(seed=1, first=0, count=200)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(600)
def test_5000_damaged_files_are_decoded_or_refused() -> None:
    seed = int(os.environ.get("AMD_TEST_SEED") or int.from_bytes(os.urandom(4), "big"))
    sys.stdout.write(f"AMD_TEST_SEED={seed}\n")
    with ThreadPoolExecutor(2) as children:
        list(children.map(lambda first: decode_in_child(seed, first, BATCH), range(0, 5000, BATCH)))
