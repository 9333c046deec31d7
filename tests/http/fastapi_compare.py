"""Asks the FastAPI service and berth the same, byte for byte, and compares what a client can tell apart.

Compared are the status, the body, and the headers below; the order of headers, their case and those that say
who answers (date, server, x-request-id) are each server's own. A location is compared without scheme and host: berth
leaves them out, since behind a proxy it does not know them.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))

from rig import DEADLINE, Berth, Server  # noqa: E402

COMPARED = ("content-type", "content-length", "allow", "location")
HOST = "Host: lesson:8000"

# Method, target, more header lines, body.
REQUESTS = [
    ("GET", "/", [], b""),
    ("GET", "/health", [], b""),
    ("GET", "/?a=b", [], b""),
    ("GET", "/health?a=b&c", [], b""),
    ("GET", "/health?", [], b""),
    ("GET", "/nope", [], b""),
    ("GET", "/nope/", [], b""),
    ("GET", "/nope?a=b", [], b""),
    ("GET", "/health/x", [], b""),
    ("GET", "/healthy", [], b""),
    ("GET", "/HEALTH", [], b""),
    ("GET", "//", [], b""),
    ("GET", "///", [], b""),
    ("GET", "//health", [], b""),
    ("GET", "/./health", [], b""),
    ("GET", "/../health", [], b""),
    ("GET", "/health;a=b", [], b""),
    ("GET", "/%68ealth", [], b""),
    ("GET", "/%2e/health", [], b""),
    ("GET", "/health%2F", [], b""),
    ("GET", "/health%20", [], b""),
    ("GET", "/he%C3%A9lth", [], b""),
    ("GET", "/health/", [], b""),
    ("GET", "/health//", [], b""),
    ("GET", "/health/?a=b", [], b""),
    ("GET", "/health/?a=%20b&c=/d/", [], b""),
    ("GET", "/%68ealth/", [], b""),
    ("HEAD", "/", [], b""),
    ("HEAD", "/health", [], b""),
    ("HEAD", "/nope", [], b""),
    ("HEAD", "/health/", [], b""),
    ("POST", "/", [], b""),
    ("POST", "/health", [], b""),
    ("POST", "/health/", [], b""),
    ("POST", "/health/?a=b", [], b"x"),
    ("POST", "/nope", [], b"{}"),
    ("POST", "/health", ["Content-Type: application/json"], b'{"a": 1}'),
    ("PUT", "/health", [], b"x"),
    ("PUT", "/nope", [], b""),
    ("PATCH", "/", [], b""),
    ("DELETE", "/", [], b""),
    ("DELETE", "/health", [], b""),
    ("DELETE", "/nope", [], b""),
    ("DELETE", "/health/", [], b""),
    ("OPTIONS", "/", [], b""),
    ("OPTIONS", "/health", [], b""),
    ("OPTIONS", "/nope", [], b""),
    ("OPTIONS", "/health/", [], b""),
    ("OPTIONS", "/", ["Origin: http://a.test", "Access-Control-Request-Method: POST"], b""),
    ("TRACE", "/health", [], b""),
    ("GET", "/health", [], b"a body nobody asked for"),
    ("GET", "/", ["Content-Type: application/json"], b'{"a": 1}'),
    ("GET", "/health", ["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
    ("POST", "/nope", ["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
    ("GET", "/health", ["Accept: text/html"], b""),
    ("GET", "/health", ["Accept-Encoding: gzip"], b""),
    ("GET", "/health", ["Range: bytes=0-3"], b""),
    ("GET", "/health", ["If-None-Match: *"], b""),
    ("GET", "/health", ["Authorization: Bearer abc"], b""),
    ("GET", "/health/", ["X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test"], b""),
]


def raw_request(method, target, headers, body):
    lines = [f"{method} {target} HTTP/1.1", HOST, "Connection: close", *headers]
    if body and not any(line.lower().startswith("transfer-encoding") for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ask(port, request):
    """The status, the compared headers and the body, with nothing taken for granted but the blank line."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as s:
        s.sendall(request)
        while piece := s.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    seen = {name: headers[name] for name in COMPARED if name in headers}
    if "location" in seen:
        seen["location"] = re.sub(r"^http://lesson:8000", "", seen["location"])
    return {"status": int(status.split()[1]), "headers": seen, "body": body}


def start_service(model):
    # Of X-Forwarded headers uvicorn believes those from loopback alone, where no client of a container is.
    command = [sys.executable, "-m", "uvicorn", "fastapi_service:app", "--host", "127.0.0.1", "--port", "0",
               "--no-proxy-headers"]
    environment = {**os.environ, "LESSON_MODEL": model}
    return Server(command, rb"running on http://127\.0\.0\.1:(\d+)", stderr=subprocess.STDOUT, cwd=HERE, env=environment)


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def note(self, right, what):
        self.passed += right
        self.failed += not right
        print(f"{'ok' if right else 'FAILED'}: {what}")


def compare(tally, service, berth, what, requests):
    for request in requests:
        raw = raw_request(*request)
        expected, got = ask(service.port, raw), ask(berth.port, raw)
        line = f"{what}: {request[0]} {request[1]} {' '.join(request[2])}".rstrip()
        tally.note(expected == got, line)
        if expected != got:
            print(f"  the service: {expected}\n  berth:       {got}")


def check_openapi(tally, berth):
    from openapi_spec_validator import OpenAPIV31SpecValidator

    spec = json.loads(ask(berth.port, raw_request("GET", "/openapi.json", [], b""))["body"])
    wrong = list(OpenAPIV31SpecValidator(spec).iter_errors())
    for error in wrong:
        print(f"  {'/'.join(str(part) for part in error.absolute_path)}: {error.message[:300]}")
    tally.note(not wrong, "/openapi.json is valid OpenAPI 3.1")
    broken = {**spec, "info": {}}
    tally.note(bool(list(OpenAPIV31SpecValidator(broken).iter_errors())), "the validator finds what is wrong")


def main():
    program = os.path.abspath(sys.argv[1])
    tally = Tally()
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as full:
        model = os.path.join(full, "model.bin")
        with open(model, "wb") as f:
            f.write(b"dummy model data\n")
        for what, models, requests in (("a model", full, REQUESTS), ("no model", empty, REQUESTS[:2])):
            service = start_service(os.path.join(models, "model.bin"))
            berth = Berth(program, models)
            berth.wait_until_ready("/health")
            compare(tally, service, berth, what, requests)
            if models == full:
                check_openapi(tally, berth)
            service.stop()
            tally.note(berth.stop() == 0, f"{what}: berth ends with 0")
    print(f"{tally.passed} passed, {tally.failed} failed, 0 skipped")
    return 1 if tally.failed else 0


sys.exit(main())
