"""Clients of the venue: the independent PyPI client, and a small raw one for what it cannot send.

Both write what they receive into one `Ledger`: a number of a user's stream never has two contents, not
across replays, connections, restarts or drivers.
"""

import asyncio

import ouch50
from nasdaq_protocols import soup
from nasdaq_protocols.soup._reader import SoupMessageReader

WAIT_SECONDS_MAX = 40


class Ledger:
    """Every numbered message that any client ever received: user -> number -> bytes."""

    def __init__(self):
        self.streams = {}
        self.received = 0

    def put(self, user, number, payload):
        stream = self.streams.setdefault(user, {})
        known = stream.setdefault(number, payload)
        assert known == payload, (f"message {number} of {user} was {known.hex()} and is now "
                                  f"{payload.hex()}: a number has two contents")
        self.received += 1

    def next_number(self, user):
        return max(self.streams.get(user, {0: b""})) + 1


class _SessionId(soup.SoupSessionId):
    """The library's session id with a place for the client that owns the session."""

    client = None


class _RecordingReader(SoupMessageReader):
    """The library's own parser; it also shows every packet, heartbeats and `Z` included."""

    def deserialize(self):
        message, stop, skip = super().deserialize()
        if message is not None:
            self.session_id.client.handle_packet(message)
        return message, stop, skip


class Client:
    """A logged-in `nasdaq-protocols` SoupBinTCP session that speaks OUCH 5.0."""

    def __init__(self, user, ledger):
        self.user, self.ledger = user, ledger
        self.messages = asyncio.Queue()
        self.heartbeats = 0
        self.debugs = []
        self.ended = False
        self.accepted = None
        self.next_number = None
        self.session = None

    @classmethod
    async def log_in(cls, venue, ledger, user, sequence, password="secret1", session=""):
        """Raises ConnectionRefusedError when the venue rejects the login or closes."""
        self = cls(user, ledger)

        async def ignore(_):
            """Messages are taken where the reader parses them."""

        def make():
            made = soup.SoupClientSession(on_msg_coro=ignore, client_heartbeat_interval=1,
                                          server_heartbeat_interval=3, session_id=_SessionId())
            made.session_id.client = self
            made.reader_factory = _RecordingReader
            self.session = made
            return made

        await soup.connect_async(venue.address, user, password, session, sequence,
                                 session_factory=make)
        return self

    def handle_packet(self, packet):
        if isinstance(packet, soup.LoginAccepted):
            self.accepted, self.next_number = packet, packet.sequence
        elif isinstance(packet, soup.SequencedData):
            self.ledger.put(self.user, self.next_number, bytes(packet.data))
            self.messages.put_nowait((self.next_number, ouch50.decode(bytes(packet.data))))
            self.next_number += 1
        elif isinstance(packet, soup.ServerHeartbeat):
            self.heartbeats += 1
        elif isinstance(packet, soup.EndOfSession):
            self.ended = True
        elif isinstance(packet, soup.Debug):
            self.debugs.append(packet.msg)

    def send(self, message):
        self.session.send_unseq_data(message)

    async def receive(self):
        """The next message."""
        _, message = await asyncio.wait_for(self.messages.get(), WAIT_SECONDS_MAX)
        return message

    async def expect(self, kind, **fields):
        """The next message must be of this type with these values."""
        message = await self.receive()
        wrong = {k: message.get(k) for k, v in fields.items() if message.get(k) != v}
        assert message.kind == kind and not wrong, \
            f"{self.user} expected {kind} {fields}, received {message}"
        return message

    async def next_ref(self):
        """Asks for the next usable UserRefNum. Since the venue answers in order, it also proves that
        nothing else was answered before."""
        self.send(ouch50.encode("Q"))
        return (await self.expect("Q")).next_ref

    async def skip_to(self, number):
        """Takes what is replayed below `number`."""
        while self.next_number < number or not self.messages.empty():
            await self.receive()

    async def closed(self):
        """Waits until the venue has closed the connection."""
        for _ in range(WAIT_SECONDS_MAX * 100):
            # Not the library's close callback: it is never called when Z and the close come together.
            if self.session.is_closed() and self.session._reader._task.done():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{self.user}: the venue did not close the connection")

    async def abort(self):
        """The connection breaks, without a logout."""
        self.session._transport.abort()
        await self.session.close()

    async def log_out(self):
        self.session.logout()
        await self.closed()


class RawClient:
    """Packets by hand, numbers padded left as the specification says; also sends what is illegal."""

    def __init__(self, reader, writer, ledger):
        self.reader, self.writer, self.ledger = reader, writer, ledger
        self.user, self.next_number = None, None

    @classmethod
    async def connect(cls, venue, ledger):
        return cls(*await asyncio.open_connection(*venue.address), ledger)

    def send(self, raw):
        self.writer.write(raw)

    def send_packet(self, kind, payload=b""):
        self.send((len(payload) + 1).to_bytes(2, "big") + kind.encode() + payload)

    def send_login(self, user, sequence, password="SECRET1", session=""):
        self.user = user
        self.send_packet("L", user.ljust(6).encode() + password.ljust(10).encode()
                         + session.rjust(10).encode() + str(sequence).rjust(20).encode())

    async def packet(self):
        """(type, payload), or None at the connection's end."""
        try:
            head = await asyncio.wait_for(self.reader.readexactly(3), WAIT_SECONDS_MAX)
            payload = await self.reader.readexactly(int.from_bytes(head[:2], "big") - 1)
        except (asyncio.IncompleteReadError, ConnectionResetError) as end:
            assert not getattr(end, "partial", b""), f"the venue cut a packet: {end}"
            return None
        kind = chr(head[2])
        if kind == "A":
            self.next_number = int(payload[10:])
        if kind == "S":
            self.ledger.put(self.user, self.next_number, payload)
            self.next_number += 1
        return kind, payload

    async def until_closed(self):
        """Everything that comes before the venue closes, heartbeats left out."""
        packets = []
        while (packet := await self.packet()) is not None:
            if packet[0] != "H":
                packets.append(packet)
        return packets

    async def expect(self, kind, **fields):
        """The next OUCH message must be of this type with these values."""
        while (packet := await self.packet()) is not None and packet[0] != "S":
            assert packet[0] == "H", f"unexpected packet {packet}"
        assert packet is not None, f"closed while waiting for {kind}"
        message = ouch50.decode(packet[1])
        wrong = {k: message.get(k) for k, v in fields.items() if message.get(k) != v}
        assert message.kind == kind and not wrong, f"expected {kind} {fields}, received {message}"
        return message

    def close(self):
        self.writer.close()
