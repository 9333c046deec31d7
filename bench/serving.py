"""serving.py: starts a server, berth or the peer, on a free port, sends it requests and stops it."""
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

from measure import BERTH, Failed, SEEN, SERVER, THREADS

START_SECONDS = 120
PORTS = range(12000, 20000) # below those that the kernel gives to clients: none can connect to itself


def ids(n, seed):
    """Token ids that every measured model has, the same in every run."""
    draw = random.Random(seed)
    return [draw.randrange(10, 31990) for _ in range(n)]


def free_port():
    for port in random.sample(PORTS, 50):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failed("no port is free")


class Server:
    """From exec to the first 200 of its health route: `seconds`. Use it by `with`, which stops it."""

    def __init__(self, command, health, route, more):
        self.route, self.more, self.port = route, more, free_port()
        begin = time.monotonic()
        try:
            self.process = subprocess.Popen([*command, "--port", str(self.port)], stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
        except OSError as why:
            raise Failed("%s: %s" % (command[0], why.strerror)) from why
        while not self.answers_200(health):
            if self.process.poll() is not None or time.monotonic() - begin > START_SECONDS:
                self.stop()
                raise Failed("%s did not start" % " ".join(command))
            time.sleep(0.0005)
        self.seconds = time.monotonic() - begin
        self.begin = begin

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def answers_200(self, path):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.2) as s:
                s.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path).encode())
                return s.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def private_bytes(self):
        """The private memory of the process, without pages of files."""
        with open("/proc/%d/smaps_rollup" % self.process.pid, encoding="ascii") as f:
            return 1024 * sum(int(line.split()[1]) for line in f if line.startswith("Private_Dirty"))

    def get(self, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            c.request("POST" if body else "GET", path, body and json.dumps(body),
                      {"content-type": "application/json"} if body else {})
            answer = c.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as why:
            raise Failed("%s: %s" % (path, why)) from why
        finally:
            c.close()
        if answer.status != 200:
            raise Failed("%s: %d: %s" % (path, answer.status, text[:300]))
        return text

    def ask(self, prompt, new, on_token=None, leave=None):
        """Has `new` tokens written. `on_token` is called with their count so far; when the event `leave` is set, the
        client leaves."""
        # Greedy: sampled tokens are of any script, and a character of several tokens comes in one event.
        body = {"prompt": prompt, "stream": True, "temperature": 0, "ignore_eos": True, **self.more}
        body["max_tokens" if self.route.startswith("/v1") else "n_predict"] = new
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        came = Came()
        try:
            c.request("POST", self.route, json.dumps(body), {"content-type": "application/json"})
            answer = c.getresponse()
            if answer.status != 200:
                raise Failed("%s: %d: %s" % (self.route, answer.status, answer.read()[:300].decode()))
            for line in answer:
                if leave and leave.is_set():
                    break
                if line.startswith(b"data: {") and came.take(json.loads(line[6:])) and on_token:
                    on_token(came.tokens())
        except (OSError, http.client.HTTPException) as why:
            if not (leave and leave.is_set()):
                raise Failed("%s: %s" % (self.route, why)) from why
        finally:
            c.close()
        if came.tokens() != new and not (leave and leave.is_set()):
            raise Failed("%s: %d tokens came of %d" % (self.route, came.tokens(), new))
        return came


class Came:
    """An answer as it came, berth's or llama-server's: `at`, when the request was sent and when each token was there;
    `cached`, how many tokens of the prompt the server says it need not read again.

    llama-server holds back tokens until they are whole characters, and never shows the ids of those: its events tell
    how many have been written. Tokens that one event brings were there when it came, all of them."""

    def __init__(self):
        self.at = [time.monotonic()]
        self.cached = None

    def tokens(self):
        return len(self.at) - 1

    def take(self, event):
        """True when the event brings a token."""
        now = time.monotonic()
        if "timings" in event:
            new, self.cached = event["timings"]["predicted_n"] - self.tokens(), event["timings"]["cache_n"]
        elif event.get("usage"):
            new, self.cached = 0, event["usage"]["prompt_tokens_details"]["cached_tokens"]
        elif "content" in event:
            raise Failed("llama-server does not tell with each event how many tokens it has written")
        else:
            new = sum(len(choice.get("token_ids") or []) for choice in event.get("choices", []))
        self.at += [now] * new
        return new > 0


def berth(path, *more):
    command = [BERTH, "serve", "--models", path, "--host", "127.0.0.1", "--threads", THREADS, "--log-level", "error"]
    return Server([*command, *more], "/readyz", "/v1/completions",
                  {"return_token_ids": True, "stream_options": {"include_usage": True}})


def llama(file, *more):
    command = [*SERVER, "-m", os.path.join(SEEN, file), "-t", THREADS, "--host", "127.0.0.1"]
    return Server([*command, *more], "/health", "/completion", {"cache_prompt": True, "timings_per_token": True})


def together(jobs):
    """Runs functions at the same time and returns their results. Raises the exception of the first one that failed."""
    results, failed = [None] * len(jobs), []

    def run(i):
        try:
            results[i] = jobs[i]()
        except Exception as why: # pylint: disable=broad-exception-caught # raised again below
            failed.append(why)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(jobs))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failed:
        raise failed[0]
    return results
