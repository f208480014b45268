"""Every SDK against providers that speak another protocol than it does: what is said, called, thought, shown and broken."""

import json

import anthropic
import openai
import pydantic
import pytest
from google import genai
from google.genai import errors, types

import spoken

PATIENCE = 10  # seconds for one call
TEXT = "Hi, Zoë! 👋"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CITY = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"], "additionalProperties": False}
NAMES = ["get_weather", "get_time"]


class Person(pydantic.BaseModel):
    name: str
    born: int


@pytest.fixture(params=spoken.PROTOCOLS)
def upstream(request, gateway):
    return request.param


def other_than(own):
    return pytest.mark.parametrize("upstream", [protocol for protocol in spoken.PROTOCOLS if protocol != own], indirect=True)


@pytest.fixture(scope="module")
def claude(world):
    with anthropic.Anthropic(base_url=world.origin, api_key=world.token, max_retries=0, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def google(world):
    options = types.HttpOptions(base_url=world.origin, timeout=PATIENCE * 1000)
    return genai.Client(api_key=world.token, http_options=options)


# OpenAI's SDK, by its Responses API


def flat_tools():
    return [{"type": "function", "name": name, "parameters": CITY, "strict": False} for name in NAMES]


@other_than("responses")
def test_a_response_is_answered_whole_and_streamed(client, upstream):
    whole = client.responses.create(model=f"{upstream}:text", input="Hello?")
    assert (whole.output_text, whole.status, whole.usage.output_tokens) == (TEXT, "completed", 6)
    with client.responses.stream(model=f"{upstream}:text", input="Hello?") as stream:
        events = list(stream)
        assert stream.get_final_response().output_text == TEXT
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    assert [event.sequence_number for event in events] == list(range(len(events)))


@other_than("responses")
def test_a_response_calls_tools_in_parallel_and_hears_their_results(client, upstream):
    model = f"{upstream}:parallel_tools"
    with client.responses.stream(model=model, input="Weather and time?", tools=flat_tools()) as stream:
        response = stream.get_final_response()
    calls = [item for item in response.output if item.type == "function_call"]
    assert [call.name for call in calls] == NAMES
    assert json.loads(calls[0].arguments)["place"] == "Paris"
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "fine"} for call in calls]
    again = client.responses.create(
        model=f"{upstream}:text", input=results, tools=flat_tools(), previous_response_id=response.id
    )
    assert again.output_text == TEXT and again.previous_response_id == response.id


@other_than("responses")
def test_a_response_is_parsed_into_a_model_of_its_own(client, upstream):
    parsed = client.responses.parse(model=f"{upstream}:structured", input="Who?", text_format=Person)
    assert parsed.output_parsed == Person(name="Ada Lovelace", born=1815)


@other_than("responses")
def test_a_response_tells_its_thoughts_and_takes_them_back(client, world, upstream):
    asked = [{"role": "user", "content": "Which is larger?"}]
    first = client.responses.create(model=f"{upstream}:thinking", input=asked, reasoning={"effort": "low", "summary": "auto"})
    thought = next(item for item in first.output if item.type == "reasoning")
    assert thought.summary[0].text.startswith("Compare tenths") and first.output_text == "9.8"
    back = asked + [item.model_dump(exclude_none=True) for item in first.output] + [{"role": "user", "content": "Sure?"}]
    client.responses.create(model=f"{upstream}:thinking", input=back, reasoning={"effort": "low"})
    sent = json.dumps(world.speaker.last().fields)
    assert "Sure?" in sent and "kw1." not in sent


@other_than("responses")
def test_a_response_looks_at_an_image(client, world, upstream):
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
    content = [{"type": "input_text", "text": "What is it?"}, image]
    assert client.responses.create(model=f"{upstream}:text", input=[{"role": "user", "content": content}]).output_text == TEXT
    assert PIXEL in world.speaker.last().body.decode()


@other_than("responses")
def test_a_response_fails_as_the_sdk_knows_it(client, upstream):
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model=f"{upstream}:limited", input="Hello?")
    with pytest.raises((openai.APIError, RuntimeError)):
        with client.responses.stream(model=f"{upstream}:cut", input="Hello?") as stream:
            stream.get_final_response()


# OpenAI's SDK, by chat completions


