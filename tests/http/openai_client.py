"""Talks to berth with OpenAI's official client: everything that the client can ask of it and understands.

The model recites: after each letter comes the next, after 'z' a full stop, after that the end.
"""

import asyncio
import os
import sys
import tempfile

import openai

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from reciting import ALPHABET, write_model  # noqa: E402
from rig import DEADLINE, Berth, run_tests  # noqa: E402

MESSAGES = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hello"}]

# ---- the tests; each is a function of the client ----


def test_models_are_listed_and_retrieved(client):
    assert [m.id for m in client.models.list()] == ["tiny", "vectors"]
    client.completions.create(model="tiny", prompt="a", max_tokens=1)  # opens the model
    model = client.models.retrieve("tiny")
    assert model.owned_by == "berth"
    assert model.model_extra["context_length"] == model.model_extra["max_model_len"] == 512
    assert "chat" in model.model_extra["capabilities"]


def test_a_chat_is_answered_whole(client):
    answer = client.chat.completions.create(model="tiny", messages=MESSAGES)
    assert answer.choices[0].message.content == ALPHABET
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 28
    assert answer.usage.prompt_tokens_details.cached_tokens >= 0


def test_a_chat_is_streamed(client):
    stream = client.chat.completions.create(
        model="tiny", messages=MESSAGES, stream=True, stream_options={"include_usage": True}, n=2
    )
    said, usage = ["", ""], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
    assert said == [ALPHABET] * 2
    assert usage.completion_tokens == 56


def test_usage_comes_with_every_chunk(client):
    stream = client.chat.completions.create(
        model="tiny",
        messages=MESSAGES,
        stream=True,
        max_tokens=4,
        stream_options={"include_usage": True, "continuous_usage_stats": True},
    )
    counts = [chunk.usage.completion_tokens for chunk in stream]
    assert counts == sorted(counts)
    assert counts[-1] == 4


def test_fields_of_other_servers_are_read_or_refused(client):
    def ask(**extra):
        return client.chat.completions.create(model="tiny", messages=MESSAGES, extra_body=extra)

    assert ask(max_tokens=3.0, top_k=5.0, stop="", min_tokens=0, seed=2**70).usage.completion_tokens == 3
    assert ask(max_tokens=-1).choices[0].message.content == ALPHABET
    assert ask(max_tokens=9, max_completion_tokens=2).choices[0].message.content == "ab"
    e = raises(openai.BadRequestError, lambda: ask(n_predict=3))
    assert (e.code, e.param) == ("unsupported_parameter", "n_predict")
    e = raises(openai.BadRequestError, lambda: ask(temprature=0))
    assert (e.code, e.param) == ("unknown_parameter", "temprature")


def test_the_client_s_own_helper_adds_a_stream_up(client):
    with client.chat.completions.stream(
        model="tiny", messages=MESSAGES, stop=["f"], logprobs=True, top_logprobs=2
    ) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    assert answer.choices[0].message.content == "abcde"
    assert answer.choices[0].finish_reason == "stop"
    assert [t.token for t in answer.choices[0].logprobs.content][:5] == list("abcde")
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2


def test_completions_are_answered_whole(client):
    answer = client.completions.create(
        model="tiny", prompt=["a", "m"], max_tokens=3, n=2, logprobs=1, echo=True, seed=5, temperature=0.5
    )
    assert [c.text for c in answer.choices] == ["abcd", "abcd", "mnop", "mnop"]
    assert answer.choices[3].logprobs.tokens == list("mnop")
    assert answer.choices[3].logprobs.token_logprobs[0] is None
    assert answer.choices[3].logprobs.text_offset == [0, 1, 2, 3]
    assert answer.usage.total_tokens == 2 + 12


def test_completions_are_streamed(client):
    stream = client.completions.create(model="tiny", prompt=[[97], [98]], max_tokens=3, stream=True)
    said = ["", ""]
    for chunk in stream:
        for choice in chunk.choices:
            said[choice.index] += choice.text
    assert said == ["bcd", "cde"]


