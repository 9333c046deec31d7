"""pydantic-ai: agents with a tool and an output type."""

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from reciting import ALPHABET
from served import AFTER_SUN, SUN, THOUGHT


class Report(BaseModel):
    city: str
    celsius: int


REPORT = Report(city="Rome", celsius=21)
ASK = "What is the weather in Rome?"


def agent_of(served, model, kind=OpenAIChatModel, **more):
    """The agent, and the list of the arguments that its tool gets."""
    provider = OpenAIProvider(base_url=served.base, api_key=served.key)
    agent, asked = Agent(kind(model, provider=provider), **more), []

    @agent.tool_plain
    def weather(city: str, days: int) -> str:
        """The weather of the next days."""
        asked.append((city, days))
        return SUN

    return agent, asked


async def test_pydantic_ai_answers_with_the_result_of_a_tool(served):
    agent, asked = agent_of(served, "caller", instructions="Be brief")
    result = await agent.run(ASK)
    assert asked == [("Rome", 3)]
    assert result.output == AFTER_SUN
    usage = result.usage() if callable(result.usage) else result.usage
    assert usage.requests == 2 and usage.input_tokens > 0 and usage.output_tokens > 0


async def test_pydantic_ai_gets_an_output_type_by_a_tool(served):
    agent, asked = agent_of(served, "reporter", output_type=Report)
    assert (await agent.run(ASK)).output == REPORT
    assert asked == [("Rome", 3)]
    agent, asked = agent_of(served, "reporter", output_type=ToolOutput(Report, strict=True))
    assert (await agent.run(ASK)).output == REPORT


async def test_pydantic_ai_gets_an_output_type_by_a_schema(served):
    for kind in (NativeOutput, PromptedOutput):
        agent, asked = agent_of(served, "writer", output_type=kind(Report))
        assert (await agent.run(ASK)).output == REPORT, kind
        assert asked == [("Rome", 3)], kind


async def test_pydantic_ai_streams_text(served):
    agent, asked = agent_of(served, "caller")
    async with agent.run_stream(ASK) as result:
        parts = [part async for part in result.stream_text(delta=True, debounce_by=None)]
    assert "".join(parts) == AFTER_SUN and len(parts) > 1, parts
    assert asked == [("Rome", 3)]
    usage = result.usage() if callable(result.usage) else result.usage
    assert usage.output_tokens > 0


async def test_pydantic_ai_streams_an_output_type(served):
    for model, form in (("reporter", ToolOutput(Report)), ("writer", NativeOutput(Report))):
        agent, asked = agent_of(served, model, output_type=form)
        async with agent.run_stream(ASK) as result:
            parts = [part async for part in result.stream_output(debounce_by=None)]
        assert parts[-1] == REPORT, (model, parts)
        assert asked == [("Rome", 3)], model


async def test_pydantic_ai_gets_two_calls_of_one_answer(served):
    agent, asked = agent_of(served, "twice")
    assert (await agent.run(ASK)).output == AFTER_SUN
    assert sorted(asked) == [("Oslo", 3), ("Rome", 3)]


async def test_pydantic_ai_gets_reasoning(served):
    agent, _ = agent_of(served, "thinker")
    result = await agent.run(ASK)
    assert result.output == ALPHABET
    (answer,) = [m for m in result.all_messages() if m.kind == "response"]
    assert [p.content for p in answer.parts if p.part_kind == "thinking"] == [THOUGHT]
    async with agent.run_stream(ASK) as result:
        assert await result.get_output() == ALPHABET
    (answer,) = [m for m in result.all_messages() if m.kind == "response"]
    assert [p.content for p in answer.parts if p.part_kind == "thinking"] == [THOUGHT]


async def test_pydantic_ai_calls_tools_after_reasoning(served):
    agent, asked = agent_of(served, "thinking-caller")
    assert (await agent.run(ASK)).output == AFTER_SUN
    assert asked == [("Rome", 3)]


async def test_pydantic_ai_uses_responses(served):
    agent, asked = agent_of(served, "caller", OpenAIResponsesModel)
    assert (await agent.run(ASK)).output == AFTER_SUN
    assert asked == [("Rome", 3)]
    agent, asked = agent_of(served, "writer", OpenAIResponsesModel, output_type=NativeOutput(Report))
    assert (await agent.run(ASK)).output == REPORT
    agent, asked = agent_of(served, "thinking-caller", OpenAIResponsesModel)
    result = await agent.run(ASK)
    assert result.output == AFTER_SUN
    first = next(m for m in result.all_messages() if m.kind == "response")
    assert [p.part_kind for p in first.parts] == ["thinking", "tool-call"]
    assert (await agent.run(ASK, message_history=result.all_messages())).output == AFTER_SUN
    async with agent_of(served, "caller", OpenAIResponsesModel)[0].run_stream(ASK) as result:
        assert await result.get_output() == AFTER_SUN


test_pydantic_ai_uses_responses.route = "/v1/responses"
