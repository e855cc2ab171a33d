"""Whether a value is what was shown of a customer: see "Values" in docs/design/ledger.md."""

import hmac

from dictionary import key_name
from ledger import Pass, trusted_key
from tree import sha256


class NoKey(Exception):
    """The key that hashes were made with is not there."""


def _hmac(key, message):
    return hmac.new(key, message, "sha256").digest()


def value_hash(key, salt, relation, column, value):
    """What an entry has of a value; `key` is that of the epoch, or the ledger's own."""
    parts = (relation.encode(), column.encode(), value)
    digest = sha256(b"\0".join(parts))[:16]
    return _hmac(_hmac(key, b"postern value key 1\n"), salt + digest)[:6].hex()


def _epoch_key(files, epochs):
    name = key_name(epochs.current) if epochs.current else "key"
    try:
        return epochs.key(epochs.current) if epochs.current else files.read(name)
    except FileNotFoundError as error:
        raise NoKey(name) from error


def saw(files, subject, value):
    """The entries that showed the value of that subject, with the columns in which it stood."""
    walk = Pass(files, trusted_key(files))
    for entry in walk.entries():
        for place, group in enumerate(entry.get("groups", [])):
            hashes = [
                one
                for values in entry.get("values", [])
                if values["group"] == place and group["subjects"][values["subject"]] == subject
                for one in values["hashes"]
            ]
            if not hashes:
                continue
            # Within an epoch a subject has one row.
            salt, key = walk.dictionary.salts[subject], _epoch_key(files, walk.epochs)
            same = []
            for column, found in hashes:
                name = group["clear"][column]
                if value_hash(key, salt, group["relation"], name, value) == found:
                    same.append(name)
            if same:
                yield {
                    "sequence": entry["sequence"],
                    "time": entry["time"],
                    "actor": entry["actor"],
                    "relation": group["relation"],
                    "same": same,
                }
