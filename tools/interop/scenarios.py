"""What clients do to a venue, one function a scenario; a failed assertion is a FAIL.

The order matters: the venue is stopped, killed and closed on the way, and later scenarios look at what
earlier ones left. Each has its own instrument.
"""

import asyncio
import json
import subprocess
import time

import ouch50
from client import Client, RawClient
from venue import PEER_TIMEOUT_MS

PRICE = 25 * ouch50.PRICE_UNIT


class Desk:
    """One venue, the ledger of what was received, and how to log in."""

    def __init__(self, venue, ledger):
        self.venue, self.ledger = venue, ledger
        self.shared = {}

    async def log_in(self, user, sequence=None, **more):
        """Logs in where the user left off, or from `sequence`; what is replayed is taken."""
        wanted = self.ledger.next_number(user) if sequence is None else sequence
        client = await Client.log_in(self.venue, self.ledger, user, wanted, **more)
        assert client.accepted.sequence == wanted or wanted == 0, client.accepted
        return client

    async def refused(self, reason, user, sequence=1, **more):
        try:
            client = await Client.log_in(self.venue, self.ledger, user, sequence, **more)
        except ConnectionRefusedError as refusal:
            assert reason in str(refusal), f"refused with {refusal}, expected {reason}"
            return
        await client.abort()
        raise AssertionError(f"login of {user} was accepted, expected {reason}")

    async def raw(self):
        return await RawClient.connect(self.venue, self.ledger)


async def login_accepted(desk):
    client = await desk.log_in("ALICE", 1)
    name = client.accepted.session_id
    assert len(name) == 8 and name.isdigit(), f"the session is named {name!r}, not after the date"
    await client.expect("S", event="S")
    assert await client.next_ref() == 1
    await client.log_out()
    again = await desk.log_in("alice", 1, session=name)
    await again.skip_to(desk.ledger.next_number("ALICE"))
    assert again.accepted.session_id == name
    await again.log_out()


async def login_rejected(desk):
    await desk.refused("NOT_AUTHORIZED", "ALICE", password="wrong")
    await desk.refused("NOT_AUTHORIZED", "NOBODY")
    await desk.refused("SESSION_NOT_AVAILABLE", "ALICE", session="YESTERDAY")
    await desk.refused("SESSION_NOT_AVAILABLE", "ALICE", sequence=1_000_000)
    raw = await desk.raw()
    raw.send_login("RAW", 1, password="wrong")
    assert await raw.until_closed() == [("J", b"A")], "J A, then close"


async def login_number_zero_is_new_messages_only(desk):
    client = await desk.log_in("BOB", 0)
    assert client.accepted.sequence == 2, "the day's first message is System Event S"
    assert await client.next_ref() == 1
    await client.log_out()


async def enter_is_accepted_with_every_value(desk):
    client = await desk.log_in("ALICE")
    ref = await client.next_ref()
    client.send(ouch50.enter(ref, "B", 300, "SYM01", PRICE, client_order_id="first-1"))
    answer = await client.expect("A", ref=ref, side="B", quantity=300, symbol="SYM01", price=PRICE,
                                 time_in_force="0", display="Y", capacity="P", sweep="N",
                                 cross="N", state="L", client_order_id="first-1")
    assert answer.reference > 0
    local_ns = int(desk.venue.venue_seconds() * 1e9)
    assert abs(answer.timestamp - local_ns) < 60 * 10**9, "ns since the venue's midnight"
    client.send(ouch50.enter(ref + 1, "S", 10, "SYM01", PRICE * 2, options={
        "firm": "ALFA", "user_ref_idx": 0}))
    await client.expect("A", ref=ref + 1, side="S", option_firm="ALFA")
    for order in (ref, ref + 1):
        client.send(ouch50.encode("X", ref=order, quantity=0))
        await client.expect("C", ref=order, reason="U")
    await client.log_out()


