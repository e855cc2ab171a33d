"""Entries: what a payload says, with texts in place of numbers."""

import sets
from dictionary import NAME, SUBJECT, TEXT
from stored import Cursor, Malformed
from tree import sha256

GRADES = ("weak", "strong")
COUNTERS = (
    "clear_subjects",
    "weak_subjects",
    "masked_subjects",
    "lookups",
    "lookup_misses",
    "stops",
)
SEVERITIES = ("info", "low", "medium", "high", "critical")


class Open:
    """What a leaf shows of its entry."""

    def __init__(self, cursor):
        self.version = cursor.u8()
        if self.version not in (1, 2):
            raise Malformed("unknown version")
        self.kind = cursor.u8()
        self.sequence = cursor.u64()
        self.time = cursor.i64()
        self.account = None
        if self.version == 2:
            account = cursor.varint()
            if account > 1 << 32:
                raise Malformed("a number is too large")
            self.account = account - 1 if account else None
        self.closed_at = cursor.at


class Head(Open):
    """What every entry begins with."""

    def __init__(self, cursor):
        super().__init__(cursor)
        self.rows = cursor.varint()
        # Of version 2 only the first bytes; the leaf has all of it.
        length = 32 if self.version == 1 else 4
        self.binding = cursor.take(length) if self.rows else None
        self.body = cursor


def content(head, payload, segment_salt, binding):
    """What the leaf is the hash of; `binding` is that of the rows, or empty."""
    if head.version == 1:
        return payload
    salt = entry_salt(segment_salt, head.sequence)
    opened, rest = payload[: head.closed_at], payload[head.closed_at :]
    return opened + closed(salt, rest) + binding


def entry_salt(segment_salt, sequence):
    return sha256(segment_salt, sequence.to_bytes(8, "little"))[:16]


def closed(salt, rest):
    return sha256(salt, rest)


