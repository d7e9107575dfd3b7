"""How a process ends."""

import subprocess
import sys

import pytest

ENDING = """
import atexit, threading
from amd_service.cli.main import end_despite_threads
atexit.register(print, "in its own way")
threading.Thread(target=threading.Event().wait, daemon=True).start() if {left_behind} else None
print("done")
end_despite_threads()
"""


@pytest.mark.parametrize(("left_behind", "said"), [(True, "done\n"), (False, "done\nin its own way\n")])
def test_a_thread_that_was_left_behind_does_not_see_the_interpreter_end(left_behind: bool, said: str) -> None:
    command = [sys.executable, "-c", ENDING.format(left_behind=left_behind)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == said
