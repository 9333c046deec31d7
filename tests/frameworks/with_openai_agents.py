"""openai-agents: agents with a function tool, by chat completions and by Responses."""

from typing import Annotated, Literal

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from pydantic import BaseModel, Field
from served import AFTER_SUN, SUN
from served import REPORT as REPORT_TEXT

set_tracing_disabled(True)  # otherwise it sends what happens to its makers
ASK = "What is the weather in Rome?"


class Report(BaseModel):
    city: str
    celsius: int


REPORT = Report(city="Rome", celsius=21)


def agent_of(served, model, kind=OpenAIChatCompletionsModel, **more):
    """The agent, and the list of the arguments that its tool gets."""
    client, asked = openai.AsyncOpenAI(base_url=served.base, api_key=served.key, max_retries=0), []

    @function_tool
    def weather(city: str, days: int) -> str:
        """The weather of the next days."""
        asked.append((city, days))
        return SUN

    agent = Agent(
        name="Reporter",
        instructions="Be brief",
        model=kind(model=model, openai_client=client),
        tools=[weather],
        **more,
    )
    return agent, asked


async def stream(agent):
    """The pieces of the text, and the result."""
    result, pieces = Runner.run_streamed(agent, ASK), []
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            pieces.append(event.data.delta)
    return pieces, result


async def answers_with_the_result_of_a_tool(served, kind):
    for model, calls in (("caller", [("Rome", 3)]), ("twice", [("Oslo", 3), ("Rome", 3)])):
        agent, asked = agent_of(served, model, kind)
        result = await Runner.run(agent, ASK)
        assert result.final_output == AFTER_SUN, model
        assert sorted(asked) == calls, model
        usage = result.context_wrapper.usage
        assert usage.requests == 2 and usage.input_tokens > 0 and usage.output_tokens > 0, model


async def streams(served, kind):
    agent, asked = agent_of(served, "caller", kind, model_settings=ModelSettings(include_usage=True))
    pieces, result = await stream(agent)
    assert "".join(pieces) == result.final_output == AFTER_SUN and len(pieces) > 1
    assert asked == [("Rome", 3)]
    assert result.context_wrapper.usage.output_tokens > 0


async def gets_an_output_type(served, kind):
    agent, asked = agent_of(served, "writer", kind, output_type=Report)
    assert (await Runner.run(agent, ASK)).final_output == REPORT
    assert asked == [("Rome", 3)]
    agent, asked = agent_of(served, "writer", kind, output_type=Report)
    pieces, result = await stream(agent)
    assert result.final_output == REPORT == Report.model_validate_json("".join(pieces))


async def hands_over(served, kind):
    other, _ = agent_of(served, "writer", kind, handoff_description="Knows the weather")
    other.name = "other"
    first, _ = agent_of(served, "hand-over", kind, handoffs=[other])
    result = await Runner.run(first, ASK)
    assert result.last_agent is other
    assert result.final_output == REPORT_TEXT


async def reasons_and_remembers(served, kind):
    """What the model thought is given back to it with the rest of the session."""
    agent, asked = agent_of(served, "thinking-caller", kind)
    session = SQLiteSession(kind.__name__)
    for i in range(2):
        result = await Runner.run(agent, ASK, session=session)
        assert result.final_output == AFTER_SUN and len(asked) == i + 1
        kinds = [item.type for item in result.new_items]
        assert kinds == ["reasoning_item", "tool_call_item", "tool_call_output_item", "message_output_item"], kinds
    assert len(await session.get_items()) == 2 * 5


async def test_openai_agents_answers_with_the_result_of_a_tool(served):
    await answers_with_the_result_of_a_tool(served, OpenAIChatCompletionsModel)


async def test_openai_agents_streams(served):
    await streams(served, OpenAIChatCompletionsModel)


async def test_openai_agents_gets_an_output_type(served):
    await gets_an_output_type(served, OpenAIChatCompletionsModel)


async def test_openai_agents_makes_a_model_call(served):
    """The model wants to say letters, and says them when it is no longer made to call."""
    drawn = []

    @function_tool
    def draw(suit: Literal["clubs", "hearts"], number: Annotated[int, Field(ge=1, le=13)]) -> str:
        """Draws a card."""
        drawn.append((suit, number))
        return SUN

    settings = ModelSettings(tool_choice="required", max_tokens=2000, parallel_tool_calls=False)
    agent, _ = agent_of(served, "tiny", model_settings=settings)
    agent.tools = [draw]
    assert (await Runner.run(agent, ASK)).final_output == AFTER_SUN
    assert len(drawn) == 1 and drawn[0][0] in ("clubs", "hearts") and 1 <= drawn[0][1] <= 13, drawn


async def test_openai_agents_hands_over_to_another_agent(served):
    await hands_over(served, OpenAIChatCompletionsModel)


async def test_openai_agents_reasons_and_remembers(served):
    await reasons_and_remembers(served, OpenAIChatCompletionsModel)


async def test_openai_agents_uses_responses(served):
    await answers_with_the_result_of_a_tool(served, OpenAIResponsesModel)
    await streams(served, OpenAIResponsesModel)
    await gets_an_output_type(served, OpenAIResponsesModel)
    await hands_over(served, OpenAIResponsesModel)
    await reasons_and_remembers(served, OpenAIResponsesModel)


test_openai_agents_uses_responses.route = "/v1/responses"
