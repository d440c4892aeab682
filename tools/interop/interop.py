"""Drives a `lockstep serve` with an independent client and lets an independent dissector read the wire.

Usage: interop.py BINARY FOLDER. FOLDER is made anew and keeps configuration, journal, log and captures
for who has to look into a failure. Prints a line a scenario, then what was captured, then `N passed, N failed`.
Exit code 0 only if nothing failed.
"""

import asyncio
import logging
import shutil
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import scenarios
from capture import Capture, judge
from client import Ledger
from venue import Venue

# Packets that the run cannot do without; a capture without them proves nothing.
KINDS_EXPECTED = "LAJSUHRZO+"


class CapturedVenue(Venue):
    """A venue whose every start is captured until it ends."""

    def __init__(self, binary, folder):
        super().__init__(binary, folder)
        self.captures = []
        self.starts = 0

    def start(self, driver="auto", policy="durable", close_at=None):
        began = time.monotonic()
        super().start(driver, policy, close_at)
        self.starts += 1
        print(f"serve {self.starts}: listening on {self.address} driver {self.driver}", flush=True)
        self.captures.append(Capture(self.folder, self.address[1], f"start-{self.starts}"))
        self.start_seconds = time.monotonic() - began

    def terminate(self):
        code = super().terminate()
        self.captures[-1].stop()
        return code

    def kill(self):
        super().kill()
        self.captures[-1].stop()


async def run_scenarios(desk):
    """Returns the names of those that failed."""
    failed = []
    for scenario in scenarios.ALL:
        name, began = scenario.__name__, time.monotonic()
        try:
            await asyncio.wait_for(scenario(desk), 60)
        except Exception as failure:    # a scenario may fail in any way; the others still run
            failed.append(name)
            at = traceback.extract_tb(failure.__traceback__)
            line = next((f.lineno for f in reversed(at) if f.filename.endswith("scenarios.py")), 0)
            print(f"FAIL {name} (line {line}): {type(failure).__name__} {failure}", flush=True)
        else:
            print(f"PASS {name} ({time.monotonic() - began:.1f} s)", flush=True)
    return failed


def report_captures(venue, ledger, load_sent):
    """Returns what the dissector found wrong."""
    wrong, packets, unseen, padded, resent = [], Counter(), Counter(), 0, 0
    for capture in venue.captures:
        verdict = judge(capture)
        wrong += verdict.wrong
        packets += verdict.packets
        unseen += verdict.unseen
        padded += verdict.padded_logins
        resent += verdict.resent
    missing = [kind for kind in KINDS_EXPECTED if not packets[kind]]
    if missing:
        wrong.append(f"no packet of type {missing} was captured")
    # The PyPI client sends some hundred, one burst of 400 among them; the rest is the load generator's.
    if load_sent == 0 or packets["U"] < load_sent + 400:
        wrong.append(f"{packets['U']} requests captured, the load generator sent {load_sent}")
    # A connection that a client breaks off may hold messages that no client took: never fewer.
    captured = packets["S"] + unseen["S"]
    if captured < ledger.received:
        wrong.append(f"{captured} sequenced packets captured, {ledger.received} received")
    print("captured packets by type:", dict(sorted(packets.items())))
    print("behind a cut Login Accepted, not decoded by tshark:", dict(unseen))
    print("right-padded logins of the PyPI client, flagged as expected:", padded)
    print("segments that the kernel sent twice, flagged for that:", resent)
    return wrong


def main():
    logging.disable(logging.CRITICAL)
    binary, folder = sys.argv[1], Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ledger = Ledger()
    venue = CapturedVenue(binary, folder)
    try:
        venue.start()
        desk = scenarios.Desk(venue, ledger)
        failed = asyncio.run(run_scenarios(desk))
        if venue.process.poll() is None:
            venue.terminate()
        wrong = report_captures(venue, ledger, desk.shared.get("load_sent", 0))
    finally:
        venue.clean_up()
    for line in wrong[:20]:
        print("FAIL tshark:", line)
    if not wrong:
        print("PASS tshark: nothing malformed, no expert error, sequence numbers unbroken")
    if failed:
        print("last lines of serve's log:")
        print((venue.folder / "serve.log").read_text()[-1500:])
    count_failed = len(failed) + bool(wrong)
    print(f"{len(scenarios.ALL) + 1 - count_failed} passed, {count_failed} failed")
    return 1 if count_failed else 0


if __name__ == "__main__":
    sys.exit(main())
