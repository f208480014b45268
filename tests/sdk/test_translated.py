"""Other vendors' SDKs against a provider that speaks chat: asked in one protocol, answered in another."""

import anthropic
import pytest
from google import genai
from google.genai import errors, types

import scripts

PATIENCE = 10  # seconds for one call
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(scope="module")
def claude(gateway_world):
    with anthropic.Anthropic(
        base_url=gateway_world.origin, api_key=gateway_world.token, max_retries=0, timeout=PATIENCE
    ) as client:
        yield client


@pytest.fixture(scope="module")
def gemini(gateway_world):
    options = types.HttpOptions(base_url=gateway_world.origin, timeout=PATIENCE * 1000)
    return genai.Client(api_key=gateway_world.token, http_options=options)


@pytest.fixture(scope="module")
def gateway_world(world):
    if world.direct:
        pytest.skip("KEYWAY_BIN is unset: nobody translates")
    return world


def says(client, model, **more):
    return client.messages.create(model=model, max_tokens=64, messages=[{"role": "user", "content": "Hello?"}], **more)


# Anthropic's SDK


def test_a_message_is_answered_by_a_chat_provider(claude):
    message = says(claude, "chat")
    assert message.content[0].text == "Hello from primary"
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", scripts.USAGE["completion_tokens"])


def test_a_message_is_streamed(claude):
    with claude.messages.stream(model="chat", max_tokens=64, messages=[{"role": "user", "content": "Hello?"}]) as stream:
        assert "".join(stream.text_stream) == "Hello from primary"
        assert stream.get_final_message().stop_reason == "end_turn"


def test_parallel_tools_are_called_with_their_arguments_unchanged(claude):
    tools = [{"name": name, "input_schema": WEATHER} for name in ("get_weather", "get_time")]
    with claude.messages.stream(
        model="tools", max_tokens=64, tools=tools, messages=[{"role": "user", "content": "Weather and time?"}]
    ) as stream:
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [(call.id, call.name) for call in calls] == [(id, name) for id, name, _ in scripts.CALLS]
    assert calls[0].input["city"] == "Paris" and message.stop_reason == "tool_use"


def test_a_refusal_raises_the_exception_that_fits(claude):
    with pytest.raises(anthropic.NotFoundError):
        says(claude, "nobody-has-this")
    with pytest.raises(anthropic.RateLimitError):
        says(claude, "error-429")
    with pytest.raises(anthropic.BadRequestError):
        says(claude, "chat", extra_body={"mcp_servers": [{"type": "url", "url": "https://x.example", "name": "x"}]})


def test_a_stream_that_breaks_is_told(claude):
    with pytest.raises((anthropic.APIError, anthropic.APIConnectionError)):
        with claude.messages.stream(
            model="fails-cut", max_tokens=64, messages=[{"role": "user", "content": "Hello?"}]
        ) as stream:
            stream.get_final_message()


def test_models_are_listed_in_anthropics_shape(claude):
    assert "primary:chat" in [model.id for model in claude.models.list()]


# Google's SDK


def test_content_is_generated_by_a_chat_provider(gemini):
    answer = gemini.models.generate_content(model="chat", contents="Hello?")
    assert (answer.text, answer.candidates[0].finish_reason) == ("Hello from primary", types.FinishReason.STOP)
    assert answer.usage_metadata.candidates_token_count == scripts.USAGE["completion_tokens"]


def test_content_is_streamed(gemini):
    chunks = gemini.models.generate_content_stream(model="chat", contents="Hello?")
    assert "".join(chunk.text or "" for chunk in chunks) == "Hello from primary"


def test_functions_are_called(gemini):
    declared = [types.FunctionDeclaration(name=name, parameters_json_schema=WEATHER) for name in ("get_weather", "get_time")]
    answer = gemini.models.generate_content(
        model="tools", contents="Weather and time?",
        config=types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=declared)],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        ),
    )
    assert [call.name for call in answer.function_calls] == [name for _, name, _ in scripts.CALLS]


def test_a_conversation_remembers(gemini):
    chat = gemini.chats.create(model="chat")
    chat.send_message("Hello?")
    assert chat.send_message("And again?").text == "Hello from primary"
    assert len(chat.get_history(curated=True)) == 4


def test_content_is_embedded(gemini):
    answer = gemini.models.embed_content(model="embedder", contents=["one", "two"])
    assert [list(each.values) for each in answer.embeddings] == [scripts.VECTOR, scripts.VECTOR]


def test_an_error_has_its_status(gemini):
    with pytest.raises(errors.ClientError) as refused:
        gemini.models.generate_content(model="nobody-has-this", contents="Hello?")
    assert (refused.value.code, refused.value.status) == (404, "NOT_FOUND")


def test_models_are_listed_in_googles_shape(gemini):
    assert "models/primary:chat" in [model.name for model in gemini.models.list()]