class Body:
    """Reads a body, field by field."""

    def __init__(self, head, dictionary):
        self.cursor, self.dictionary = head.body, dictionary
        self.shown = head.version > 1
        self.number = head.account

    def account(self):
        """Whose act it is: in the head, or, in the first version, here."""
        if not self.shown:
            return self.name()
        number, self.number = self.number, None
        if number is None:
            raise Malformed("nobody's act")
        return self.dictionary.text(NAME, number)

    def end(self):
        if self.number is not None:
            raise Malformed("an account that stands for nothing")
        self.cursor.end()

    def name(self):
        return self.dictionary.text(NAME, self.cursor.varint())

    def text(self):
        return self.dictionary.text(TEXT, self.cursor.varint())

    def optional(self, kind):
        number = self.cursor.varint()
        return self.dictionary.text(kind, number - 1) if number else None

    def hex64(self):
        return f"{self.cursor.u64():016x}"

    def list(self, item):
        return [item() for _ in range(self.cursor.count())]

    def one_of(self, values, first=0):
        number = self.cursor.u8() - first
        if not 0 <= number < len(values):
            raise Malformed("an unknown value")
        return values[number]

    def stop(self):
        if not self.cursor.bool():
            return None
        return {
            "counter": self.one_of(COUNTERS, 1),
            "window": self.cursor.varint(),
            "max": self.cursor.varint(),
        }

    def group(self):
        group = {
            "relation": self.name(),
            "clear": self.list(self.name),
            "masked": self.list(self.name),
            "grade": self.one_of((None, *GRADES)),
        }
        group["reason"] = self.name() if group["grade"] else None
        numbers = sets.decode(self.cursor)
        group["subjects"] = [self.dictionary.text(SUBJECT, number) for number in numbers]
        return group

    def lookup(self):
        return {
            "relation": self.name(),
            "column": self.name(),
            "hit": self.cursor.bool(),
            "search": self.cursor.take(8).hex(),
        }

    def disclosed(self):
        return {
            "actor": self.account(),
            "connection": self.cursor.varint(),
            "hold": self.cursor.varint(),
            "fingerprint": self.hex64(),
            "statement": self.name(),
            "claimed": self.optional(NAME),
            "rows": self.cursor.varint(),
            "allowed": self.cursor.varint(),
            "stop": self.stop(),
            "groups": self.list(self.group),
            "lookups": self.list(self.lookup),
        }

    def values(self, groups):
        """Keyed hashes of what stood in clear columns, of subjects counted through the groups."""
        places = [
            (number, place)
            for number, group in enumerate(groups)
            for place in range(len(group["subjects"]))
        ]
        count, at, values = self.cursor.count(), 0, []
        if not count:
            raise Malformed("no values where there have to be some")
        for _ in range(count):
            at += self.cursor.varint()
            if at >= len(places):
                raise Malformed("a value of nobody")
            group, subject = places[at]
            columns = self.cursor.varint()
            clear = len(groups[group]["clear"])
            if not columns or columns >> clear:
                raise Malformed("a value of no column")
            hashes = [
                [column, self.cursor.take(6).hex()]
                for column in range(64)
                if columns >> column & 1
            ]
            values.append({"group": group, "subject": subject, "hashes": hashes})
        return values

    def with_values(self, read):
        fields = read(self)
        return {**fields, "values": self.values(fields["groups"])}

    def disclosed_values(self):
        return self.with_values(Body.disclosed)

    def observed_values(self):
        return self.with_values(Body.observed)

    def observed(self):
        """A disclosure, and what enforcement of policy would have done."""
        return {
            **self.disclosed(),
            "would": {
                "rule": self.optional(NAME),
                "masked": self.cursor.varint(),
                "unknown": self.cursor.bool(),
            },
        }

    def logged_in(self):
        return {
            "actor": self.account(),
            "connection": self.cursor.varint(),
            "client": self.name(),
        }

    def login_refused(self):
        return {"actor": self.account(), "client": self.name(), "why": self.text()}

    def logged_out(self):
        return {"actor": self.account(), "connection": self.cursor.varint()}

    def refused(self):
        return {
            "actor": self.account(),
            "connection": self.cursor.varint(),
            "fingerprint": self.hex64(),
            "statement": self.name(),
            "rule": self.name(),
        }

    def standing(self):
        return {"actor": self.account(), "by": self.name(), "why": self.text()}

    def found(self):
        return {
            "at": self.cursor.i64(),
            "actors": self.list(self.name),
            "finding": self.name(),
            "severity": self.one_of(SEVERITIES),
            "alert": self.cursor.bool(),
            "score": self.cursor.double(),
            "subjects_at_risk": self.cursor.varint(),
            "evidence": self.list(self.text),
            "why": self.text(),
        }

    def configured(self):
        return {"hash": self.cursor.take(32).hex(), "by": self.account()}

    def started(self):
        return {"version": self.name()}

    def stopped(self):
        return {}

    def read(self):
        return {"by": self.account(), "what": self.text()}

    def bound(self, none):
        time = self.cursor.i64()
        return None if time == none else time

    def asked(self):
        return {
            "by": self.account(),
            "actor": self.optional(NAME),
            "subject": self.optional(SUBJECT),
            "since": self.bound(-(1 << 63)),
            "until": self.bound((1 << 63) - 1),
        }

    def erased(self):
        return {
            "by": self.account(),
            "subject": self.dictionary.erase(self.cursor.varint()),
            "why": self.text(),
        }

    def person(self):
        return {
            "actor": self.account(),
            "by": self.name(),
            "was": self.text(),
            "now": self.text(),
        }

    def approval(self):
        return {
            "actor": self.account(),
            "by": self.name(),
            "act": self.name(),
            "number": self.cursor.varint(),
            "subject": self.dictionary.text(SUBJECT, self.cursor.varint()),
            "until": self.cursor.i64(),
            "why": self.text(),
        }

    def case(self):
        return {
            "by": self.account(),
            "number": self.cursor.varint(),
            "act": self.name(),
            "kinds": self.list(self.name),
            "roles": self.list(self.name),
            "why": self.text(),
        }

    def complained(self):
        return {
            "by": self.account(),
            "subject": self.dictionary.text(SUBJECT, self.cursor.varint()),
            "at": self.cursor.i64(),
            "complaint": self.name(),
            "fields": self.list(self.name),
            "caller": self.text(),
        }

    def planted(self):
        return {
            "by": self.account(),
            "digest": self.cursor.take(32).hex(),
            "count": self.cursor.varint(),
        }

    def decoy_hit(self):
        return {
            "by": self.account(),
            "subject": self.dictionary.text(SUBJECT, self.cursor.varint()),
            "how": self.name(),
            "why": self.text(),
        }

    def opened(self):
        return {
            "actor": self.account(),
            "connection": self.cursor.varint(),
            "relation": self.name(),
            "subject": self.optional(SUBJECT),
            "fingerprint": self.hex64(),
            "statement": self.name(),
        }


    def lost(self):
        return {
            "by": self.account(),
            "entries": self.cursor.varint(),
            "seen": self.cursor.varint(),
            "root": self.cursor.take(32).hex(),
            "why": self.text(),
        }

    def epoch_number(self):
        number = self.cursor.varint()
        if number >= 1 << 16:
            raise Malformed("a number is too large")
        return number

    def epoch(self):
        return {"number": self.epoch_number(), "commitment": self.cursor.take(32).hex()}

    def forgotten(self):
        return {
            "by": self.account(),
            "before": self.epoch_number(),
            "until": self.cursor.i64(),
        }


KINDS = {
    1: ("disclosed", Body.disclosed),
    2: ("logged_in", Body.logged_in),
    3: ("login_refused", Body.login_refused),
    4: ("logged_out", Body.logged_out),
    5: ("refused", Body.refused),
    6: ("suspended", Body.standing),
    7: ("resumed", Body.standing),
    8: ("found", Body.found),
    9: ("configured", Body.configured),
    10: ("started", Body.started),
    11: ("stopped", Body.stopped),
    12: ("read", Body.read),
    13: ("opened", Body.opened),
    14: ("asked", Body.asked),
    15: ("erased", Body.erased),
    16: ("person", Body.person),
    17: ("approval", Body.approval),
    18: ("epoch", Body.epoch),
    19: ("forgotten", Body.forgotten),
    20: ("observed", Body.observed),
    21: ("lost", Body.lost),
    22: ("disclosed", Body.disclosed_values),
    23: ("observed", Body.observed_values),
    24: ("case", Body.case),
    25: ("complained", Body.complained),
    26: ("planted", Body.planted),
    27: ("decoy_hit", Body.decoy_hit),
}


def head(payload):
    return Head(Cursor(payload))


def decode(head, dictionary):
    """The whole entry, once the rows that it brings are in the dictionary."""
    if head.kind not in KINDS:
        raise Malformed("unknown kind")
    name, read = KINDS[head.kind]
    fields = Body(head, dictionary)
    body = read(fields)
    fields.end()
    return {"sequence": head.sequence, "time": head.time, "kind": name, **body}
