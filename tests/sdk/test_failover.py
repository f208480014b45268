"""The first provider fails; the spare answers; the SDK notices nothing."""

import pytest

from asks import ask, says, text_of
from world import FAILURES, STREAM_FAILURES

# The client waits longer than the first provider's time-out (2 s) and the spare's answer take together.


@pytest.mark.parametrize("failure", [*FAILURES, "connect"])
def test_a_whole_answer_comes_from_the_spare(gateway, client, failure):
    raw = client.chat.completions.with_raw_response.create(model=f"fails-{failure}", messages=says("Hello?"))
    assert raw.parse().choices[0].message.content == "Hello from spare"
    assert "spare" in raw.headers["x-keyway-provider"]
    assert raw.headers["x-keyway-attempts"] == "2"


@pytest.mark.parametrize("failure", [*STREAM_FAILURES, "connect"])
def test_a_stream_comes_from_the_spare(gateway, client, failure):
    assert text_of(ask(client, f"fails-{failure}", stream=True)) == "Hello from spare"


def test_both_providers_were_asked_the_same(gateway, client):
    ask(client, "fails-error-500", "The same question")
    first, second = gateway.primary.last("fails-error-500"), gateway.spare.last("fails-error-500")
    assert first.body == second.body


def test_a_provider_that_hangs_is_left_when_the_next_one_is_asked(gateway, client):
    ask(client, "fails-hang")
    assert gateway.primary.wait_for(lambda: gateway.primary.last("fails-hang").vanished is not None, 1)
