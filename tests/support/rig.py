"""Servers as child processes, for the tests that are written in Python.

A server says on its standard output on which port it listens. Nothing here waits for a while in the hope that something
has happened: it asks again until the answer is right or the deadline is over.
"""

import http.client
import os
import re
import select
import signal
import subprocess
import sys
import time

DEADLINE = 120  # seconds; longer than anything takes on a busy machine


class Server:
    """A child whose output matches `pattern` once it listens; the pattern's first group is the port."""

    def __init__(self, command, pattern, **more):
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, **more)
        self.output = b""
        self.port = int(self.wait_for(pattern))

    def wait_for(self, pattern):
        end = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.output)):
            # Of the pipe itself: what a file object holds back already, select does not see.
            ready, _, _ = select.select([self.child.stdout], [], [], max(0, end - time.monotonic()))
            piece = os.read(self.child.stdout.fileno(), 65536) if ready else b""
            if not piece:
                self.child.kill()
                said = self.output.decode(errors="replace")
                raise SystemExit(f"{self.child.args[0]} does not listen: {said}")
            self.output += piece
        return found[1]

    def ask(self, method, target, body=None):
        """The status of the answer, and its body as text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        connection.request(method, target, body)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def wait_until_ready(self, target):
        end = time.monotonic() + DEADLINE
        while self.ask("GET", target)[0] != 200:
            if time.monotonic() > end:
                raise SystemExit(f"{target} is not 200")
            time.sleep(0.01)

    def stop(self):
        """The exit status."""
        self.child.send_signal(signal.SIGTERM)
        self.child.communicate(timeout=DEADLINE)
        return self.child.returncode


class Berth(Server):
    """berth with the models of a directory or a file. Its environment has no variable that berth reads."""

    def __init__(self, program, models, *options):
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("BERTH") and name != "MODEL_INIT_MODE"
        }
        command = [program, "serve", "--models", models, "--host", "127.0.0.1", "--port", "0", "--log", "json"]
        super().__init__([*command, *options], rb'"message":"listening"[^\n]*"port":(\d+)', env=clean)


def run_tests(names, run, server):
    """Runs each function test_… of a module's names by `run`, tells how it ended, stops the server and ends the program."""
    passed = failed = 0
    try:
        for name, test in list(names.items()):
            if not name.startswith("test_"):
                continue
            try:
                run(test)
                print(f"ok: {name}")
                passed += 1
            except Exception as e:  # noqa: BLE001: whatever it is, it is told, and the others go on
                print(f"FAILED: {name}: {type(e).__name__}: {e}")
                failed += 1
    finally:
        status = server.stop()
    if status != 0:
        print(f"FAILED: berth ended with {status}")
        failed += 1
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)
