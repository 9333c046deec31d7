"""instructor: structured output through tools and through JSON."""

from collections.abc import Iterable
from typing import Literal

import instructor
import openai
from instructor import Mode
from instructor.core.exceptions import IncompleteOutputException
from pydantic import BaseModel, Field, field_validator

ASK = [{"role": "user", "content": "Who wrote it?"}]


class Person(BaseModel):
    name: str
    age: int


class Child(Person):
    @field_validator("age")
    @classmethod
    def is_young(cls, age):
        if age > 17:
            raise ValueError("no child is that old")
        return age


Child.__name__ = "Person"  # what the model calls


class Card(BaseModel):
    suit: Literal["clubs", "hearts"]
    number: int = Field(ge=1, le=13)


ADA, BOB = {"name": "Ada", "age": 36}, {"name": "Bob", "age": 36}


def client_of(served, mode, kind=openai.OpenAI):
    return instructor.from_openai(kind(base_url=served.base, api_key=served.key, max_retries=0), mode=mode)


def ask(served, mode, model, kind=Person, **more):
    """The object's fields. The class of the object is instructor's own."""
    client = client_of(served, mode)
    return client.create(
        model=model, response_model=kind, messages=list(ASK), max_retries=0, **more
    ).model_dump()


def test_instructor_gets_objects_through_tools(served):
    for mode in (Mode.TOOLS, Mode.TOOLS_STRICT):
        assert ask(served, mode, "person-caller") == ADA, mode


def test_instructor_gets_objects_through_json(served):
    for mode in (Mode.JSON, Mode.JSON_SCHEMA, Mode.MD_JSON):
        assert ask(served, mode, "person") == ADA, mode


def test_instructor_gets_objects_from_a_model_that_reasons(served):
    assert ask(served, Mode.JSON_SCHEMA, "thinking-person") == ADA


def test_instructor_holds_any_model_to_the_form(served):
    """The model wants to say letters."""
    for seed in range(4):
        for mode in (Mode.TOOLS, Mode.JSON_SCHEMA):
            card = ask(served, mode, "tiny", Card, seed=seed, max_tokens=2000)
            assert card["suit"] in ("clubs", "hearts") and 1 <= card["number"] <= 13, (mode, card)


def test_instructor_asks_again_for_an_object_that_is_wrong(served):
    """What is wrong comes as the result of the first call, and the second call is right."""
    client = client_of(served, Mode.TOOLS)
    child = client.create(model="mender", response_model=Child, messages=list(ASK), max_retries=2)
    assert child.model_dump() == {"name": "Ada", "age": 6}


def test_instructor_knows_an_object_that_is_cut_short(served):
    for mode, model in ((Mode.TOOLS, "person-caller"), (Mode.JSON_SCHEMA, "person")):
        try:
            got = ask(served, mode, model, max_tokens=4)
        except IncompleteOutputException:
            continue
        raise AssertionError(f"{mode}: {got}")


def test_instructor_gets_the_usage_with_the_object(served):
    person, answer = client_of(served, Mode.TOOLS).create_with_completion(
        model="person-caller", response_model=Person, messages=list(ASK), max_retries=0
    )
    assert person.model_dump() == ADA
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.usage.completion_tokens > 0 and answer.usage.prompt_tokens > 0


def test_instructor_streams_parts_of_an_object(served):
    for mode, model in ((Mode.TOOLS, "person-caller"), (Mode.JSON_SCHEMA, "person")):
        parts = list(
            client_of(served, mode).create_partial(
                model=model, response_model=Person, messages=list(ASK), max_retries=0
            )
        )
        assert parts[0].age is None and len(parts) > 1, (mode, parts)
        assert (parts[-1].name, parts[-1].age) == ("Ada", 36), mode


def test_instructor_streams_a_list(served):
    for mode, model in ((Mode.TOOLS, "people-caller"), (Mode.JSON_SCHEMA, "people")):
        people = client_of(served, mode).create_iterable(
            model=model, response_model=Person, messages=list(ASK), max_retries=0
        )
        assert [p.model_dump() for p in people] == [ADA, BOB], mode


def test_instructor_gets_parallel_calls(served):
    people = client_of(served, Mode.PARALLEL_TOOLS).create(
        model="two-persons", response_model=Iterable[Person], messages=list(ASK), max_retries=0
    )
    assert [p.model_dump() for p in people] == [ADA, BOB]


async def test_instructor_asks_asynchronously(served):
    client = client_of(served, Mode.TOOLS, openai.AsyncOpenAI)
    person = await client.create(model="person-caller", response_model=Person, messages=list(ASK), max_retries=0)
    assert person.model_dump() == ADA


def test_instructor_gets_objects_through_responses(served):
    assert ask(served, Mode.RESPONSES_TOOLS, "person-caller") == ADA


test_instructor_gets_objects_through_responses.route = "/v1/responses"