async def execute_is_told_to_both_sides(desk):
    alice, bob = await desk.log_in("ALICE"), await desk.log_in("BOB")
    a, b = await alice.next_ref(), await bob.next_ref()
    alice.send(ouch50.enter(a, "S", 100, "SYM02", PRICE))
    alice.send(ouch50.enter(a + 1, "S", 100, "SYM02", PRICE + 100))
    for ref in (a, a + 1):
        await alice.expect("A", ref=ref)
    bob.send(ouch50.enter(b, "B", 250, "SYM02", PRICE + 100))
    await bob.expect("A", ref=b, quantity=250)
    for ref, price in ((a, PRICE), (a + 1, PRICE + 100)):
        taken = await bob.expect("E", ref=b, quantity=100, price=price, liquidity="R")
        await alice.expect("E", ref=ref, quantity=100, price=price, liquidity="A",
                           match=taken.match)
    bob.send(ouch50.encode("X", ref=b, quantity=0))
    await bob.expect("C", ref=b, quantity=50, reason="U")
    await alice.log_out()
    await bob.log_out()


async def immediate_or_cancel_and_fill_or_kill(desk):
    alice, bob = await desk.log_in("ALICE"), await desk.log_in("BOB")
    a, b = await alice.next_ref(), await bob.next_ref()
    alice.send(ouch50.enter(a, "S", 100, "SYM03", PRICE))
    await alice.expect("A", ref=a)
    bob.send(ouch50.enter(b, "B", 150, "SYM03", PRICE, "3", options={"min_quantity": 150}))
    await bob.expect("A", ref=b, option_min_quantity=150)
    await bob.expect("C", ref=b, quantity=150, reason="I")
    bob.send(ouch50.enter(b + 1, "B", 150, "SYM03", PRICE, "3"))
    await bob.expect("A", ref=b + 1)
    await bob.expect("E", ref=b + 1, quantity=100)
    await bob.expect("C", ref=b + 1, quantity=50, reason="I")
    await alice.expect("E", ref=a, quantity=100)
    await alice.log_out()
    await bob.log_out()


async def replace_takes_the_originals_place(desk):
    client = await desk.log_in("ALICE")
    ref = await client.next_ref()
    client.send(ouch50.enter(ref, "B", 100, "SYM04", PRICE))
    first = await client.expect("A", ref=ref)
    client.send(ouch50.replace(ref, ref + 1, 200, PRICE - 100, client_order_id="second"))
    second = await client.expect("U", original=ref, ref=ref + 1, quantity=200, price=PRICE - 100,
                                 side="B", symbol="SYM04", state="L", client_order_id="second")
    assert second.reference != first.reference, "a replaced order has a new reference"
    client.send(ouch50.replace(ref, ref + 2, 300, PRICE))       # no longer live: silence
    assert await client.next_ref() == ref + 2, "a Replace that is ignored consumes no number"
    client.send(ouch50.encode("X", ref=ref + 1, quantity=0))
    await client.expect("C", ref=ref + 1, quantity=200, reason="U")
    await client.log_out()


async def cancel_in_part_and_whole(desk):
    client = await desk.log_in("BOB")
    ref = await client.next_ref()
    client.send(ouch50.enter(ref, "B", 500, "SYM05", PRICE))
    await client.expect("A", ref=ref)
    client.send(ouch50.encode("X", ref=ref, quantity=200))
    await client.expect("C", ref=ref, quantity=300, reason="U")
    client.send(ouch50.encode("X", {}, ref=ref, quantity=0))    # with an empty appendage: legal
    await client.expect("C", ref=ref, quantity=200, reason="U")
    client.send(ouch50.encode("X", ref=ref, quantity=0))        # superfluous: silence
    assert await client.next_ref() == ref + 1
    await client.log_out()


async def modify_keeps_the_order(desk):
    client = await desk.log_in("BOB")
    ref = await client.next_ref()
    client.send(ouch50.enter(ref, "S", 500, "SYM06", PRICE))
    await client.expect("A", ref=ref, side="S")
    client.send(ouch50.encode("M", ref=ref, side="T", quantity=400))
    await client.expect("M", ref=ref, side="T", quantity=400)
    client.send(ouch50.encode("X", ref=ref, quantity=0))
    await client.expect("C", ref=ref, quantity=400, reason="U")
    await client.log_out()