def raises(kind, call):
    try:
        call()
    except kind as e:
        return e
    raise AssertionError(f"no {kind.__name__}")


def test_errors_are_the_client_s_exceptions(client):
    e = raises(openai.NotFoundError, lambda: client.chat.completions.create(model="none", messages=MESSAGES))
    assert (e.code, e.param, e.type) == ("model_not_found", "model", "invalid_request_error")
    e = raises(
        openai.BadRequestError,
        lambda: client.chat.completions.create(model="tiny", messages=MESSAGES, temperature=3),
    )
    assert e.param == "temperature"
    e = raises(
        openai.BadRequestError,
        lambda: client.chat.completions.create(
            model="tiny", messages=MESSAGES, audio={"voice": "alloy", "format": "mp3"}
        ),
    )
    assert (e.code, e.param) == ("unsupported_parameter", "audio")
    raises(openai.AuthenticationError, lambda: client.with_options(api_key="wrong").models.list())


async def test_all_of_it_works_asynchronously_and_side_by_side(client):
    async def whole():
        answer = await client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=4)
        return answer.choices[0].message.content

    async def streamed():
        stream = await client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=4, stream=True)
        return "".join([c.choices[0].delta.content or "" async for c in stream])

    assert await asyncio.gather(*[f() for _ in range(20) for f in (whole, streamed)]) == ["abcd"] * 40


async def test_a_stream_may_be_closed_early(client):
    stream = await client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True)
    async for _ in stream:
        break
    await stream.close()
    answer = await client.completions.create(model="tiny", prompt="a", max_tokens=1)
    assert answer.choices[0].text == "b"


def test_texts_become_vectors(client):
    answer = client.embeddings.create(model="vectors", input=["a", "bc"])  # the client asks for base64
    numbers = client.embeddings.create(model="vectors", input=["a", "bc"], encoding_format="float")
    assert [d.index for d in answer.data] == [0, 1]
    assert [len(d.embedding) for d in answer.data] == [128, 128]
    for one, other in zip(answer.data, numbers.data):
        assert all(abs(x - y) < 1e-7 for x, y in zip(one.embedding, other.embedding))
        assert abs(sum(x * x for x in one.embedding) - 1) < 1e-5
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 3
    ids = client.embeddings.create(model="vectors", input=[[97], [98, 99]], dimensions=8)
    assert [len(d.embedding) for d in ids.data] == [8, 8]


async def test_texts_become_vectors_asynchronously(client):
    answer = await client.embeddings.create(model="vectors", input="a")
    assert len(answer.data[0].embedding) == 128


def test_an_input_that_makes_no_sense_is_refused(client):
    for wrong in ("", [], ["a", ""]):
        try:
            client.embeddings.create(model="vectors", input=wrong)
        except openai.BadRequestError as refusal:
            assert refusal.param.startswith("input"), refusal
        else:
            raise AssertionError(f"{wrong!r} is taken")


# ---- the server ----


def start(berth, directory):
    write_model(os.path.join(directory, "models", "tiny.gguf"), context=512)
    write_model(os.path.join(directory, "models", "vectors.gguf"), context=512)
    with open(os.path.join(directory, "keys"), "w") as f:
        f.write("the-key\n")
    options = ["--api-key-file", os.path.join(directory, "keys"), "--pooling", "vectors=mean"]
    return Berth(berth, os.path.join(directory, "models"), *options)


def run(test, base):
    if asyncio.iscoroutinefunction(test):

        async def body():
            async with openai.AsyncOpenAI(**base) as client:
                await test(client)

        asyncio.run(body())
    else:
        with openai.OpenAI(**base) as client:
            test(client)


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.mkdir(os.path.join(directory, "models"))
        server = start(sys.argv[1], directory)
        base = {"base_url": f"http://127.0.0.1:{server.port}/v1", "api_key": "the-key", "timeout": DEADLINE, "max_retries": 3}
        run_tests(globals(), lambda test: run(test, base), server)


main()
