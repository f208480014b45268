"""Streams that break, and clients that leave."""

import httpx
import openai
import pytest

from asks import ask, text_of

AT_ONCE = 1.0  # seconds within which the provider must see that nobody listens any more
BROKEN = (openai.APIError, httpx.HTTPError)


def left_in_time(provider, model, since):
    return provider.wait_for(lambda: provider.last(model).vanished is not None, AT_ONCE) and len(provider.saw(model)) == since + 1


def test_leaving_a_stream_ends_the_providers_work_within_a_second(world, client):
    since = len(world.primary.saw("slow"))
    with ask(client, "slow", stream=True) as stream:
        next(iter(stream))
    assert left_in_time(world.primary, "slow", since)


def test_giving_up_on_a_whole_answer_ends_the_providers_work_within_a_second(world, client):
    since = len(world.primary.saw("slow"))
    with pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=0.5), "slow")
    assert left_in_time(world.primary, "slow", since)


def test_a_stream_that_breaks_is_an_error_and_never_a_clean_end(client):
    with pytest.raises(BROKEN):
        text_of(ask(client, "cut", stream=True))


def test_what_came_before_the_break_has_arrived(client):
    heard = ""
    with pytest.raises(BROKEN):
        for chunk in ask(client, "cut", stream=True):
            heard += chunk.choices[0].delta.content or ""
    assert heard == "Hello"


def test_a_stream_that_ends_without_its_last_event_is_an_error(gateway, client):
    """The SDK itself takes this for a clean end: only the gateway can tell."""
    with pytest.raises(BROKEN):
        text_of(ask(client, "cut-politely", stream=True))


def test_an_error_in_the_middle_of_a_stream_is_an_error(client):
    with pytest.raises(openai.APIError, match="while streaming"):
        text_of(ask(client, "error-in-stream", stream=True))


def test_a_broken_stream_is_not_tried_elsewhere_once_text_has_gone_out(gateway, client):
    primary, spare = len(gateway.primary.requests), len(gateway.spare.requests)
    with pytest.raises(BROKEN):
        text_of(ask(client, "fails-cut", stream=True))
    assert len(gateway.primary.requests) == primary + 1
    assert len(gateway.spare.requests) == spare
