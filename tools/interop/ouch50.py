"""OUCH 5.0 layouts, written by hand from the specification's tables.

Deliberately independent of the project's own codec: offsets follow from the widths below, and the
totals are asserted against the specification's size table. It must never be generated from our code.
"""

import struct

# name -> (struct code, width); integers are big-endian, alpha is left-justified and space-padded.
PRICE_UNIT = 10_000
SIDE, REF, QUANTITY, PRICE, TIME = "c", "I", "I", "Q", "Q"
CLIENT_ORDER_ID, SYMBOL, FIRM = "14s", "8s", "4s"

# Client to venue: type -> (name, fields, fixed length with the length field if it is obligatory,
# whether the appendage length is obligatory).
INBOUND = {
    "O": ("EnterOrder", [("ref", REF), ("side", SIDE), ("quantity", QUANTITY), ("symbol", SYMBOL),
                         ("price", PRICE), ("time_in_force", "c"), ("display", "c"),
                         ("capacity", "c"), ("sweep", "c"), ("cross", "c"),
                         ("client_order_id", CLIENT_ORDER_ID)], 47, True),
    "U": ("ReplaceOrder", [("original", REF), ("ref", REF), ("quantity", QUANTITY),
                           ("price", PRICE), ("time_in_force", "c"), ("display", "c"),
                           ("sweep", "c"), ("client_order_id", CLIENT_ORDER_ID)], 40, True),
    "X": ("CancelOrder", [("ref", REF), ("quantity", QUANTITY)], 9, False),
    "M": ("ModifyOrder", [("ref", REF), ("side", SIDE), ("quantity", QUANTITY)], 10, False),
    "C": ("MassCancel", [("ref", REF), ("firm", FIRM), ("symbol", SYMBOL)], 19, True),
    "D": ("DisableEntry", [("ref", REF), ("firm", FIRM)], 11, True),
    "E": ("EnableEntry", [("ref", REF), ("firm", FIRM)], 11, True),
    "Q": ("AccountQuery", [], 1, False),
}

# Venue to client; every message has the timestamp right after its type.
OUTBOUND = {
    "S": ("SystemEvent", [("event", "c")], 10, None),
    "A": ("Accepted", [("ref", REF), ("side", SIDE), ("quantity", QUANTITY), ("symbol", SYMBOL),
                       ("price", PRICE), ("time_in_force", "c"), ("display", "c"),
                       ("reference", "Q"), ("capacity", "c"), ("sweep", "c"), ("cross", "c"),
                       ("state", "c"), ("client_order_id", CLIENT_ORDER_ID)], 64, True),
    "U": ("Replaced", [("original", REF), ("ref", REF), ("side", SIDE), ("quantity", QUANTITY),
                       ("symbol", SYMBOL), ("price", PRICE), ("time_in_force", "c"),
                       ("display", "c"), ("reference", "Q"), ("capacity", "c"), ("sweep", "c"),
                       ("cross", "c"), ("state", "c"),
                       ("client_order_id", CLIENT_ORDER_ID)], 68, True),
    "C": ("Canceled", [("ref", REF), ("quantity", QUANTITY), ("reason", "c")], 18, False),
    "D": ("SelfMatchCanceled", [("ref", REF), ("decrement", QUANTITY), ("reason", "c"),
                                ("prevented", QUANTITY), ("price", PRICE), ("liquidity", "c"),
                                ("strategy", "c")], 32, False),
    "E": ("Executed", [("ref", REF), ("quantity", QUANTITY), ("price", PRICE), ("liquidity", "c"),
                       ("match", "Q")], 36, True),
    "B": ("BrokenTrade", [("ref", REF), ("match", "Q"), ("reason", "c"),
                          ("client_order_id", CLIENT_ORDER_ID)], 36, False),
    "J": ("Rejected", [("ref", REF), ("reason", "H"),
                       ("client_order_id", CLIENT_ORDER_ID)], 29, False),
    "P": ("CancelPending", [("ref", REF)], 13, False),
    "I": ("CancelReject", [("ref", REF)], 13, False),
    "T": ("PriorityUpdate", [("ref", REF), ("price", PRICE), ("display", "c"),
                             ("reference", "Q")], 30, False),
    "M": ("Modified", [("ref", REF), ("side", SIDE), ("quantity", QUANTITY)], 18, False),
    "R": ("Restated", [("ref", REF), ("reason", "c")], 16, True),
    "X": ("MassCancelResponse", [("ref", REF), ("firm", FIRM), ("symbol", SYMBOL)], 27, True),
    "G": ("DisableResponse", [("ref", REF), ("firm", FIRM)], 19, True),
    "K": ("EnableResponse", [("ref", REF), ("firm", FIRM)], 19, True),
    "Q": ("AccountQueryResponse", [("next_ref", REF)], 13, False),
}

