"""Runs Schemathesis against a server with a small model, and tells what it finds.

One of its checks is left out: that every request that the description allows is accepted. Fields depend on each other
(top_logprobs on logprobs, a tool choice on tools), and on the model; the description does not say how.
"""

import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from reciting import write_model  # noqa: E402
from rig import Berth, run_tests  # noqa: E402


def test_answers_are_what_the_description_says(server):
    program = os.path.join(os.path.dirname(sys.executable), "st")
    done = subprocess.run(
        [program, "run", f"http://127.0.0.1:{server.port}/openapi.json", "--max-examples", "20", "--seed", "1",
         "--phases", "examples,coverage,fuzzing", "--request-timeout", "60", "--no-color",
         "--exclude-checks", "positive_data_acceptance"],
        capture_output=True, text=True, check=False, cwd=tempfile.gettempdir())
    tested = re.search(r"Tested: (\d+)", done.stdout)
    if done.returncode or not tested or int(tested[1]) < 20:
        print(done.stdout[-6000:], done.stderr[-1000:])
    assert done.returncode == 0, f"schemathesis ended with {done.returncode}"
    assert tested and int(tested[1]) >= 20, "it tested fewer than 20 operations"


with tempfile.TemporaryDirectory() as models:
    write_model(os.path.join(models, "tiny.gguf"), context=512)
    one = Berth(sys.argv[1], models, "--max-tokens-default", "8")
    one.wait_until_ready("/readyz")
    run_tests(globals(), lambda test: test(one), one)
