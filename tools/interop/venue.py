"""A venue under test: a child `lockstep serve` with a configuration and a folder of its own."""

import os
import re
import signal
import subprocess
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

FIRMS = {1: "ALFA", 2: "BRVO"}
PASSWORD = "Secret1"
# user -> (session id, firm, cancel on disconnect)
USERS = {"ALICE": (1, "ALFA", False), "BOB": (2, "BRVO", False),
         "CAROL": (3, "BRVO", True), "RAW": (4, "ALFA", False),
         # Of our own load generator: what they receive is in no ledger.
         "LOAD1": (5, "ALFA", False), "LOAD2": (6, "BRVO", False)}
# A scenario has an instrument of its own, so that none sees another's orders.
SYMBOLS = [f"SYM{i:02}" for i in range(1, 25)]
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20
PEER_TIMEOUT_MS = 5000


class Venue:
    """Starts, stops and kills `serve`; the journal outlives each start."""

    def __init__(self, binary, folder):
        self.binary = str(binary)
        self.folder = Path(folder)
        self.log_buffer = Path(f"/dev/shm/lockstep-interop-{os.getpid()}.log")
        self.process = None
        self.address = None
        self.driver = None
        self.output = []
        self.start_seconds = 0.0
        # The venue's midnight lies half a day back, so that no run straddles a day's end.
        now = datetime.now(timezone.utc)
        self.utc_offset_minutes = 720 - (now.hour * 60 + now.minute)
        made = subprocess.run([self.binary, "admin", "hash-password"], input=PASSWORD + "\n",
                              text=True, capture_output=True, check=True)
        self.password_hash = made.stdout.strip()

    def venue_seconds(self):
        """Seconds since the venue's midnight."""
        return (time.time() + self.utc_offset_minutes * 60) % 86_400

    def _configuration(self, driver, policy, close_at):
        day = [f"utc_offset_minutes = {self.utc_offset_minutes}"]
        if close_at is not None:
            day += [f"close_at_minutes = {int(close_at) // 60}",
                    f"close_at_seconds = {int(close_at) % 60}"]
        parts = [
            "[data]", 'directory = "data"', f'log_buffer = "{self.log_buffer}"',
            "[acknowledge]", f'policy = "{policy}"', "allow_volatile = true",
            "[network]", 'listen = "127.0.0.1:0"', f'driver = "{driver}"',
            f"peer_timeout_ms = {PEER_TIMEOUT_MS}",
            "[journal]", f"segment_bytes = {4 << 20}", f"log_buffer_bytes = {4 << 20}",
            "[day]", *day,
            "[[thread]]", 'idle = "yield"',
            'agents = ["gateway", "sequencer", "consensus", "engine"]',
            "[[thread]]", 'idle = "park"', 'agents = ["journal", "stream"]',
        ]
        for number, code in FIRMS.items():
            parts += ["[[firm]]", f"id = {number}", f'code = "{code}"']
        for user, (number, firm, cancel) in USERS.items():
            parts += ["[[session]]", f"id = {number}", f'user = "{user}"', f'firm = "{firm}"',
                      f'password_argon2id = "{self.password_hash}"',
                      f"cancel_on_disconnect = {str(cancel).lower()}"]
        for number, symbol in enumerate(SYMBOLS, 1):
            parts += ["[[instrument]]", f"id = {number}", f'symbol = "{symbol}"']
        return "\n".join(parts) + "\n"

    def start(self, driver="auto", policy="durable", close_at=None):
        """Starts and waits until it listens; `close_at`: seconds after the venue's midnight."""
        path = self.folder / "venue.toml"
        path.write_text(self._configuration(driver, policy, close_at))
        errors = open(self.folder / "serve.log", "a")
        self.output = []
        self.process = subprocess.Popen([self.binary, "serve", "--config", path, "--format"],
                                        stdout=subprocess.PIPE, stderr=errors, text=True)
        errors.close()
        listening = threading.Event()
        threading.Thread(target=self._read, args=(listening,), daemon=True).start()
        began = time.monotonic()
        while not listening.wait(0.05):
            if self.process.poll() is not None or time.monotonic() - began > START_SECONDS_MAX:
                raise RuntimeError(f"serve did not start (exit {self.process.poll()}); its log:\n"
                                   + (self.folder / "serve.log").read_text()[-2000:])

    def _read(self, listening):
        for line in self.process.stdout:
            self.output.append(line.rstrip())
            found = re.match(r"listening on ([\d.]+):(\d+) driver (\S+)", line)
            if found:
                self.address = (found[1], int(found[2]))
                self.driver = found[3]
                listening.set()

    def terminate(self):
        """SIGTERM, as an operator stops it; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)

    def kill(self):
        """SIGKILL: the process is gone at once."""
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)

    def clean_up(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.log_buffer.unlink(missing_ok=True)
