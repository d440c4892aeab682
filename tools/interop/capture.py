"""Captures the venue's traffic on loopback and has Wireshark's dissector judge it.

tshark knows SoupBinTCP; of OUCH it knows 4.x only, which is therefore switched off: OUCH 5.0 read as
4.x would be flagged without fault.
"""

import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ERROR_SEVERITY = 0x00800000     # Wireshark's PI_ERROR; lower ones are notes, chats and warnings
START_SECONDS_MAX = 20


class Capture:
    """One capture of one port, from a `serve` start to its end."""

    def __init__(self, folder, port, name):
        self.file = Path(folder) / f"{name}.pcap"
        self.port = port
        # -B: kernel buffer in MiB, so that a busy machine drops nothing.
        command = ["tshark", "-q", "-B", "16", "-i", "lo", "-f", f"tcp port {port}",
                   "-w", str(self.file)]
        print("running:", " ".join(command), flush=True)
        self.log = open(Path(folder) / f"{name}.tshark.log", "w+")
        self.process = subprocess.Popen(command, stderr=self.log, stdout=subprocess.DEVNULL)
        began = time.monotonic()
        while not (self.file.exists() and self.file.stat().st_size > 0):
            if self.process.poll() is not None or time.monotonic() - began > START_SECONDS_MAX:
                raise RuntimeError(f"tshark does not capture on lo: {self._log_text()}")
            time.sleep(0.05)
        time.sleep(0.3)

    def _log_text(self):
        self.log.seek(0)
        return self.log.read()[-1000:]

    def stop(self):
        time.sleep(1.0)     # what is still in the kernel's buffer
        self.process.send_signal(signal.SIGINT)
        self.process.wait(START_SECONDS_MAX)
        if " dropped" in self._log_text():
            raise RuntimeError(f"the capture lost packets: {self._log_text()}")


def _packets(capture):
    """tshark's full decoding, a packet a time. Fields alone would not do: the calculated sequence
    numbers exist only in the shown text."""
    command = ["tshark", "-r", str(capture.file), "-d", f"tcp.port=={capture.port},soupbintcp",
               "--disable-protocol", "ouch", "-T", "pdml"]
    print("running:", " ".join(command), flush=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for _, element in ElementTree.iterparse(process.stdout):
            if element.tag == "packet":
                yield element
                element.clear()
    if process.returncode != 0:
        raise RuntimeError(f"tshark cannot read {capture.file} (exit {process.returncode})")


def _show(element, name):
    field = element.find(f".//field[@name='{name}']")
    return None if field is None else field.get("show")


def _shown_number(packet, name):
    """The number in a field's text, as `Sequence number: 12 (Calculated)`."""
    field = packet.find(f".//field[@name='{name}']")
    digits = None if field is None else re.search(r": *(\d+)", field.get("showname"))
    return int(digits[1]) if digits else None


def _complaint(packet):
    """What the dissector has against a packet, as text, or None."""
    for field in packet.iter("field"):
        if field.get("name") == "_ws.expert":
            severity = int(_show(field, "_ws.expert.severity"), 0)
            if severity >= ERROR_SEVERITY:
                return _show(field, "_ws.expert.message")
    malformed = any(proto.get("name") == "_ws.malformed" for proto in packet.iter("proto"))
    return "malformed" if malformed else None


def _is_resent(packet):
    """The kernel sent bytes of a segment again, as it does on a busy machine, and tshark's reassembly
    complains of the overlap. The bytes were judged when they were seen first."""
    return (_show(packet, "_ws.malformed.reassembly") is not None
            and packet.find("proto[@name='soupbintcp']") is None)


def _payload(packet):
    return bytes.fromhex((_show(packet, "tcp.payload") or "").replace(":", ""))


def _is_right_padded_login(packet):
    """The one packet that may be flagged: a login whose number the PyPI client padded right."""
    payload = _payload(packet)
    number = payload[29:49].rstrip(b"\0")
    return len(payload) == 49 and payload[2:3] == b"L" and number.rstrip(b" ") != number


def _kind(soup):
    """tshark shows a packet's type as 'L' or 0x4c, depending on its version."""
    shown = _show(soup, "soupbintcp.packet_type")
    return shown[1] if shown.startswith("'") else chr(int(shown, 0))


def _frames(data):
    """Types of the whole SoupBinTCP packets in `data`, and the bytes left over."""
    kinds = []
    while len(data) >= 3 and len(data) >= (length := 2 + int.from_bytes(data[:2], "big")):
        kinds.append(chr(data[2]))
        data = data[length:]
    return kinds, data


class _Cut:
    """Connections that the dissector has lost.

    It begins a new conversation at each Login Accepted. When the TCP segment that holds it ends in the
    middle of a packet, tshark's reassembly has lost the beginning: from there on it shows nothing of that
    connection, or takes bytes out of the middle of packets for packets. What it says of such a connection
    says nothing about the venue; the packets are framed here instead, from the payload bytes.
    """

    def __init__(self):
        self.open = {}
        self.kinds = Counter()

    def accepted(self, connection, packet, payload):
        _, rest = _frames(payload)
        if rest:
            self.open[connection] = (int(_show(packet, "tcp.seq_raw")) + len(payload), rest)

    def follow(self, connection, packet, payload):
        """Takes a packet of a lost connection; returns the types that SoupBinTCP does not know.

        Raw sequence numbers: tshark's relative ones begin anew with its new conversation."""
        expected, rest = self.open[connection]
        if _show(packet, "tcp.flags.syn") in ("1", "True"):
            del self.open[connection]       # the port is used by a new connection
            return []
        new = payload[max(0, expected - int(_show(packet, "tcp.seq_raw"))):]    # not what was sent twice
        kinds, rest = _frames(rest + new)
        self.open[connection] = (expected + len(new), rest)
        self.kinds.update(kinds)
        return [kind for kind in kinds if kind not in "+AJSHZ"]


class Verdict:
    """What the dissector made of a capture."""

    def __init__(self):
        self.wrong = []
        self.packets = Counter()
        self.padded_logins = 0
        self.resent = 0
        self.unseen = Counter()


def judge(capture):
    """Decodes a capture: complaints, broken numbering, packets by type."""
    verdict, expected, cut = Verdict(), {}, _Cut()
    for packet in _packets(capture):
        where = f"{capture.file.name} frame {_show(packet, 'frame.number')}"
        # Not tcp.stream: it changes where the dissector begins a conversation.
        connection = _show(packet, "tcp.dstport")
        payload = _payload(packet)
        if connection in cut.open:
            unknown = cut.follow(connection, packet, payload)
            verdict.wrong += [f"{where}: packet type {kind!r}" for kind in unknown]
            continue
        complaint = _complaint(packet)
        if complaint and _is_right_padded_login(packet):
            verdict.padded_logins += 1
        elif complaint and _is_resent(packet):
            verdict.resent += 1
        elif complaint:
            verdict.wrong.append(f"{where}: {complaint}")
        soups = packet.findall("proto[@name='soupbintcp']")
        kinds = [_kind(soup) for soup in soups]
        verdict.packets.update(kinds)
        if "A" in kinds:
            cut.accepted(connection, packet, payload)
        for kind, soup in zip(kinds, soups):
            if kind == "A":
                expected[connection] = _shown_number(soup, "soupbintcp.next_seq_num")
            elif kind == "S":
                number = _shown_number(soup, "soupbintcp.seq_num")
                if number is None or number != expected.get(connection):
                    verdict.wrong.append(
                        f"{where}: sequence {number}, expected {expected.get(connection)}")
                expected[connection] = (number or 0) + 1
    verdict.unseen = cut.kinds
    return verdict
