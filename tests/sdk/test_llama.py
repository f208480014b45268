"""A real llama.cpp server behind the gateway. Its weights are random, so what it says is noise; that it says it is not."""

import json

import openai
import pytest

from asks import ask, says

FEW = 12  # text units an answer may have


@pytest.fixture(scope="session")
def llama(world):
    """The client for it, and what its model is called there."""
    if world.direct:
        with openai.OpenAI(base_url=f"{world.llama}/v1", api_key="none", max_retries=0, timeout=10) as client:
            yield client, "tiny"
    else:
        with openai.OpenAI(base_url=world.base_url, api_key=world.token, max_retries=0, timeout=10) as client:
            yield client, "llama:tiny"


def test_llama_answers_with_usage(llama):
    client, model = llama
    reply = ask(client, model, max_tokens=FEW)
    assert reply.choices[0].finish_reason in ("length", "stop")
    assert 0 < reply.usage.completion_tokens <= FEW


def test_llama_streams_with_usage(llama):
    client, model = llama
    chunks = list(ask(client, model, max_tokens=FEW, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.completion_tokens <= FEW
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("length", "stop")


def test_llama_obeys_a_schema(llama):
    """The server samples under a grammar, so even random weights must give this shape."""
    client, model = llama
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"], "additionalProperties": False}
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    reply = client.chat.completions.create(model=model, messages=says("Sure?"), response_format=shape, max_tokens=128, temperature=0)
    assert json.loads(reply.choices[0].message.content) in ({"sure": True}, {"sure": False})


def test_llama_embeds(llama):
    client, model = llama
    reply = client.embeddings.create(model=model, input=["one", "two"])
    assert [len(row.embedding) for row in reply.data] == [64, 64]


def test_llamas_errors_are_the_sdks_exceptions(llama):
    client, model = llama
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=model, messages=says("Hello " * 4000), max_tokens=FEW)


def test_the_models_of_llama_are_listed(world, llama):
    client, _ = llama
    if world.direct:
        assert "tiny" in {model.id for model in client.models.list()}
    else:
        assert client.models.retrieve("llama:tiny").id == "llama:tiny"
