"""Each failure raises the SDK's own exception for it, and the SDK retries where that helps and only there."""

import openai
import pytest

from asks import ask, text_of
from world import REVOKED_KEY

AS_THE_PROVIDER_SAID = [
    (400, openai.BadRequestError, "invalid_value"),
    (404, openai.NotFoundError, "model_not_found"),
    (409, openai.ConflictError, "conflict"),
    (422, openai.UnprocessableEntityError, "unprocessable"),
    (429, openai.RateLimitError, "rate_limit_exceeded"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("status", "kind", "code"), AS_THE_PROVIDER_SAID, ids=lambda value: str(value) if isinstance(value, int) else "")
def test_a_refusal_raises_its_own_exception(client, status, kind, code, stream):
    with pytest.raises(kind) as raised:
        ask(client, f"error-{status}", stream=stream)
    assert raised.value.status_code == status
    assert raised.value.code == code


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", [500, 503])
def test_a_provider_in_trouble_raises_internal_server_error(client, status, stream):
    with pytest.raises(openai.InternalServerError):
        ask(client, f"error-{status}", stream=stream)


def test_a_bad_request_names_the_field(client):
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, "error-400")
    assert raised.value.param == "temperature"
    assert "temperature" in raised.value.message


def test_a_rate_limit_says_when_to_come_back(client):
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client, "error-429")
    assert 0 < float(raised.value.response.headers["retry-after"]) <= 2


def test_a_wrong_token_raises_authentication_error(client):
    with pytest.raises(openai.AuthenticationError):
        ask(client.with_options(api_key="kw_wrong_token_000000"), "chat")


def test_an_unknown_model_raises_not_found_error(client):
    with pytest.raises(openai.NotFoundError) as raised:
        ask(client, "no-such-model")
    assert raised.value.code == "model_not_found"


def test_a_model_that_is_not_approved_raises_permission_denied_error(gateway, client):
    with pytest.raises(openai.PermissionDeniedError) as raised:
        ask(client, "no-approval")
    assert raised.value.code == "model_not_approved"


def test_a_credential_the_provider_rejects_is_not_the_clients_fault(gateway, client):
    """A 401 would make the user hunt for a fault in their token; so it is a 502 that no retry can mend."""
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, "rejected")
    assert raised.value.status_code == 502
    assert raised.value.code == "credential_rejected"
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert REVOKED_KEY not in str(raised.value.body)


def test_an_sdk_that_retries_does_not_multiply_what_the_gateway_already_tried(gateway, client):
    primary, spare = len(gateway.primary.saw("error-500")), len(gateway.spare.saw("error-500"))
    with pytest.raises(openai.InternalServerError):
        ask(client.with_options(max_retries=2), "error-500")
    assert len(gateway.primary.saw("error-500")) == primary + 1
    assert len(gateway.spare.saw("error-500")) == spare + 1


@pytest.mark.parametrize("model", ["error-in-200", "html", "garbage", "reset"])
def test_a_broken_answer_raises_an_error_and_never_an_empty_reply(gateway, client, model):
    with pytest.raises(openai.InternalServerError):
        ask(client, model)


def test_an_error_as_the_first_event_of_a_stream_raises(client):
    with pytest.raises(openai.APIError):
        text_of(ask(client, "error-first-event", stream=True))
