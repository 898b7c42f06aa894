"""Says what held, and ends the run with the first thing that did not."""

import time


def equal(what, found, expected):
    """`found` must be `expected`."""
    if found != expected:
        raise SystemExit(f"FAILED: {what}\n  found    {found!r}\n  expected {expected!r}")
    print(f"ok: {what}", flush=True)


def holds(what, condition, detail=""):
    """`condition` must hold; `detail` is shown where it does not."""
    if not condition:
        raise SystemExit(f"FAILED: {what} {detail}")
    print(f"ok: {what}", flush=True)


def until(what, condition, within_s=30):
    """Waits until `condition()` holds."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"FAILED: {what}: not within {within_s} s")
        time.sleep(0.01)
    print(f"ok: {what}", flush=True)
