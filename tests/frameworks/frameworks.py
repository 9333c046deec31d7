"""Asks berth with the frameworks that people build upon OpenAI's API.

    frameworks.py PROGRAM [MISSING]   MISSING names a file with a line "PACKAGE: REASON" for each that is not installed

A test of a route that this server does not have is told as skipped. GUIDELLM names guidellm's program; its packages are
too large to be fetched for a test.
"""

import asyncio
import importlib
import inspect
import json
import os
import sys
import tempfile
import traceback

import served
from rig import run_tests

FRAMEWORKS = {  # the package, and the module with its tests
    "instructor": "with_instructor",
    "pydantic-ai-slim": "with_pydantic_ai",
    "langchain-openai": "with_langchain",
    "openai-agents": "with_openai_agents",
    "litellm": "with_litellm",
    "guidellm": "with_guidellm",
}


class Asked:
    """What a test has to know of the server."""

    def __init__(self, server):
        self.key, self.runner = served.KEY, asyncio.Runner()
        self.base = f"http://127.0.0.1:{server.port}/v1"

    def run(self, test):
        try:
            outcome = test(self)
            if inspect.isawaitable(outcome):
                self.runner.run(outcome)
        except Exception:
            traceback.print_exc(limit=-3)
            raise


def skip(what, why):
    print(f"SKIPPED: frameworks {what}: {why}")


def missing_packages(path):
    """The reasons by package."""
    with open(path) as lines:
        return dict(line.rstrip("\n").split(": ", 1) for line in lines)


def tests_of(server, missing):
    """The tests of all modules, without those that cannot be tried here, which are told."""
    found, routes = {}, json.loads(server.ask("GET", "/openapi.json")[1])["paths"]
    for package, module in FRAMEWORKS.items():
        if package in missing:
            skip(package, missing[package])
            continue
        for name, test in vars(importlib.import_module(module)).items():
            if not name.startswith("test_"):
                continue
            route = getattr(test, "route", "/v1/models")
            if route in routes:
                found[name] = test
            else:
                skip(name, f"this server has no {route}")
    return found


def main():
    os.environ.update(OPENAI_AGENTS_DISABLE_TRACING="1", LANGSMITH_TRACING="false", DO_NOT_TRACK="1")
    missing = missing_packages(sys.argv[2]) if len(sys.argv) > 2 else {}
    if not os.environ.get("GUIDELLM"):
        missing["guidellm"] = "GUIDELLM is not set to its program"
    with tempfile.TemporaryDirectory() as directory:
        server = served.start(sys.argv[1], directory)
        try:
            tests = tests_of(server, missing)
        except BaseException:  # a package that is there and cannot be imported is a failure
            server.stop()
            raise
        run_tests(tests, Asked(server).run, server)


main()
