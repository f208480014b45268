"""Everything beside chat: models, embeddings, audio, images, moderations, files, Responses, and the Azure client."""

import base64
import hashlib
import io
import time

import openai
import pytest

import scripts
from asks import ask, text_of

SOUND = bytes(range(256)) * 1024
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 64


# Models


def test_models_are_listed(client):
    # A gateway lists each model once per provider, under its qualified id.
    bare = {model.id.split(":", 1)[-1] for model in client.models.list()}
    assert {"chat", "tools", "unicode"} <= bare


def test_one_model_is_retrieved_by_its_id(client):
    assert client.models.retrieve("chat").id == "chat"


# Embeddings


@pytest.mark.parametrize("encoding", [openai.NOT_GIVEN, "float"], ids=["base64", "float"])
def test_embeddings_come_back_exact(client, encoding):
    reply = client.embeddings.create(model="embedder", input=["one", "two"], encoding_format=encoding)
    assert [row.embedding for row in reply.data] == [scripts.VECTOR] * 2
    assert reply.usage.total_tokens == 3


# Audio, images, moderations


def test_a_sound_is_transcribed(client):
    reply = client.audio.transcriptions.create(model="listener", file=("hello.wav", SOUND))
    assert reply.text == f"hello.wav {len(SOUND)} {hashlib.sha256(SOUND).hexdigest()}"


def test_a_transcription_is_streamed_as_it_is_heard(client):
    stream = client.audio.transcriptions.create(model="listener", file=("hello.wav", SOUND), stream=True)
    events = [(event, time.monotonic()) for event in stream]
    deltas, (done, ended) = events[:-1], events[-1]
    assert "".join(delta.delta for delta, _ in deltas).strip() == done.text
    assert (done.usage.input_tokens, done.usage.output_tokens) == (14, 3)
    assert ended - deltas[0][1] > 0.2, "the first word waits for no other"


def test_a_sound_is_transcribed_also_if_the_model_stands_behind_the_file(world, client):
    client.audio.transcriptions.create(model="listener", file=io.BytesIO(SOUND), language="de", temperature=0.5)
    assert world.primary.last("listener").fields["language"] == "de"


def test_text_is_spoken(client):
    spoken = client.audio.speech.create(model="speaker", voice="alloy", input="Hello")
    assert spoken.content == scripts.SPEECH
    assert spoken.response.headers["content-type"] == "audio/mpeg"


def test_an_image_is_made(client):
    reply = client.images.generate(model="painter", prompt="A key in a lock")
    assert reply.data[0].b64_json == scripts.PIXEL


def test_an_image_is_edited(client):
    reply = client.images.edit(model="painter", image=("key.png", PICTURE), prompt="Turn it")
    assert base64.b64decode(reply.data[0].b64_json) == PICTURE


def test_text_is_moderated(client):
    assert client.moderations.create(model="judge", input="Hello").results[0].flagged is False


# Files: whoever made them owns them


def test_files_live_on_the_workspaces_own_credential(world, client):
    own = client.with_options(api_key=world.own_token)
    made = own.files.create(file=("lines.jsonl", b'{"a":1}\n'), purpose="batch")
    assert own.files.retrieve(made.id).filename == "lines.jsonl"
    assert own.files.content(made.id).content == b'{"a":1}\n'
    assert made.id in [file.id for file in own.files.list()]
    assert own.files.delete(made.id).deleted
    assert world.primary.requests[-1].key == "sk-own-2222"


def test_files_on_a_shared_credential_are_the_workspaces_that_made_them(world, client):
    made = client.files.create(file=("lines.jsonl", b'{"a":1}\n'), purpose="batch")
    before = len(world.primary.requests)
    assert [file.id for file in client.files.list()] == [made.id]
    assert len(world.primary.requests) == before, "the provider is not asked for a list"
    assert client.files.content(made.id).content == b'{"a":1}\n'
    with pytest.raises(openai.NotFoundError) as refused:
        client.files.retrieve("file-of-somebody-else")
    assert refused.value.code == "object_not_found"
    assert client.files.delete(made.id).deleted
    assert list(client.files.list()) == []


# Responses


def test_a_response_passes_through(world, client):
    reply = client.responses.create(model="responder", input="Hello?")
    assert reply.output_text == "Hello from primary"
    assert reply.usage.total_tokens == 18
    assert world.primary.last("responder").path == "/v1/responses"


def test_a_streamed_response_passes_through_event_by_event(client):
    events = list(client.responses.create(model="responder", input="Hello?", stream=True))
    expected = [name for name, _ in scripts.response_events("responder", "primary")]
    assert [event.type for event in events] == expected
    assert events[-1].response.output_text == "Hello from primary"


def test_a_response_from_a_provider_without_responses_is_translated(gateway, client):
    response = client.responses.create(model="chat", input="Hello?")
    assert (response.output_text, response.status) == ("Hello from primary", "completed")
    with client.responses.stream(model="chat", input="Hello?") as stream:
        assert stream.get_final_response().output_text == "Hello from primary"


def test_a_response_that_can_not_be_said_is_refused_by_name(gateway, client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="chat", input="Hello?", background=True)
    assert (refused.value.code, refused.value.param) == ("unsupported_by_target", "background")


# The Azure client: the deployment stands in the path, the key in `api-key`


def test_the_azure_client_is_answered(world, azure):
    assert ask(azure, "chat").choices[0].message.content == "Hello from primary"


def test_the_azure_client_streams(azure):
    assert text_of(ask(azure, "chat", stream=True)) == "Hello from primary"


def test_the_azure_client_embeds(azure):
    assert azure.embeddings.create(model="embedder", input="one").data[0].embedding == scripts.VECTOR


def test_the_azure_client_transcribes(azure):
    reply = azure.audio.transcriptions.create(model="listener", file=("hello.wav", SOUND))
    assert reply.text.startswith("hello.wav")


def test_the_azure_client_hears_the_right_exception(azure):
    with pytest.raises(openai.NotFoundError):
        ask(azure, "no-such-model")
    with pytest.raises(openai.AuthenticationError):
        ask(azure.with_options(api_key="kw_wrong_token_000000"), "chat")