async def rejects_consume_the_number(desk):
    client = await desk.log_in("ALICE")
    ref = await client.next_ref()
    wrong = [(0x17, dict(symbol="NOSUCH")), (0x13, dict(quantity=0)), (0x1D, dict(price=0)),
             (0x09, dict(side="Q")), (0x0F, dict(time_in_force="6")), (0x03, dict(display="Z"))]
    for i, (reason, change) in enumerate(wrong):
        fields = dict(side="B", quantity=1, symbol="SYM07", price=PRICE, client_order_id="wrong")
        client.send(ouch50.enter(ref + i, **{**fields, **change}))
        await client.expect("J", ref=ref + i, reason=reason, client_order_id="wrong")
    assert await client.next_ref() == ref + len(wrong)
    await client.log_out()


async def duplicate_resubmission_is_ignored(desk):
    client = await desk.log_in("ALICE")
    ref = await client.next_ref()
    order = ouch50.enter(ref, "B", 100, "SYM08", PRICE)
    client.send(order)
    await client.expect("A", ref=ref)
    client.send(order)
    client.send(ouch50.enter(ref, "S", 7, "SYM08", PRICE + 700))
    assert await client.next_ref() == ref + 1, "silence, and no number consumed"
    await client.abort()
    again = await desk.log_in("ALICE")
    again.send(order)
    assert await again.next_ref() == ref + 1, "also on a new connection"
    again.send(ouch50.encode("X", ref=ref, quantity=0))
    await again.expect("C", ref=ref, quantity=100)
    await again.log_out()


async def replay_of_what_was_missed(desk):
    alice, bob = await desk.log_in("ALICE"), await desk.log_in("BOB")
    a, b = await alice.next_ref(), await bob.next_ref()
    alice.send(ouch50.enter(a, "S", 300, "SYM09", PRICE))
    await alice.expect("A", ref=a)
    missed_from = alice.next_number
    await alice.abort()
    for i in range(3):
        bob.send(ouch50.enter(b + i, "B", 100, "SYM09", PRICE))
        await bob.expect("A", ref=b + i)
        await bob.expect("E", ref=b + i, quantity=100)
    again = await desk.log_in("ALICE", missed_from, session=alice.accepted.session_id)
    for _ in range(3):
        await again.expect("E", ref=a, quantity=100, price=PRICE, liquidity="A")
    assert again.session.sequence == again.next_number - 1, "the library counted the same"
    await again.log_out()
    await bob.log_out()


async def replay_from_one_is_the_same_bytes(desk):
    """The ledger compares every byte with what was received live."""
    for user in ("ALICE", "BOB"):
        end, before = desk.ledger.next_number(user), desk.ledger.received
        client = await desk.log_in(user, 1)
        await client.skip_to(end)
        assert desk.ledger.received - before == end - 1 > 10
        await client.log_out()
    raw = await desk.raw()
    raw.send_login("ALICE", 1)
    while raw.next_number is None or raw.next_number < desk.ledger.next_number("ALICE"):
        assert await raw.packet() is not None
    raw.send_packet("O")
    await raw.until_closed()


async def newest_login_wins(desk):
    first = await desk.log_in("BOB")
    second = await desk.log_in("BOB")
    await first.closed()
    assert first.ended, "the older connection gets Z"
    await second.next_ref()
    await second.log_out()
    assert not second.ended, "a logout is answered by closing, without Z"


async def cancel_on_disconnect(desk):
    client = await desk.log_in("CAROL", 1)
    await client.expect("S", event="S")
    client.send(ouch50.enter(1, "B", 100, "SYM10", PRICE))
    await client.expect("A", ref=1)
    await client.abort()
    again = await desk.log_in("CAROL")
    await again.expect("C", ref=1, quantity=100, reason="Z")
    await again.log_out()


