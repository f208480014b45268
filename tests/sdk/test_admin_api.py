"""The admin API keeps to the OpenAPI document that it serves, whatever it is sent.

Schemathesis reads the document from a gateway of its own, which it may change as it likes, and sends what the document allows and
what it forbids.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from world import HERE, TEAM, World

SEED, EXAMPLES = 1, 10  # a run is repeatable; more examples are for `st run` by hand
PATIENCE = 300  # seconds for the whole of it
# What holds of every answer: no fault of ours, and nothing that the document does not say.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "use_after_free",
]


@pytest.fixture
def office(gateway, tmp_path):
    office = World(tmp_path)
    office.llama = None
    try:
        office.start_gateway()
        yield office
    finally:
        office.close()


def test_every_answer_is_one_that_the_document_has_and_none_is_a_fault(office):
    # Whatever could end or change the shown token is asked for apart, so that the rest is not refused for want of one.
    ends_tokens = ["--include-path-regex", "^/api/v1/(me/)?tokens/"]
    for choice in (["--exclude-path-regex", ends_tokens[1]], ends_tokens):
        token = office.keyway("token", "create", "--workspace", TEAM, "--role", "platform_admin")
        command = [
            Path(sys.executable).with_name("st"), "--config-file", HERE / "schemathesis.toml",
            "run", f"{office.admin}/api/v1/openapi.json", *choice,
            "--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS),
            "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--no-color", "--warnings", "off",
        ]
        run = subprocess.run(command, cwd=office.folder, capture_output=True, text=True, timeout=PATIENCE)
        assert run.returncode == 0, f"{run.stdout[:20_000]}\n{run.stderr}\n{office.log_tail()}"
