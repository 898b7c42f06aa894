"""Ten thousand tenants, a call each; some have names that a page must not take for anything but text."""

import http.client
import json
import time

COUNT = 10_000
CALLS_A_REQUEST = 1_000

REVERSED = "\u202etxet desrever"
HOSTILE = [
    '<img src=x onerror="window.hacked=1">',
    '"><script>window.hacked=1</script>',
    "javascript:window.hacked=1",
    "</td></table><h1>hacked</h1>",
    "{{constructor.constructor('window.hacked=1')()}}",
    REVERSED,
    # The longest that is a name.
    "W" * 256,
]
# The call that `explain` is asked for.
HOSTILE_TRACE = "00000000000000000000000000000001"
HOSTILE_SPAN = "<svg onload=window.hacked=1> chat"


def send(server):
    """Sends the calls and has them settled."""
    now = time.time_ns()
    names = HOSTILE + [f"tenant-{number:05}" for number in range(COUNT - len(HOSTILE))]
    for start in range(0, COUNT, CALLS_A_REQUEST):
        numbered = enumerate(names[start : start + CALLS_A_REQUEST], start)
        spans = [span(number, tenant, now) for number, tenant in numbered]
        scope = {"name": "<b>scope</b>", "version": "<i>1</i>"}
        body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": scope, "spans": spans}]}]}
        connection = http.client.HTTPConnection(server.address["otlp_http"], timeout=60)
        connection.request("POST", "/v1/traces", json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"the calls were refused: {answer.status} {answer.read()!r}")
        connection.close()
    server.command("settle")


def span(number, tenant, now):
    hostile = number < len(HOSTILE)
    # The hostile ones cost most, so that they stand where people look.
    tokens = 2_000_000 - number * 1_000 if hostile else 1_000 + number % 997
    return {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": HOSTILE_SPAN if hostile else "chat gpt-4o",
        "kind": 3,
        "startTimeUnixNano": str(now - 2_000_000_000),
        "endTimeUnixNano": str(now - 1_000_000_000),
        "attributes": [
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", "gpt-4o"),
            text("tenant.id", tenant),
            text("feature.name", "<u>search</u>" if hostile else "search"),
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": str(tokens)}},
            {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "100"}},
        ],
    }


def text(key, value):
    return {"key": key, "value": {"stringValue": value}}
