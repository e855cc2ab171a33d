"""Keys and checkpoints: C2SP signed notes with Ed25519."""

import base64
import binascii
import functools
import re
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tree import sha256

ED25519 = b"\x01"
COSIGNATURE = b"\x04"


class Key(NamedTuple):
    """The public half of a ledger's key, or a witness's."""

    name: str
    public: bytes

    def id(self, kind=ED25519):
        return sha256(self.name.encode(), b"\n", kind, self.public)[:4]

    def ledger_id(self):
        return sha256(b"postern ledger 1\n", self.name.encode(), b"\n", self.public)[:16]


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes


def decode_base64(text):
    """Base64 in its one form: padded, nothing left over, no stray bits."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
    if base64.b64encode(decoded).decode() != text:
        raise ValueError("base64 in another form than the usual")
    return decoded


def _parse(text, kind):
    """Reads `name+id+base64`, of a key of this kind."""
    name, plus, rest = text.partition("+")
    identity, second, encoded = rest.partition("+")
    if not (name and plus and second) or any(character.isspace() for character in name):
        raise ValueError("not a key")
    tagged = decode_base64(encoded)
    if len(tagged) != 33 or tagged[:1] != kind:
        raise ValueError("not such an Ed25519 key")
    key = Key(name, tagged[1:])
    if key.id(kind).hex() != identity:
        raise ValueError("the key's id is not its own")
    try:
        Ed25519PublicKey.from_public_bytes(key.public)
    except ValueError as error:
        raise ValueError("not a point") from error
    return key


def parse_key(text):
    """Reads a ledger's key."""
    return _parse(text, ED25519)


def parse_witnesses(texts, enough):
    """Reads the keys of witnesses, each another, of whom so many are enough."""
    keys = [_parse(text.strip(), COSIGNATURE) for text in texts]
    if len({key.public for key in keys}) < len(keys):
        raise ValueError("two of the witnesses are one key")
    if not 1 <= enough <= len(keys):
        raise ValueError(f"{enough} of {len(keys)} witnesses can't be enough")
    return Witnesses(keys, enough)


def belongs(seed, key):
    """Whether a signing key is that of a public one."""
    if len(seed) != 32:
        return False
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw) == key.public


@functools.lru_cache(maxsize=1024)
def _holds(public, signature, text):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signatures(lines):
    """The signature lines of a note: name, id, signature."""
    for line in lines:
        match = re.fullmatch(r"\u2014 ([^\s+]+) (\S+)", line)
        if not match:
            raise ValueError("not a signature line")
        signed = decode_base64(match[2])
        if len(signed) < 5:
            raise ValueError("a signature is too short")
        yield match[1], signed[:4], signed[4:]


def open_note(data, key):
    """The text of a signed note, once the key's signature holds."""
    text = data.decode("utf-8")
    if any(character < " " and character != "\n" for character in text):
        raise ValueError("a control character")
    body, gap, signatures = text.rpartition("\n\n")
    if not gap or not signatures.endswith("\n"):
        raise ValueError("not a signed note")
    body += "\n"
    signed = False
    for name, identity, signature in list(_signatures(signatures[:-1].split("\n"))):
        if (name, identity) != (key.name, key.id()):
            continue
        if not _holds(key.public, signature, body.encode()):
            raise ValueError("the signature does not hold")
        signed = True
    if not signed:
        raise ValueError("not signed by the key")
    return body


class Witnesses(NamedTuple):
    """Whose cosignatures count, and how many of them are enough."""

    keys: list
    enough: int

    def demand(self, data):
        """ValueError unless enough of them cosigned a note."""
        found = cosigners(data, self.keys)
        if len(found) < self.enough:
            raise ValueError(
                f"cosigned by {len(found)} of the {len(self.keys)} witnesses who count, "
                f"and {self.enough} are needed"
            )


def cosigners(data, witnesses):
    """Those of the witnesses who cosigned a note, as C2SP tlog-cosignature has it."""
    body, _, signatures = data.decode("utf-8").rpartition("\n\n")
    body += "\n"
    found = set()
    for name, identity, signed in _signatures(signatures[:-1].split("\n")):
        for key in witnesses:
            if (name, identity) != (key.name, key.id(COSIGNATURE)) or len(signed) != 72:
                continue
            seconds = int.from_bytes(signed[:8], "big")
            text = f"cosignature/v1\ntime {seconds}\n{body}"
            if _holds(key.public, signed[8:], text.encode()):
                found.add(key)
    return found


def parse_arguments(given):
    """The key, and the witnesses' if there are any: `KEY [ENOUGH WITNESS…]`."""
    key, *more = given
    return parse_key(key), parse_witnesses(more[1:], int(more[0])) if more else None


def parse_checkpoint(data, key):
    """The checkpoint that a key signed for its own ledger."""
    lines = open_note(data, key).split("\n")
    if len(lines) != 4 or lines[3]:
        raise ValueError("not a checkpoint")
    origin, size, root = lines[:3]
    if not re.fullmatch(r"0|[1-9][0-9]*", size) or int(size) >= 1 << 64:
        raise ValueError("not a size")
    root = decode_base64(root)
    if len(root) != 32:
        raise ValueError("not a root")
    if origin != key.name:
        raise ValueError("of another ledger")
    return Checkpoint(origin, int(size), root)
