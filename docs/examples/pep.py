"""A policy enforcement point in ten lines. `tests/docs/test_examples.py` runs it against a real server."""

import os

import httpx

client = httpx.Client(
    base_url=os.environ["POLICY_SERVICE_URL"],
    headers={"Authorization": f"Bearer {os.environ['POLICY_SERVICE_KEY']}"},
    timeout=0.5,
)


def enforce(key: str, scope: str, resource: dict, source_ip: str) -> tuple[int, dict]:
    """The status and body to answer your own client with; 200 means: go on."""
    question = {"key": key, "scope": scope, "resource": resource, "source_ip": source_ip}
    try:
        answer = client.post("/decide", json=question)
    except httpx.TransportError:
        return 503, {"code": "decision_unavailable"}  # no answer is a no
    if answer.status_code != 200:
        return 503, {"code": "decision_unavailable"}  # our mistake or theirs; either way, not an allow
    decision = answer.json()
    if decision["decision"] == "allow":
        return 200, {}
    return decision["http_status"], {"code": decision["reason"], "message": decision["message"]}