def test_a_chat_is_streamed_with_tools_from_every_provider(client, upstream):
    tools = [{"type": "function", "function": {"name": name, "parameters": CITY}} for name in NAMES]
    with client.chat.completions.stream(
        model=f"{upstream}:parallel_tools", messages=[{"role": "user", "content": "Weather and time?"}], tools=tools
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert [call.function.name for call in message.tool_calls] == NAMES


# Anthropic's SDK


def hello(image=False):
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    return [{"role": "user", "content": [{"type": "text", "text": "Hello?"}, *([picture] if image else [])]}]


@other_than("messages")
def test_a_message_is_answered_whole_and_streamed(claude, world, upstream):
    whole = claude.messages.create(model=f"{upstream}:text", max_tokens=64, messages=hello(image=True))
    assert (whole.content[0].text, whole.stop_reason, whole.usage.output_tokens) == (TEXT, "end_turn", 6)
    assert PIXEL in world.speaker.last().body.decode()
    with claude.messages.stream(model=f"{upstream}:text", max_tokens=64, messages=hello()) as stream:
        assert "".join(stream.text_stream) == TEXT


@other_than("messages")
def test_a_message_calls_tools_in_parallel_and_hears_their_results(claude, upstream):
    tools = [{"name": name, "input_schema": CITY} for name in NAMES]
    asked = hello()
    with claude.messages.stream(model=f"{upstream}:parallel_tools", max_tokens=64, messages=asked, tools=tools) as stream:
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.name for call in calls] == NAMES and calls[0].input["place"] == "Paris"
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "fine"} for call in calls]
    back = [*asked, {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]},
            {"role": "user", "content": results}]
    again = claude.messages.create(model=f"{upstream}:text", max_tokens=64, messages=back, tools=tools)
    assert again.content[0].text == TEXT


@other_than("messages")
def test_a_message_tells_its_thoughts(claude, upstream):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with claude.messages.stream(
        model=f"{upstream}:thinking", max_tokens=4096, messages=hello(), thinking=thinking
    ) as stream:
        message = stream.get_final_message()
    # Gemini signs the text behind its thoughts; that comes as a block of its own, to be sent back.
    kinds = ["thinking", "text", *(["redacted_thinking"] if upstream == "gemini" else [])]
    assert [block.type for block in message.content] == kinds
    assert message.content[1].text == "9.8" and "enths" in message.content[0].thinking


@other_than("messages")
def test_a_message_fails_as_the_sdk_knows_it(claude, upstream):
    with pytest.raises(anthropic.RateLimitError):
        claude.messages.create(model=f"{upstream}:limited", max_tokens=64, messages=hello())
    with pytest.raises((anthropic.APIError, anthropic.APIConnectionError)):
        with claude.messages.stream(model=f"{upstream}:cut", max_tokens=64, messages=hello()) as stream:
            stream.get_final_message()


# Google's SDK


def generates(google, model, **config):
    image = types.Part.from_bytes(data=b"\x89PNG\r\n\x1a\n", mime_type="image/png")
    quiet = types.AutomaticFunctionCallingConfig(disable=True)
    return google.models.generate_content(
        model=model, contents=["Hello?", image],
        config=types.GenerateContentConfig(automatic_function_calling=quiet, **config),
    )


@other_than("gemini")
def test_content_is_generated_whole_and_streamed(google, upstream):
    answer = generates(google, f"{upstream}:text")
    assert (answer.text, answer.usage_metadata.candidates_token_count) == (TEXT, 6)
    chunks = google.models.generate_content_stream(model=f"{upstream}:text", contents="Hello?")
    assert "".join(chunk.text or "" for chunk in chunks) == TEXT


@other_than("gemini")
def test_content_calls_tools_in_parallel_thinks_and_has_a_form(google, upstream):
    declared = [types.FunctionDeclaration(name=name, parameters_json_schema=CITY) for name in NAMES]
    called = generates(google, f"{upstream}:parallel_tools", tools=[types.Tool(function_declarations=declared)])
    assert [call.name for call in called.function_calls] == NAMES
    thoughts = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    thought = generates(google, f"{upstream}:thinking", thinking_config=thoughts)
    assert [bool(part.thought) for part in thought.candidates[0].content.parts if part.text][-2:] == [True, False]
    formed = generates(google, f"{upstream}:structured", response_mime_type="application/json", response_schema=Person)
    assert formed.parsed == Person(name="Ada Lovelace", born=1815)


@other_than("gemini")
def test_content_fails_as_the_sdk_knows_it(google, upstream):
    with pytest.raises(errors.ClientError) as limited:
        google.models.generate_content(model=f"{upstream}:limited", contents="Hello?")
    assert (limited.value.code, limited.value.status) == (429, "RESOURCE_EXHAUSTED")
    with pytest.raises(Exception):  # noqa: B017: httpx's or the SDK's own, whichever sees the break first
        list(google.models.generate_content_stream(model=f"{upstream}:cut", contents="Hello?"))


# What only Bedrock has


def test_a_model_id_with_signs_is_signed_as_botocore_signs_it(client, gateway):
    # `is_shown` refuses any other signature; the path has the colon coded once, what is signed has it coded twice.
    assert client.responses.create(model="bedrock:a-v1:0", input="Hello?").output_text == TEXT
    assert gateway.speaker.last().target.endswith("/model/a-v1%3A0/converse")
