"""Verifies a ledger of Postern, independently of Postern: `python3 verifier LEDGER`."""

import argparse
import json
import sys

import evidence
import note
import proof
import ranges
import stamp
import values
from ledger import Folder, verify
from stored import Damage


def arguments():
    parser = argparse.ArgumentParser(prog="verifier", description=__doc__)
    parser.add_argument("ledger", nargs="?", help="the ledger's folder")
    parser.add_argument("--against", metavar="FILE", help="a checkpoint that somebody else kept")
    parser.add_argument("--key", metavar="KEY", help="the key that you trust, as in key.pub")
    parser.add_argument(
        "--running", action="store_true", help="something unfinished may stand at the end"
    )
    parser.add_argument("--witness", metavar="KEY", action="append", default=[],
                        help="a witness that you trust, who has to have cosigned; repeat")
    parser.add_argument("--enough", type=int, default=1, help="how many of them are enough")
    parser.add_argument(
        "--proof", metavar="FILE", help="check a proof of an entry instead; needs --key"
    )
    parser.add_argument("--range", metavar="FILE", help="check a range proof instead; needs --key")
    parser.add_argument("--evidence", metavar="FILE", help="check evidence instead; needs --key")
    parser.add_argument(
        "--tsa", metavar="PEM", help="whom you trust with time: evidence has to be stamped by them"
    )
    parser.add_argument("--entries", action="store_true", help="print every entry as JSON")
    parser.add_argument(
        "--saw",
        metavar="CUSTOMER",
        help="print which entries showed the value on the standard input of that customer",
    )
    return parser.parse_args()


def check_proof(path, read, given):
    """Prints what a proof proves; `read` checks its text."""
    if not given.key:
        print("error: a proof needs the ledger's key", file=sys.stderr)
        return 64
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
        key, witnesses = note.parse_key(given.key.strip()), trusted_witnesses(given)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        for entry in read(text, key, witnesses=witnesses):
            print(json.dumps(entry, ensure_ascii=False))
    except (proof.Refused, ranges.Refused) as refused:
        print(f"error: the proof does not hold: {refused}", file=sys.stderr)
        return 1
    return 0


def trusted_witnesses(given):
    return note.parse_witnesses(given.witness, given.enough) if given.witness else None


def check_evidence(path, key, tsa):
    if not key:
        print("error: evidence needs the ledger's key", file=sys.stderr)
        return 64
    try:
        trusted = stamp.load(tsa) if tsa else None
        said = evidence.check(path, note.parse_key(key.strip()), trusted)
        print(json.dumps(said, ensure_ascii=False))
    except evidence.Refused as refused:
        print(f"error: the evidence does not hold: {refused}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def saw(files, subject):
    value = sys.stdin.buffer.read()
    found = False
    try:
        for told in values.saw(files, subject, value):
            print(json.dumps(told, ensure_ascii=False))
            found = True
    except values.NoKey as error:
        print(f"error: without `{error}` hashes of values stand for nothing", file=sys.stderr)
        return 2
    return 0 if found else 1


def witnessed(ledger, witnesses, summary):
    """Whether enough witnesses cosigned the checkpoint in the folder; says why not."""
    try:
        data = Folder(ledger).read("witnessed")
        witnesses.demand(data)
        size = int(data.split(b"\n")[1])
        if size > summary["entries"]:
            raise ValueError("what was cosigned is not here")
    except (OSError, ValueError) as error:
        print(f"error: the checkpoint `witnessed`: {error}", file=sys.stderr)
        return False
    summary["witnessed"] = size
    return True


def main():
    given = arguments()
    if given.evidence:
        return check_evidence(given.evidence, given.key, given.tsa)
    if given.range:
        return check_proof(given.range, ranges.check, given)
    if given.proof:
        return check_proof(given.proof, proof.check, given)
    if not given.ledger:
        print("error: there is no ledger to verify", file=sys.stderr)
        return 64
    against = None
    if given.against:
        with open(given.against, "rb") as file:
            against = file.read()
    trusted = note.parse_key(given.key.strip()) if given.key else None
    each = None
    if given.entries:
        each = lambda entry: print(json.dumps(entry, ensure_ascii=False))
    try:
        witnesses = trusted_witnesses(given)
        summary = verify(Folder(given.ledger), against, trusted, not given.running, each)
    except Damage as damage:
        print(f"error: the ledger does not hold: {damage}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if witnesses and not witnessed(given.ledger, witnesses, summary):
        return 1
    if given.saw:
        return saw(Folder(given.ledger), given.saw)
    print(json.dumps(summary), file=sys.stderr if given.entries else sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
