"""Reads Grafana's provisioning files, and answers the three requests of scripts/test-compose.

The test shows that the mounted files are where Grafana looks for them, and that its container
reaches the data source. It does not show how a real Grafana draws the dashboard.
"""

import http.server
import json
import os
import pathlib
import sys
import urllib.request

import yaml

PROVISIONING = pathlib.Path("/etc/grafana/provisioning")


def provisioned(kind: str, key: str) -> list[dict]:
    return [
        entry
        for file in sorted((PROVISIONING / kind).glob("*.yml"))
        for entry in yaml.safe_load(os.path.expandvars(file.read_text()))[key]
    ]


def dashboard(uid: str) -> dict:
    for provider in provisioned("dashboards", "providers"):
        for file in pathlib.Path(provider["options"]["path"]).glob("*.json"):
            if (found := json.loads(file.read_text()))["uid"] == uid:
                return {"dashboard": found}
    raise KeyError(uid)


def health_of_source(uid: str) -> dict:
    [source] = [s for s in provisioned("datasources", "datasources") if s["uid"] == uid]
    with urllib.request.urlopen(f"{source['url']}/api/v1/query?query=1", timeout=5) as answer:
        return {"status": "OK" if json.load(answer)["status"] == "success" else "ERROR"}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            match self.path.strip("/").split("/"):
                case ["api", "health"]:
                    body = {"database": "ok"}
                case ["api", "dashboards", "uid", uid]:
                    body = dashboard(uid)
                case ["api", "datasources", "uid", uid, "health"]:
                    body = health_of_source(uid)
                case _:
                    raise KeyError(self.path)
            status = 200
        except (KeyError, ValueError, OSError) as error:
            print(f"{self.path}: {error!r}", file=sys.stderr)
            status, body = 404, {"message": str(error)}
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


http.server.ThreadingHTTPServer(("", 3000), Handler).serve_forever()
