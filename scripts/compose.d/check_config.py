"""Checks each service of `docker compose config --format json`, which it reads from standard
input."""

import json
import sys

METRICS = {9465, 9466}

for name, service in json.load(sys.stdin)["services"].items():
    options = service.get("logging", {}).get("options", {})
    assert {"max-size", "max-file"} <= set(options), f"the log of {name} grows without end"
    # Services with a restart policy run for weeks; the others end.
    assert "mem_limit" in service or "restart" not in service, f"{name} may take all memory"
    for port in service.get("ports", []):
        assert port.get("host_ip") == "127.0.0.1", f"a port of {name} is open to other machines"
        assert port["target"] not in METRICS, f"the numbers of {name} are published"
