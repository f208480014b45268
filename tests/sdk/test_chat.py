"""Chat as the Python SDK does it: whole, streamed, with tools and with structured outputs."""

import hashlib
import json

import pydantic

import scripts
from asks import ask, says, text_of

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "get_time")
]
CALLS = [(id, name, "".join(pieces)) for id, name, pieces in scripts.CALLS]


def test_a_question_is_answered_with_text_and_usage(client):
    reply = ask(client, "chat")
    assert reply.choices[0].message.content == "Hello from primary"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == 18


def test_a_stream_comes_in_pieces_and_ends_with_its_finish_reason(client):
    chunks = list(ask(client, "chat", stream=True))
    assert text_of(chunks) == "Hello from primary"
    assert len([chunk for chunk in chunks if chunk.choices[0].delta.content]) == 4
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_usage_is_streamed_only_to_those_who_ask(client):
    asked = list(ask(client, "chat", stream=True, stream_options={"include_usage": True}))
    assert asked[-1].usage.total_tokens == 18 and asked[-1].choices == []
    unasked = list(ask(client, "chat", stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in unasked)


def test_parallel_tool_calls_come_whole(client):
    reply = ask(client, "tools", tools=TOOLS)
    assert [(call.id, call.function.name, call.function.arguments) for call in reply.choices[0].message.tool_calls] == CALLS
    assert reply.choices[0].finish_reason == "tool_calls"


def test_interleaved_deltas_of_parallel_tool_calls_add_up(client):
    with client.chat.completions.stream(model="tools", messages=says("Weather and time?"), tools=TOOLS) as stream:
        reply = stream.get_final_completion()
    assert [(call.id, call.function.name, call.function.arguments) for call in reply.choices[0].message.tool_calls] == CALLS


def test_tool_results_go_back_as_they_were_given(world, client):
    """The second turn: the assistant's calls and our results, arguments with a number no double can hold."""
    calls = [{"id": id, "type": "function", "function": {"name": name, "arguments": text}} for id, name, text in CALLS]
    results = [{"role": "tool", "tool_call_id": id, "content": "12 °C"} for id, _, _ in CALLS]
    turns = [*says("Weather and time?"), {"role": "assistant", "content": None, "tool_calls": calls}, *results]
    client.chat.completions.create(model="chat", messages=turns, tools=TOOLS)
    assert world.primary.last("chat").fields["messages"] == turns


class City(pydantic.BaseModel):
    name: str
    population: int
    tags: list[str]


def test_structured_outputs_are_parsed_into_the_model(client):
    reply = client.chat.completions.parse(model="structured", messages=says("A city?"), response_format=City)
    assert reply.choices[0].message.parsed == City(**scripts.CITY)


def test_streamed_structured_outputs_are_parsed_into_the_model(client):
    with client.chat.completions.stream(model="structured", messages=says("A city?"), response_format=City) as stream:
        reply = stream.get_final_completion()
    assert reply.choices[0].message.parsed == City(**scripts.CITY)


def test_unknown_fields_reach_the_provider_in_their_order(world, client):
    extra = {"x_new": {"b": 1, "a": [1.50, 12345678901234567890]}}
    ask(client, "chat", extra_body=extra)
    body = world.primary.last("chat").body
    assert json.dumps(extra["x_new"], separators=(",", ":")).encode() in body.replace(b" ", b"")


def test_a_body_of_5_mb_arrives_whole(client):
    text = "Grüße " * 800_000
    assert len(text.encode()) > 5_000_000
    reply = ask(client, "count", text)
    assert reply.choices[0].message.content == hashlib.sha256(text.encode()).hexdigest()


def test_unicode_survives(client):
    assert ask(client, "unicode").choices[0].message.content == scripts.UNICODE


def test_unicode_cut_across_writes_survives(client):
    assert text_of(ask(client, "unicode", stream=True)) == scripts.UNICODE


def test_the_provider_sees_its_own_key_and_never_the_clients_token(gateway, client):
    ask(client, "chat", extra_headers={"cookie": "session=1", "openai-organization": "org-client"})
    seen = gateway.primary.last("chat")
    assert seen.headers["authorization"] == "Bearer sk-platform-1111"
    assert gateway.token not in str(seen.headers) + seen.body.decode()
    assert "cookie" not in seen.headers and "openai-organization" not in seen.headers


def test_the_answer_says_who_gave_it(gateway, client):
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=says("Hello?"))
    assert raw.headers["x-keyway-provider"] == "primary"
    assert raw.headers["x-keyway-attempts"] == "1"
    assert raw.headers["x-keyway-request-id"]