async def heartbeats_keep_and_their_lack_ends(desk):
    """The idle client sends and gets heartbeats and stays; the mute one is closed."""
    idle, mute = await desk.log_in("ALICE"), await desk.raw()
    began = time.monotonic()
    mute.send_login("RAW", 0)
    packets = await mute.until_closed()
    took = time.monotonic() - began
    assert packets[0][0] == "A" and len(packets) == 1, packets
    seconds = PEER_TIMEOUT_MS / 1000
    assert seconds - 0.5 < took < seconds + 3, f"the mute client was closed after {took:.1f} s"
    await asyncio.sleep(1.5)
    assert idle.heartbeats >= 4, f"{idle.heartbeats} server heartbeats in {took + 1.5:.1f} s"
    assert not idle.session.is_closed(), "the client that sends heartbeats stays"
    await idle.next_ref()
    await idle.log_out()


async def violations_end_only_their_connection(desk):
    witness = await desk.log_in("ALICE")
    before_login = await desk.raw()
    before_login.send_packet("U", ouch50.encode("Q"))
    assert await before_login.until_closed() == [], "data before login: close"
    garbage = await desk.raw()
    garbage.send(b"GET / HTTP/1.1\r\n\r\n")
    packets = await garbage.until_closed()
    assert [kind for kind, _ in packets] == ["+"], f"debug, then close: {packets}"
    for payload in (b"?", b"O123", ouch50.encode("Q") + b"\0"):
        raw = await desk.raw()
        raw.send_login("RAW", 0)
        assert (await raw.packet())[0] == "A"
        raw.send_packet("U", payload)
        packets = await raw.until_closed()
        assert [kind for kind, _ in packets] == ["+"], f"debug, then close: {packets}"
    await witness.next_ref()
    await witness.log_out()


async def raw_client_cut_at_every_byte(desk):
    raw = await desk.raw()
    raw.send_login("RAW", 0)
    assert (await raw.packet())[0] == "A"
    for piece in (ouch50.enter(1, "B", 10, "SYM11", PRICE), ouch50.encode("X", ref=1, quantity=0)):
        for byte in (len(piece) + 1).to_bytes(2, "big") + b"U" + piece:
            raw.send(bytes([byte]))
            await raw.writer.drain()
            await asyncio.sleep(0.001)
    await raw.expect("A", ref=1)
    await raw.expect("C", ref=1, quantity=10)
    raw.send_packet("O")
    await raw.until_closed()


async def own_load_generator(desk):
    """Its packets are in the capture, and the dissector judges them like everybody's."""
    host, port = desk.venue.address
    command = [desk.venue.binary, "bench", "order", "--address", f"{host}:{port}", "--sessions", "2",
               "--login-pattern", "LOAD%:secret1", "--symbol", "SYM20", "--rate", "1000",
               "--profile", "bursts:10", "--warm-up", "0.1", "--duration", "1.4", "--idle", "park",
               "--driver", "epoll", "--json"]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True,
                                    timeout=50)
    # The exit code says whether the figures are valid, which a busy machine decides.
    counts = json.loads(ended.stdout)["counts"]
    assert counts["sent"] == counts["answered"] == 1500, f"{counts} {ended.stderr}"
    wrong = {name: counts[name] for name in
             ("refused", "unfilled", "out_of_order", "unreadable", "unanswered") if counts[name]}
    assert not wrong, wrong
    desk.shared["load_sent"] = counts["sent"]


async def orders_survive_an_orderly_stop(desk):
    alice = await desk.log_in("ALICE")
    ref = await alice.next_ref()
    alice.send(ouch50.enter(ref, "S", 100, "SYM12", PRICE))
    await alice.expect("A", ref=ref)
    code = await asyncio.to_thread(desk.venue.terminate)
    assert code == 0, f"SIGTERM ended serve with code {code}"
    await alice.closed()
    assert not alice.ended, "no Z: the trading session goes on after the restart"
    await asyncio.to_thread(desk.venue.start, "epoll")
    assert desk.venue.driver == "epoll"
    alice, bob = await desk.log_in("ALICE"), await desk.log_in("BOB")
    b = await bob.next_ref()
    bob.send(ouch50.enter(b, "B", 100, "SYM12", PRICE))
    await bob.expect("A", ref=b)
    taken = await bob.expect("E", ref=b, quantity=100, price=PRICE, liquidity="R")
    await alice.expect("E", ref=ref, quantity=100, liquidity="A", match=taken.match)
    await alice.log_out()
    await bob.log_out()


