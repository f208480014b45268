"""The fixtures: one world for the whole run, and SDK clients that are the vendors' own but for `base_url` and key."""

import openai
import pytest

from world import KEYWAY, World

PATIENCE = 10  # seconds for one call


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"))
    try:
        start(world)
        yield world
    finally:
        world.close()


def start(world):
    """Without a world no test means anything: one message instead of a hundred errors."""
    try:
        world.open()
    except AssertionError as fault:
        pytest.exit(str(fault), returncode=1)


@pytest.fixture(scope="session")
def client(world):
    """Does not retry, so that each call is one call at the gateway."""
    with openai.OpenAI(base_url=world.base_url, api_key=world.token, max_retries=0, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="session")
def azure(world):
    with openai.AzureOpenAI(
        azure_endpoint=world.origin, api_key=world.token, api_version="2024-10-21", max_retries=0, timeout=PATIENCE
    ) as client:
        yield client


@pytest.fixture
def gateway(world):
    """For promises that only a gateway can keep."""
    if world.direct:
        pytest.skip("KEYWAY_BIN is unset: there is no gateway to hold to this")
    return world


def pytest_report_header():
    return f"gateway: {KEYWAY or 'none, the SDKs talk to the scripted provider directly'}"
