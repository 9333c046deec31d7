"""Talks to berth with Anthropic's official client, and with OpenAI's for its Responses API.

One model recites the alphabet, the other reasons, says a sentence and calls a tool.
"""

import asyncio
import os
import sys
import tempfile

import anthropic
import openai
from pydantic import BaseModel

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from reciting import write_model  # noqa: E402
from rig import DEADLINE, Berth  # noqa: E402

ALPHABET = "abcdefghijklmnopqrstuvwxyz."
TEMPLATE = (
    "{# <tool_call><think> #}{% if tools %}{{ tools }}{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}"
    "{% for c in m.tool_calls %}{{ c }}{% endfor %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{{ '\\n' }}{% endif %}"
)
RECITAL = (
    "<think>\nHm, Rome.\n</think>\n\nI look.\n"
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
)
MESSAGES = [{"role": "user", "content": "Hello"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"name": "weather", "description": "Tells the weather", "input_schema": SCHEMA}
FUNCTION = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}


class Answer(BaseModel):
    good: bool


# ---- Anthropic's client ----


def test_a_message_is_created(client: anthropic.Anthropic):
    m = client.messages.create(model="letters", max_tokens=100, system="Be brief", messages=MESSAGES)
    assert m.content[0].text == ALPHABET and m.stop_reason == "end_turn" and m.role == "assistant"
    assert m.usage.output_tokens == 28 and m.usage.input_tokens + m.usage.cache_read_input_tokens > 20
    m = client.messages.create(model="letters", max_tokens=100, messages=MESSAGES, stop_sequences=["de"])
    assert (m.content[0].text, m.stop_reason, m.stop_sequence) == ("abc", "stop_sequence", "de")