# Options: tag -> (name, struct code).
OPTIONS = {
    1: ("secondary_reference", "Q"), 2: ("firm", "4s"), 3: ("min_quantity", "I"),
    4: ("customer_type", "c"), 5: ("max_floor", "I"), 6: ("price_type", "c"),
    7: ("peg_offset", "i"), 9: ("discretion_price", "Q"), 10: ("discretion_price_type", "c"),
    11: ("discretion_peg_offset", "i"), 12: ("post_only", "c"), 13: ("random_reserves", "I"),
    14: ("route", "4s"), 15: ("expire_time", "I"), 16: ("trade_now", "c"),
    17: ("handle_inst", "c"), 18: ("bbo_weight", "c"), 22: ("display_quantity", "I"),
    23: ("display_price", "Q"), 24: ("group_id", "H"), 25: ("shares_located", "c"),
    26: ("locate_broker", "4s"), 27: ("side", "c"), 28: ("user_ref_idx", "B"),
}
TAG_OF = {name: tag for tag, (name, _) in OPTIONS.items()}


def _layout(fields, lead):
    return struct.Struct(">c" + lead + "".join(code for _, code in fields))


def _check_sizes():
    for table, lead in ((INBOUND, ""), (OUTBOUND, "Q")):
        for kind, (name, fields, fixed, obligatory) in table.items():
            size = _layout(fields, lead).size + (2 if obligatory else 0)
            assert size == fixed, f"{name} ({kind}): {size} bytes, the specification says {fixed}"


_check_sizes()


def _to_wire(code, value):
    if code == "c":
        return value.encode("ascii")
    if code.endswith("s"):
        return value.encode("ascii").ljust(int(code[:-1]))
    return value


def _from_wire(code, value):
    if code == "c":
        return value.decode("ascii")
    return value.decode("ascii").rstrip(" ") if code.endswith("s") else value


def appendage(options):
    """Options by name -> elements: length (of tag and value), tag, value."""
    out = b""
    for name, value in options.items():
        code = OPTIONS[TAG_OF[name]][1]
        raw = struct.pack(">" + code, _to_wire(code, value))
        out += bytes([len(raw) + 1, TAG_OF[name]]) + raw
    return out


def encode(kind, options=None, **values):
    """A client message. Absent options: the length field only where it is obligatory."""
    _, fields, _, obligatory = INBOUND[kind]
    raw = _layout(fields, "").pack(kind.encode(), *(_to_wire(c, values.pop(n)) for n, c in fields))
    assert not values, f"no such fields: {values}"
    if options is None and not obligatory:
        return raw
    block = appendage(options or {})
    return raw + struct.pack(">H", len(block)) + block


def enter(ref, side, quantity, symbol, price, time_in_force="0", client_order_id="", **changes):
    """Enter Order with the usual flags; `options=` and single fields may be given."""
    fields = dict(ref=ref, side=side, quantity=quantity, symbol=symbol, price=price,
                  time_in_force=time_in_force, display="Y", capacity="P", sweep="N", cross="N",
                  client_order_id=client_order_id)
    options = changes.pop("options", None)
    return encode("O", options, **{**fields, **changes})


def replace(original, ref, quantity, price, client_order_id="", **changes):
    """Replace Order with the usual flags; quantity is the chain's total, executed shares included."""
    fields = dict(original=original, ref=ref, quantity=quantity, price=price, time_in_force="0",
                  display="Y", sweep="N", client_order_id=client_order_id)
    options = changes.pop("options", None)
    return encode("U", options, **{**fields, **changes})


class Message(dict):
    """A decoded venue message: its fields by name, options under their names."""

    __getattr__ = dict.__getitem__


def decode(raw):
    """A venue message; raises ValueError on anything that the specification does not allow."""
    kind = chr(raw[0])
    if kind not in OUTBOUND:
        raise ValueError(f"unknown message type {kind!r}: {raw.hex()}")
    name, fields, fixed, obligatory = OUTBOUND[kind]
    layout = _layout(fields, "Q")
    if len(raw) < fixed:
        raise ValueError(f"{name}: {len(raw)} bytes, at least {fixed} expected: {raw.hex()}")
    _, timestamp, *values = layout.unpack_from(raw)
    message = Message(kind=kind, name=name, timestamp=timestamp)
    for (field, code), value in zip(fields, values):
        message[field] = _from_wire(code, value)
    rest = raw[layout.size:]
    if not rest:
        return message
    if obligatory is None or len(rest) < 2 or struct.unpack_from(">H", rest)[0] != len(rest) - 2:
        raise ValueError(f"{name}: bytes after the message do not fit its appendage: {raw.hex()}")
    message.update(_options(name, rest[2:]))
    return message


def _options(name, block):
    found = {}
    while block:
        length, tag = block[0], block[1] if len(block) > 1 else None
        if tag not in OPTIONS or len(block) < 1 + length:
            raise ValueError(f"{name}: broken option {block.hex()}")
        option, code = OPTIONS[tag]
        value = block[2:1 + length]
        if len(value) != struct.calcsize(">" + code):
            raise ValueError(f"{name}: option {option} has {len(value)} bytes")
        found["option_" + option] = _from_wire(code, struct.unpack(">" + code, value)[0])
        block = block[1 + length:]
    return found
