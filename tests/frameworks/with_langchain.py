"""langchain-openai: tools, structured output, streams."""

import datetime
import uuid
from typing import Annotated, Literal

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field
from reciting import ALPHABET
from served import AFTER_SUN, SUN

ASK = "What is the weather in Rome?"
ARGUMENTS = {"city": "Rome", "days": 3}


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    breed: Annotated[str, Field(min_length=2, max_length=5)] | None


class Node(BaseModel):
    """A model that refers to itself. In a tool, LangChain leaves the schema of the inner node out."""

    value: Annotated[int, Field(multiple_of=5, ge=0, le=50)]
    children: list["Node"] = Field(max_length=2)


class Everything(BaseModel):
    """The kinds of fields that people write."""

    pet: Cat | Dog
    told: Annotated[Cat | Dog, Field(discriminator="kind")]
    pets: list[Dog] = Field(min_length=1, max_length=2)
    at: datetime.datetime
    id: uuid.UUID
    share: Annotated[float, Field(gt=0, lt=1)]
    plate: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{3}$")]
    pair: tuple[bool, Literal["a", 3]]


ADA = Person(name="Ada", age=36)


@tool
def weather(city: str, days: int) -> str:
    """The weather of the next days."""
    return SUN


@tool
def draw(suit: Literal["clubs", "hearts"], number: Annotated[int, Field(ge=1, le=13)]) -> str:
    """Draws a card."""
    return SUN


def model_of(served, model, **more):
    return ChatOpenAI(model=model, base_url=served.base, api_key=served.key, max_retries=0, **more)


def test_langchain_answers_whole(served):
    answer = model_of(served, "tiny").invoke(ASK)
    assert answer.content == ALPHABET
    assert answer.usage_metadata["output_tokens"] == 28
    assert answer.response_metadata["finish_reason"] == "stop"


def test_langchain_streams(served):
    whole = None
    parts = list(model_of(served, "tiny", stream_usage=True).stream(ASK))
    for part in parts:
        whole = part if whole is None else whole + part
    assert whole.content == ALPHABET and len(parts) > 3
    assert whole.usage_metadata["output_tokens"] == 28


async def test_langchain_streams_asynchronously(served):
    parts = [part.content async for part in model_of(served, "tiny").astream(ASK)]
    assert "".join(parts) == ALPHABET


def test_langchain_answers_with_the_result_of_a_tool(served):
    model = model_of(served, "talker").bind_tools([weather])
    answer = model.invoke(ASK)
    assert answer.content.strip() == "I look."
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("weather", ARGUMENTS)
    result = weather.invoke(call)
    assert isinstance(result, ToolMessage)
    assert model.invoke([HumanMessage(ASK), answer, result]).content == AFTER_SUN


def test_langchain_streams_calls(served):
    for name, cities in (("talker", ["Rome"]), ("twice", ["Rome", "Oslo"])):
        whole = None
        for part in model_of(served, name).bind_tools([weather]).stream(ASK):
            whole = part if whole is None else whole + part
        assert [c["args"] for c in whole.tool_calls] == [{**ARGUMENTS, "city": city} for city in cities], name
        assert len({c["id"] for c in whole.tool_calls}) == len(cities), name
        assert not whole.invalid_tool_calls, name


def test_langchain_makes_a_model_call(served):
    """The model wants to say letters."""
    for choice in ("draw", "any"):
        model = model_of(served, "tiny", max_tokens=2000).bind_tools(
            [draw], tool_choice=choice, parallel_tool_calls=False
        )
        (call,) = model.invoke(ASK).tool_calls
        assert call["name"] == "draw" and call["args"]["suit"] in ("clubs", "hearts"), call
        assert 1 <= call["args"]["number"] <= 13, call
    answer = model_of(served, "twice").bind_tools([weather], parallel_tool_calls=False).invoke(ASK)
    assert len(answer.tool_calls) == 1
    answer = model_of(served, "caller").bind_tools([weather], strict=True).invoke(ASK)
    assert answer.tool_calls[0]["args"] == ARGUMENTS


def test_langchain_gets_structured_output(served):
    for method, model in (
        ("json_schema", "person"),
        ("function_calling", "person-caller"),
        ("json_mode", "person"),
        ("json_schema", "thinking-person"),
    ):
        asked = model_of(served, model).with_structured_output(Person, method=method)
        assert asked.invoke("Who? Say it as JSON.") == ADA, (method, model)


def test_langchain_holds_any_model_to_the_form(served):
    """The model wants to say letters."""
    for seed in range(3):
        for method, kind in (("json_schema", Everything), ("function_calling", Everything), ("json_schema", Node)):
            model = model_of(served, "tiny", max_tokens=4000, seed=seed)
            got = model.with_structured_output(kind, method=method).invoke("What?")
            assert isinstance(got, kind), (method, kind, seed)


def test_langchain_knows_an_answer_that_is_cut_short(served):
    asked = model_of(served, "person", max_tokens=3).with_structured_output(Person, method="json_schema")
    try:
        got = asked.invoke("Who?")
    except openai.LengthFinishReasonError:
        return
    raise AssertionError(got)


def test_langchain_streams_structured_output(served):
    for method, model in (("json_schema", "person"), ("function_calling", "person-caller")):
        asked = model_of(served, model).with_structured_output(Person, method=method)
        assert list(asked.stream("Who?"))[-1] == ADA, method


def test_langchain_gets_output_of_a_plain_schema_with_the_raw_answer(served):
    schema = {"title": "Person", "description": "Somebody", **Person.model_json_schema(), "additionalProperties": False}
    asked = model_of(served, "person").with_structured_output(
        schema, method="json_schema", strict=True, include_raw=True
    )
    answer = asked.invoke("Who?")
    assert answer["parsed"] == {"name": "Ada", "age": 36} and answer["parsing_error"] is None
    assert answer["raw"].usage_metadata["output_tokens"] > 0


def test_langchain_gets_log_probabilities(served):
    answer = model_of(served, "tiny", max_tokens=3).bind(logprobs=True, top_logprobs=2).invoke(ASK)
    assert [t["token"] for t in answer.response_metadata["logprobs"]["content"]] == ["a", "b", "c"]


def test_langchain_uses_responses(served):
    model = model_of(served, "talker", use_responses_api=True)
    answer = model.bind_tools([weather]).invoke(ASK)
    assert answer.tool_calls[0]["args"] == ARGUMENTS
    assert model.invoke([HumanMessage(ASK), answer, weather.invoke(answer.tool_calls[0])]).text == AFTER_SUN
    whole = None
    for part in model_of(served, "tiny", use_responses_api=True).stream(ASK):
        whole = part if whole is None else whole + part
    assert whole.text == ALPHABET and whole.usage_metadata["output_tokens"] == 28
    asked = model_of(served, "person", use_responses_api=True).with_structured_output(Person, method="json_schema")
    assert asked.invoke("Who?") == ADA


test_langchain_uses_responses.route = "/v1/responses"
