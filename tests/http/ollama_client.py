"""Talks to berth with Ollama's Python client and with LiteLLM: what they ask, and understand.

The models recite, so every answer is known.
"""

import os
import sys
import tempfile

import ollama

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from reciting import ALPHABET, write_model  # noqa: E402
from rig import DEADLINE, Berth, run_tests  # noqa: E402

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it fetches a list of prices

import litellm  # noqa: E402

KEY = "the-key"
MESSAGES = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hello"}]
TEMPLATE = (
    "{# <tool_call><think> #}{{ tools }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:\n{{ '' }}"
)
CALL = (
    '<think>\nHm.\n</think>\n\n<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "days": 3}}\n</tool_call>'
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}

# ---- Ollama's client ----


def test_a_chat_is_answered_whole(client):
    answer = client.chat("tiny", messages=MESSAGES)
    assert answer.message.content == ALPHABET
    assert answer.done and answer.done_reason == "stop"
    assert answer.eval_count == 28 and answer.eval_duration > 0


def test_a_chat_is_streamed(client):
    parts = list(client.chat("tiny:latest", messages=MESSAGES, stream=True, options={"num_predict": 4}))
    assert "".join(p.message.content for p in parts) == "abcd"
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].done_reason == "length"


def test_a_prompt_is_answered(client):
    assert client.generate("tiny", "Hello").response == ALPHABET
    said = client.generate("tiny", "xyz", raw=True, options=ollama.Options(temperature=0, top_k=1), stream=True)
    assert "".join(p.response for p in said) == "."
    assert client.generate("tiny").done_reason == "load"
    assert client.generate("tiny", keep_alive=0).done_reason == "unload"


def test_log_probabilities_are_the_client_s(client):
    answer = client.chat("tiny", messages=MESSAGES, logprobs=True, top_logprobs=2, options={"num_predict": 2})
    assert [t.token for t in answer.logprobs] == ["a", "b"]
    assert len(answer.logprobs[0].top_logprobs) == 2


def test_tools_are_called(client):
    answer = client.chat("caller", messages=MESSAGES, tools=[WEATHER])
    (call,) = answer.message.tool_calls
    assert call.function.name == "weather"
    assert call.function.arguments == {"city": "Rome", "days": 3}
    assert answer.message.thinking == "Hm."
    more = [*MESSAGES, answer.message, {"role": "tool", "tool_name": "weather", "content": "Sun"}]
    parts = list(client.chat("caller", messages=more, tools=[WEATHER], stream=True))
    calls = [c for p in parts for c in p.message.tool_calls or []]
    assert [c.function.arguments["city"] for c in calls] == ["Rome"]


def test_a_format_is_kept_to(client):
    schema = {"type": "object", "properties": {"n": {"type": "boolean"}}, "required": ["n"], "additionalProperties": False}
    assert '"n"' in client.generate("json", "x", format=schema).response
    assert client.chat("json", messages=MESSAGES, format="json", think=False).message.content == '{"n": true}'


def test_models_are_listed_and_shown(client):
    models = {m.model: m for m in client.list().models}
    assert sorted(models) == ["caller:latest", "json:latest", "tiny:latest"]
    assert models["tiny:latest"].details.family == "llama"
    assert len(models["tiny:latest"].digest) == 64
    shown = client.show("caller")
    assert {"completion", "tools", "thinking"} <= set(shown.capabilities)
    assert shown.modelinfo["llama.context_length"] == 512
    assert {m.context_length for m in client.ps().models} == {512}


def test_errors_have_their_status(client):
    assert raises(lambda: client.chat("none", messages=MESSAGES)).status_code == 404
    assert raises(lambda: list(client.chat("none", messages=MESSAGES, stream=True))).status_code == 404
    assert raises(lambda: client.pull("tiny")).status_code == 403
    assert raises(lambda: client.delete("tiny")).status_code == 403
    assert raises(lambda: client.embed("tiny", "x")).status_code == 403
    e = raises(lambda: client.generate("tiny", "x", template="{{ .Prompt }}"))
    assert e.status_code == 400 and "'template'" in e.error


def raises(call):
    try:
        call()
    except ollama.ResponseError as e:
        return e
    raise AssertionError("no error")


# ---- LiteLLM ----


def ask(client, model, **more):
    base = client._client.base_url
    base = f"{base}/v1" if model.startswith("openai/") else str(base)
    return litellm.completion(model=model, messages=MESSAGES, api_base=str(base), api_key=KEY, timeout=DEADLINE, **more)


def test_litellm_speaks_to_each_api(client):
    for model in ("ollama_chat/tiny", "ollama/tiny", "openai/tiny"):
        assert ask(client, model).choices[0].message.content == ALPHABET, model
        said = ask(client, model, stream=True, max_tokens=4)
        assert "".join(c.choices[0].delta.content or "" for c in said) == "abcd", model


def test_litellm_calls_tools(client):
    for model in ("ollama_chat/caller", "openai/caller"):
        answer = ask(client, model, tools=[WEATHER])
        assert answer.choices[0].message.tool_calls[0].function.name == "weather", model
        assert "Rome" in answer.choices[0].message.tool_calls[0].function.arguments, model


# ---- the server ----


def start(berth, directory):
    models = os.path.join(directory, "models")
    os.mkdir(models)
    write_model(os.path.join(models, "tiny.gguf"), context=512)
    write_model(os.path.join(models, "caller.gguf"), CALL, context=512, template=TEMPLATE)
    write_model(os.path.join(models, "json.gguf"), '{"n": true}', context=512)
    with open(os.path.join(directory, "keys"), "w") as f:
        f.write(KEY + "\n")
    server = Berth(berth, models, "--api-key-file", os.path.join(directory, "keys"))
    server.wait_until_ready("/readyz")
    return server


def main():
    with tempfile.TemporaryDirectory() as directory:
        server = start(sys.argv[1], directory)
        client = ollama.Client(
            f"http://127.0.0.1:{server.port}", headers={"Authorization": f"Bearer {KEY}"}, timeout=DEADLINE
        )
        for name in ("tiny", "caller", "json"):
            client.show(name)  # each is open then
        run_tests(globals(), lambda test: test(client), server)


main()