def test_a_message_has_thinking_and_calls(client: anthropic.Anthropic):
    m = client.messages.create(
        model="agent",
        max_tokens=2000,
        messages=MESSAGES,
        tools=[TOOL, {"type": "web_search_20250305", "name": "web_search"}],
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    thinking, said, call = m.content
    assert thinking.type == "thinking" and thinking.thinking == "Hm, Rome."
    assert said.text == "I look." and call.name == "weather" and call.input == {"city": "Rome"}
    assert m.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    turns = [*MESSAGES, {"role": "assistant", "content": m.content}, {"role": "user", "content": [result]}]
    more = client.messages.create(model="agent", max_tokens=2000, messages=turns, tools=[TOOL])
    assert more.content[1].text == "I look." and more.usage.cache_read_input_tokens > 0


def test_a_message_is_streamed(client: anthropic.Anthropic):
    with client.messages.stream(model="letters", max_tokens=100, messages=MESSAGES) as stream:
        assert "".join(stream.text_stream) == ALPHABET
        assert stream.get_final_message().usage.output_tokens == 28


def test_calls_and_thinking_are_streamed(client: anthropic.Anthropic):
    kinds = []
    with client.messages.stream(model="agent", max_tokens=2000, messages=MESSAGES, tools=[TOOL]) as stream:
        for event in stream:
            kinds.append(event.type)
        m = stream.get_final_message()
    assert [b.type for b in m.content] == ["thinking", "text", "tool_use"]
    assert m.content[2].input == {"city": "Rome"} and m.stop_reason == "tool_use"
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop" and "thinking" in kinds and "input_json" in kinds


def test_a_message_is_parsed(client: anthropic.Anthropic):
    m = client.messages.parse(model="letters", max_tokens=100, messages=MESSAGES, output_format=Answer)
    assert isinstance(m.parsed_output, Answer)


def test_tokens_are_counted(client: anthropic.Anthropic):
    n = client.messages.count_tokens(model="letters", messages=MESSAGES).input_tokens
    m = client.messages.create(model="letters", max_tokens=1, messages=MESSAGES)
    assert n == m.usage.input_tokens + m.usage.cache_read_input_tokens


def test_models_are_listed(client: anthropic.Anthropic):
    assert sorted(m.id for m in client.models.list()) == ["agent", "letters"]
    assert client.models.retrieve("letters").created_at.year >= 2020


def test_errors_have_their_types(client: anthropic.Anthropic):
    for fields, kind in (
        ({"model": "unheard"}, anthropic.NotFoundError),
        ({"temperature": 9}, anthropic.BadRequestError),
    ):
        try:
            client.messages.create(
                **{"model": "letters", "max_tokens": 5, "messages": MESSAGES}, extra_body=fields
            )
            raise AssertionError(f"{fields} is not refused")
        except kind as e:
            assert e.body["type"] == "error" and e.body["request_id"]
    try:
        anthropic.Anthropic(base_url=str(client.base_url), api_key="wrong", max_retries=0).models.list()
        raise AssertionError("a wrong key is taken")
    except anthropic.AuthenticationError:
        pass


async def test_many_messages_are_streamed_at_once(client: anthropic.AsyncAnthropic):
    async def one():
        async with client.messages.stream(model="letters", max_tokens=100, messages=MESSAGES) as stream:
            return "".join([piece async for piece in stream.text_stream])

    assert set(await asyncio.gather(*[one() for _ in range(8)])) == {ALPHABET}


# ---- OpenAI's client ----


def test_a_response_is_created(client: openai.OpenAI):
    r = client.responses.create(model="letters", input="Hello", instructions="Be brief", metadata={"a": "b"})
    assert r.output_text == ALPHABET and r.status == "completed" and r.metadata == {"a": "b"}
    assert r.usage.output_tokens == 28 and r.usage.input_tokens_details.cached_tokens >= 0
    r = client.responses.create(model="letters", input="Hello", max_output_tokens=3)
    assert (r.output_text, r.status, r.incomplete_details.reason) == ("abc", "incomplete", "max_output_tokens")


def test_a_response_has_reasoning_and_calls(client: openai.OpenAI):
    r = client.responses.create(model="agent", input="Hello", tools=[FUNCTION, {"type": "web_search"}])
    reasoning, said, call = r.output
    assert reasoning.content[0].text == "Hm, Rome." and said.content[0].text == "I look."
    assert call.name == "weather" and call.arguments == '{"city": "Rome"}'
    turns = [{"role": "user", "content": "Hello"}, *r.output]
    turns.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    more = client.responses.create(model="agent", input=turns, tools=[FUNCTION])
    assert more.output_text == "I look." and more.usage.input_tokens_details.cached_tokens > 0


def test_a_response_is_streamed(client: openai.OpenAI):
    kinds, said = [], ""
    with client.responses.stream(model="agent", input="Hello", tools=[FUNCTION]) as stream:
        for n, event in enumerate(stream):
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                said += event.delta
        final = stream.get_final_response()
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    assert "response.reasoning_text.delta" in kinds and "response.function_call_arguments.done" in kinds
    assert said == final.output_text == "I look." and final.output[2].arguments == '{"city": "Rome"}'


def test_raw_events_are_numbered(client: openai.OpenAI):
    events = list(client.responses.create(model="letters", input="Hello", stream=True, top_logprobs=1))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[-1].response.output_text == ALPHABET
    assert len(events[-1].response.output[0].content[0].logprobs) == 27


def test_a_response_is_parsed(client: openai.OpenAI):
    r = client.responses.parse(model="letters", input="Hello", text_format=Answer)
    assert isinstance(r.output_parsed, Answer)


def test_input_tokens_are_counted(client: openai.OpenAI):
    n = client.responses.input_tokens.count(model="letters", input="Hello").input_tokens
    assert n == client.responses.create(model="letters", input="Hello").usage.input_tokens


def test_a_response_goes_on_from_another(client: openai.OpenAI):
    first = client.responses.create(model="agent", input="Hello", instructions="Be brief", tools=[FUNCTION])
    result = {"type": "function_call_output", "call_id": first.output[2].call_id, "output": "sunny"}
    turn = {"model": "agent", "tools": [FUNCTION], "input": [result]}
    more = client.responses.create(**turn, previous_response_id=first.id)
    assert first.to_dict()["store"] and more.previous_response_id == first.id and more.output_text == "I look."
    whole = [{"role": "user", "content": "Hello"}, *first.output, result]
    assert more.usage.input_tokens == client.responses.input_tokens.count(**{**turn, "input": whole}).input_tokens
    references = [{"type": "item_reference", "id": item.id} for item in first.output]
    turn["input"] = [whole[0], *references, result]
    assert more.usage.input_tokens == client.responses.input_tokens.count(**turn).input_tokens
    with client.responses.stream(model="letters", input="More", previous_response_id=more.id) as stream:
        last = stream.until_done().get_final_response()
    whole += [*more.output, {"role": "user", "content": "More"}]
    assert last.output_text == ALPHABET
    assert last.usage.input_tokens == client.responses.input_tokens.count(model="letters", input=whole).input_tokens
    assert client.responses.retrieve(last.id).output_text == ALPHABET


def test_kept_responses_are_read_and_deleted(client: openai.OpenAI):
    first = client.responses.create(model="letters", input="Hello")
    more = client.responses.create(model="letters", input="More", previous_response_id=first.id)
    assert client.responses.retrieve(first.id) == first
    items = list(client.responses.input_items.list(more.id, limit=1, order="asc"))
    assert [i.role for i in items] == ["user", "assistant", "user"] and items[2].content[0].text == "More"
    client.responses.delete(first.id)
    unkept = client.responses.create(model="letters", input="Hello", store=False)
    for missing in (first.id, unkept.id, "resp_1"):
        try:
            client.responses.retrieve(missing)
            raise AssertionError(f"{missing} is found")
        except openai.NotFoundError:
            pass
        try:
            client.responses.create(model="letters", input="Hello", previous_response_id=missing)
            raise AssertionError(f"{missing} is gone on from")
        except openai.BadRequestError as e:
            assert e.param == "previous_response_id" and e.code == "previous_response_not_found"
    assert client.responses.create(model="letters", input="x", previous_response_id=more.id).output_text == ALPHABET


def test_conversations_are_not_compacted(client: openai.OpenAI):
    try:
        client.responses.compact(model="letters", input="Hello")
        raise AssertionError("a conversation is compacted")
    except openai.NotFoundError as e:
        assert e.code == "unsupported_endpoint"


async def test_many_responses_are_streamed_at_once(client: openai.AsyncOpenAI):
    async def one():
        stream = await client.responses.create(model="letters", input="Hello", stream=True)
        return "".join([e.delta async for e in stream if e.type == "response.output_text.delta"])

    assert set(await asyncio.gather(*[one() for _ in range(8)])) == {ALPHABET}


# ---- the server ----


def start(berth, directory):
    models = os.path.join(directory, "models")
    os.mkdir(models)
    write_model(os.path.join(models, "letters.gguf"), context=4096)
    write_model(os.path.join(models, "agent.gguf"), RECITAL, context=16384, template=TEMPLATE)
    with open(os.path.join(directory, "keys"), "w") as f:
        f.write("the-key\n")
    server = Berth(berth, models, "--api-key-file", os.path.join(directory, "keys"), "--store", "16M")
    server.wait_until_ready("/readyz")
    return server


def run(test, root):
    """Gives the test the client that its parameter names."""
    kind = test.__annotations__["client"]
    base = root if kind.__module__.startswith("anthropic") else root + "/v1"
    client = kind(base_url=base, api_key="the-key", timeout=DEADLINE, max_retries=3)
    if asyncio.iscoroutinefunction(test):

        async def body():
            async with client:
                await test(client)

        asyncio.run(body())
    else:
        with client:
            test(client)


def main():
    passed = failed = 0
    with tempfile.TemporaryDirectory() as directory:
        server = start(sys.argv[1], directory)
        try:
            for name, test in list(globals().items()):
                if not name.startswith("test_"):
                    continue
                try:
                    run(test, f"http://127.0.0.1:{server.port}")
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


main()