async def kill_in_the_middle_of_a_burst(desk):
    """Every order is acknowledged exactly once in the end, whatever the kill cut off."""
    bob, total = await desk.log_in("BOB"), 400
    first = await bob.next_ref()
    orders = {first + i: ouch50.enter(first + i, "B", 1, "SYM13", PRICE - 100 * (i % 50))
              for i in range(total)}
    for ref in orders:
        bob.send(orders[ref])
    acknowledged = [(await bob.expect("A")).ref for _ in range(50)]
    await asyncio.to_thread(desk.venue.kill)
    await bob.closed()
    while not bob.messages.empty():
        acknowledged.append((await bob.receive()).ref)
    await asyncio.to_thread(desk.venue.start)
    bob = await desk.log_in("BOB")
    for ref in orders:
        bob.send(orders[ref])
    while acknowledged[-1] != first + total - 1:
        acknowledged.append((await bob.expect("A")).ref)
    assert acknowledged == list(orders), "each order acknowledged once, in order"
    for ref in orders:
        bob.send(ouch50.encode("X", ref=ref, quantity=0))
    for ref in orders:
        await bob.expect("C", ref=ref, quantity=1)
    assert await bob.next_ref() == first + total
    await bob.log_out()


async def replay_after_restarts_is_the_same_bytes(desk):
    await replay_from_one_is_the_same_bytes(desk)


async def the_day_ends(desk):
    code = await asyncio.to_thread(desk.venue.terminate)
    assert code == 0, f"SIGTERM ended serve with code {code}"
    # Room for a start as slow as the last one, and for the orders.
    close_at = int(desk.venue.venue_seconds() + 6 + 2 * min(desk.venue.start_seconds, 15))
    await asyncio.to_thread(desk.venue.start, "auto", "durable", close_at)
    alice, bob = await desk.log_in("ALICE"), await desk.log_in("BOB")
    ref = await alice.next_ref()
    alice.send(ouch50.enter(ref, "B", 100, "SYM14", PRICE))
    await alice.expect("A", ref=ref)
    alice.send(ouch50.enter(ref + 1, "B", 100, "SYM14", PRICE - 100))
    await alice.expect("A", ref=ref + 1)
    assert desk.venue.venue_seconds() < close_at, "the venue was too slow for this scenario"
    for order in (ref, ref + 1):
        ended = await alice.expect("C", ref=order, quantity=100, reason="E")
        assert ended.timestamp >= close_at * 10**9, "not before its time"
    for client in (alice, bob):
        await client.expect("S", event="E")
        await client.closed()
        assert client.ended and client.messages.empty(), \
            f"Z, then close: Z {client.ended}, {client.messages.qsize()} messages"
    await desk.refused("SESSION_NOT_AVAILABLE", "ALICE")
    raw = await desk.raw()
    raw.send_login("RAW", 1)
    assert await raw.until_closed() == [("J", b"S")], "no trading day is open"


ALL = [
    login_accepted, login_rejected, login_number_zero_is_new_messages_only,
    enter_is_accepted_with_every_value, execute_is_told_to_both_sides,
    immediate_or_cancel_and_fill_or_kill, replace_takes_the_originals_place,
    cancel_in_part_and_whole, modify_keeps_the_order, rejects_consume_the_number,
    duplicate_resubmission_is_ignored, replay_of_what_was_missed,
    replay_from_one_is_the_same_bytes, newest_login_wins, cancel_on_disconnect,
    heartbeats_keep_and_their_lack_ends, violations_end_only_their_connection,
    raw_client_cut_at_every_byte, own_load_generator, orders_survive_an_orderly_stop, kill_in_the_middle_of_a_burst,
    replay_after_restarts_is_the_same_bytes, the_day_ends,
]
