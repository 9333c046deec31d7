"""LiteLLM: completions with tools, streams, structured output, by the providers that people name for such a server."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it fetches a list of prices

import litellm  # noqa: E402
from pydantic import BaseModel  # noqa: E402
from reciting import ALPHABET  # noqa: E402
from served import AFTER_SUN, ROME, SUN, THOUGHT  # noqa: E402

litellm.suppress_debug_info = True
ASK = [{"role": "user", "content": "What is the weather in Rome?"}]
PROVIDERS = ("openai", "hosted_vllm", "lm_studio", "llamafile")
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of the next days",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}


class Person(BaseModel):
    name: str
    age: int


def ask(served, model, messages=None, **more):
    key = more.pop("api_key", served.key)
    return litellm.completion(
        model=model, messages=messages or list(ASK), api_base=served.base, api_key=key, max_retries=0, **more
    )


def test_litellm_speaks_by_each_provider(served):
    for provider in PROVIDERS:
        answer = ask(served, f"{provider}/tiny")
        assert answer.choices[0].message.content == ALPHABET, provider
        assert answer.choices[0].finish_reason == "stop", provider
        assert answer.usage.completion_tokens == 28, provider


def test_litellm_streams_by_each_provider(served):
    for provider in PROVIDERS:
        parts = list(ask(served, f"{provider}/tiny", stream=True, stream_options={"include_usage": True}))
        assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == ALPHABET, provider
        assert [p.usage.completion_tokens for p in parts if getattr(p, "usage", None)] == [28], provider
        assert litellm.stream_chunk_builder(parts).choices[0].message.content == ALPHABET, provider


def test_litellm_answers_with_the_result_of_a_tool(served):
    for provider in PROVIDERS:
        model = f"{provider}/caller"
        answer = ask(served, model, tools=[WEATHER], tool_choice="auto")
        (call,) = answer.choices[0].message.tool_calls
        assert (call.function.name, call.function.arguments) == ("weather", ROME), provider
        assert answer.choices[0].finish_reason == "tool_calls", provider
        result = {"role": "tool", "tool_call_id": call.id, "name": "weather", "content": SUN}
        answer = ask(served, model, [*ASK, answer.choices[0].message, result], tools=[WEATHER])
        assert answer.choices[0].message.content == AFTER_SUN, provider


def test_litellm_streams_calls(served):
    for name, cities in (("talker", ["Rome"]), ("twice", ["Rome", "Oslo"])):
        parts = list(ask(served, f"openai/{name}", tools=[WEATHER], stream=True))
        message = litellm.stream_chunk_builder(parts, messages=ASK).choices[0].message
        wanted = [ROME.replace("Rome", city) for city in cities]
        assert [c.function.arguments for c in message.tool_calls] == wanted, name
        assert [c.function.name for c in message.tool_calls] == ["weather"] * len(cities), name
        assert parts[-1].choices[0].finish_reason == "tool_calls", name


def test_litellm_makes_a_model_call(served):
    """The model wants to say letters."""
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        answer = ask(served, "openai/tiny", tools=[WEATHER], tool_choice=choice, max_tokens=2000)
        assert answer.choices[0].message.tool_calls[0].function.name == "weather", choice


def test_litellm_gets_a_response_format(served):
    forms = {"the class": Person, "json_object": {"type": "json_object"}}
    forms["json_schema"] = {
        "type": "json_schema",
        "json_schema": {"name": "person", "schema": Person.model_json_schema(), "strict": False},
    }
    for provider in ("openai", "hosted_vllm"):
        for what, form in forms.items():
            answer = ask(served, f"{provider}/person", response_format=form)
            got = Person.model_validate_json(answer.choices[0].message.content)
            assert got == Person(name="Ada", age=36), (provider, what)


def test_litellm_gets_reasoning(served):
    for provider in PROVIDERS:
        message = ask(served, f"{provider}/thinker").choices[0].message
        assert (message.reasoning_content, message.content) == (THOUGHT, ALPHABET), provider
        parts = [p.choices[0].delta for p in ask(served, f"{provider}/thinker", stream=True) if p.choices]
        assert "".join(getattr(d, "reasoning_content", None) or "" for d in parts) == THOUGHT, provider
        assert "".join(d.content or "" for d in parts) == ALPHABET, provider


async def test_litellm_asks_asynchronously(served):
    answer = await litellm.acompletion(
        model="openai/tiny", messages=ASK, api_base=served.base, api_key=served.key, stream=True
    )
    assert "".join([p.choices[0].delta.content or "" async for p in answer]) == ALPHABET


def test_litellm_completes_text(served):
    answer = litellm.text_completion(
        model="text-completion-openai/tiny", prompt="xy", api_base=served.base, api_key=served.key
    )
    assert answer.choices[0].text == "z."


def test_litellm_knows_the_errors(served):
    for wanted, model, more in (
        (litellm.AuthenticationError, "openai/tiny", {"api_key": "another"}),
        (litellm.NotFoundError, "openai/none", {}),
        (litellm.BadRequestError, "openai/tiny", {"top_p": 7}),
        (litellm.ContextWindowExceededError, "openai/tiny", {"messages": [{"role": "user", "content": "a" * 20000}]}),
    ):
        try:
            ask(served, model, **more)
        except wanted:
            continue
        raise AssertionError(f"no {wanted.__name__}")


def test_litellm_uses_responses(served):
    answer = litellm.responses(model="openai/tiny", input="Hello", api_base=served.base, api_key=served.key)
    assert answer.output[-1].content[0].text == ALPHABET
    assert answer.usage.output_tokens == 28
    events = list(
        litellm.responses(
            model="openai/tiny", input="Hello", api_base=served.base, api_key=served.key, stream=True
        )
    )
    said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert said == ALPHABET and events[-1].type == "response.completed"
    answer = ask(served, "openai/responses/caller", tools=[WEATHER])
    assert answer.choices[0].message.tool_calls[0].function.arguments == ROME


test_litellm_uses_responses.route = "/v1/responses"
