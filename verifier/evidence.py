"""Evidence: one file with what a trace rests on. See docs/design/evidence.md.

Checks the signature over all parts, the range proofs of the accounts, and computes the likelihood
ratio of each account anew from the entries that are proved.
"""

import hashlib
import json
import math
import zipfile

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import note
import ranges
import stamp

MANIFEST = "manifest.dsse.json"
STAMP = "manifest.tsr"
# What may have been taken out of evidence, because it names customers.
NAMING = {"leak.csv", "trace.json"}
MEDIA_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:postern:evidence:1"
PART_BYTES_MAX = 1 << 30

FIELDS = {"name": 1, "email": 2, "phone": 4, "ticket": 8}
ALL_FIELDS = 15
SMOOTHED = 2.0
NODES = 80


class Refused(Exception):
    """The evidence does not hold."""


def _parts(path):
    """The parts of the file by name."""
    parts = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename in parts or info.file_size > PART_BYTES_MAX:
                raise Refused(f"part `{info.filename}` is there twice, or too large")
            parts[info.filename] = archive.read(info)
    return parts


def _statement(parts, key):
    """What the manifest says, once the key's signature holds."""
    envelope = json.loads(parts.pop(MANIFEST))
    if envelope["payloadType"] != MEDIA_TYPE:
        raise Refused("the manifest is no in-toto statement")
    payload = note.decode_base64(envelope["payload"])
    header = f"DSSEv1 {len(MEDIA_TYPE)} {MEDIA_TYPE} {len(payload)} ".encode()
    for signature in envelope["signatures"]:
        try:
            signed = note.decode_base64(signature["sig"])
            Ed25519PublicKey.from_public_bytes(key.public).verify(signed, header + payload)
            break
        except InvalidSignature:
            continue
    else:
        raise Refused("the manifest is not signed by the key")
    statement = json.loads(payload)
    if (statement["_type"], statement["predicateType"]) != (STATEMENT, PREDICATE):
        raise Refused("the statement is of another kind")
    return statement


def _check_digests(parts, statement):
    """Which parts are not there, or have less in them, because somebody redacted them.

    A proof holds by the ledger's own signature, so that rows with names may be taken out of it.
    """
    stated = {part["name"]: part["digest"]["sha256"] for part in statement["subject"]}
    missing = set(stated) - set(parts)
    if len(stated) != len(statement["subject"]) or set(parts) - set(stated) or missing - NAMING:
        raise Refused("the parts are not those that were signed")
    redacted = sorted(missing)
    for name, data in parts.items():
        if hashlib.sha256(data).hexdigest() != stated[name]:
            if not name.startswith("proofs/"):
                raise Refused(f"part `{name}` is not what was signed")
            redacted.append(name)
    return redacted


def _field(column):
    """The field that a column means, by its name."""
    column = column.lower()
    if "mail" in column:
        return FIELDS["email"]
    if any(word in column for word in ("phone", "mobile", "tel")):
        return FIELDS["phone"]
    if "ticket" in column or "case_number" in column:
        return FIELDS["ticket"]
    return FIELDS["name"] if "name" in column else 0


def _fields(columns):
    fields = 0
    for column in columns:
        fields |= _field(column)
    return fields


def _readings(entries, graded):
    """What the account was shown in clear: customer, time, fields, whether nothing explains it."""
    for entry in entries:
        if entry["kind"] != "disclosed":
            continue
        by_reason = {}
        for group in entry["groups"]:
            by_reason.setdefault((group["reason"], group["grade"]), []).append(group)
        for (_, grade), groups in by_reason.items():
            clear = [column for group in groups for column in group["clear"]]
            masked = [column for group in groups for column in group["masked"]]
            if not clear:
                if masked or not entry["stop"]:
                    continue
                shown = ALL_FIELDS
            else:
                shown = _fields(clear) or ALL_FIELDS & ~_fields(masked)
            weak = graded and grade != "strong"
            for subject in {subject for group in groups for subject in group["subjects"]}:
                yield subject, entry["time"], shown, weak


class Windows:
    """Windows of time: halves, quarters and so on, each also moved by half its width."""

    def __init__(self, parts):
        self.since, self.length, _ = parts

    def number(self, track, time):
        level, moved = track["level"], track["moved"]
        width = max(self.length >> level, 1)
        offset = time - self.since + (width // 2 if moved else 0)
        last = (1 << level) + (1 if moved else 0) - 1
        return min(max(offset // width, 0), last)


def _log_sum(terms):
    high = max(terms)
    return high + math.log(sum(math.exp(term - high) for term in terms))


def _log_add(a, b):
    return _log_sum([a, b])


def _mixture(rows, ratios):
    """The ratio for a list of which an unknown part, by Beta(3, 1), is from the account."""
    step, nodes = 20.0 / NODES, []
    for number in range(NODES):
        odds = -12.0 + step * (number + 0.5)
        part = 1.0 / (1.0 + math.exp(-odds))
        log_part, log_rest = math.log(part), -math.log1p(math.exp(odds))
        nodes.append((log_part, log_rest, math.log(3.0) + 3.0 * log_part + log_rest))
    total = _log_sum([weight for _, _, weight in nodes])
    unmatched = max(rows - len(ratios), 0)
    return _log_sum(
        [
            weight - total + unmatched * rest + sum(_log_add(rest, part + r) for r in ratios)
            for part, rest, weight in nodes
        ]
    )


class Weighed:
    """The likelihood of an account from its readings."""

    def __init__(self, given, readings):
        self.given, self.readings = given, list(readings)
        self.windows = Windows(given["windows"])
        self.error, self.chance = given["field_error"], given["field_chance"]

    def _log_elsewhere(self, row):
        even = 1.0 / max(self.given["customers"], 1.0)
        all_readings = self.given["readings"]
        popular = row["readers"] / all_readings if all_readings > 0 else even
        log = math.log(0.5 * even + 0.5 * popular)
        for field in row["fields"]:
            known = (1.0 - self.error) / field["versions"]
            log += math.log(known + self.error * self.chance)
        return log

    def _log_match(self, row, explained):
        chance, log = self.error * self.chance, 0.0
        for field in row["fields"]:
            fits = explained & FIELDS[field["name"]]
            log += math.log(1.0 - self.error + chance if fits else chance)
        return log

    @staticmethod
    def _explained(row, time, shown):
        fields = 0
        for field in row["fields"]:
            valid = field["valid"]
            if valid is None or any(since <= time < until for since, until in valid):
                fields |= FIELDS[field["name"]]
        return fields & shown

    def track(self, track):
        """How many rows match, and the logarithm of the ratio, counted anew."""
        inside = [
            reading
            for reading in self.readings
            if self.windows.number(track, reading[1]) == track["number"]
            and (reading[3] or not track["unexplained"])
        ]
        size = len({subject for subject, _, _, _ in inside})
        by_subject = {}
        for subject, time, shown, _ in inside:
            by_subject.setdefault(subject, []).append((time, shown))
        ratios = []
        for row in self.given["rows"]:
            before = row["before"]
            fitting = [
                self._explained(row, time, shown)
                for time, shown in by_subject.get(row["subject"], ())
                if before is None or time < before
            ]
            if not fitting:
                continue
            explained = 0
            for fields in fitting:
                explained |= fields
            ratio = self._log_match(row, explained) - math.log(size + SMOOTHED)
            ratios.append(ratio - self._log_elsewhere(row))
        rows = len(self.given["rows"]) + self.given["strangers"]
        return len(ratios), _mixture(rows, ratios)


def _check_account(parts, analysis, account, key):
    text = parts[account["proof"]].decode("utf-8")
    try:
        # The analysis calls customers by their numbers, whether the proof names them or not.
        entries = ranges.check(text, key, named=analysis["version"] == 1)
        proof = ranges.Proof(text)
        covered = note.parse_checkpoint(proof.checkpoint.encode(), key).size
    except ranges.Refused as refused:
        raise Refused(f"the proof of {account['account']}: {refused}") from refused
    asked = (account["account"], analysis["since"], analysis["until"])
    if (proof.actor, proof.since, proof.until) != asked:
        raise Refused(f"the proof of {account['account']} is of another account or time")
    if covered < analysis["entries"]:
        raise Refused(f"the proof of {account['account']} is older than the analysis")
    told = {"account": account["account"], "entries": len(entries), "log_ratios": []}
    given = account["likelihood"]
    if given is None:
        return told
    weighed = Weighed(given, _readings(entries, given["graded"]))
    for track in given["tracks"]:
        matched, log_ratio = weighed.track(track)
        # Ratios that differ by less than a thousandth were taken for equal.
        if matched != track["matched"] or not math.isclose(
            log_ratio, track["log_ratio"], rel_tol=1e-6, abs_tol=1e-3 * matched + 1e-6
        ):
            raise Refused(
                f"{account['account']}: {matched} rows and {log_ratio:.4f} are counted, "
                f"{track['matched']} and {track['log_ratio']:.4f} are stated"
            )
        told["log_ratios"].append(round(log_ratio, 4))
    return told


def _witnessed(parts, key, proofs):
    """How many entries the witnesses' checkpoint covers, which must not contradict the proofs'."""
    if "cosigned" not in parts:
        return None
    cosigned = note.parse_checkpoint(parts["cosigned"], key)
    for text in proofs:
        checkpoint = note.parse_checkpoint(ranges.Proof(text).checkpoint.encode(), key)
        if checkpoint.size == cosigned.size and checkpoint.root != cosigned.root:
            raise Refused("what witnesses cosigned is another ledger")
    return cosigned.size


def _stamped(parts, trusted):
    """When an authority saw the manifest. A token counts only with whom one trusts."""
    token = parts.pop(STAMP, None)
    if trusted is None:
        return None
    if token is None:
        raise Refused("there is no time-stamp")
    try:
        return stamp.check(token, parts[MANIFEST], trusted).isoformat()
    except stamp.Refused as refused:
        raise Refused(f"the time-stamp: {refused}") from refused


def _check_list(parts, analysis):
    if "leak.csv" in parts:
        if hashlib.sha256(parts["leak.csv"]).hexdigest() != analysis["leak_sha256"]:
            raise Refused("the list is not the one that was analysed")
    if "trace.json" in parts and analysis["version"] > 1:
        if json.loads(parts["trace.json"])["verdict"] != analysis["verdict"]:
            raise Refused("the trace and the analysis have another verdict")


def _check_case(parts, statement, analysis):
    """That what is told to programs that exchange cases is the same: files, digests, accounts."""
    if "case.jsonld" not in parts:
        return
    stated = {part["name"]: part["digest"]["sha256"] for part in statement["subject"]}
    accounts = {account["account"] for account in analysis["accounts"]}
    for node in json.loads(parts["case.jsonld"])["@graph"]:
        facets = {facet["@type"]: facet for facet in node.get("uco-core:hasFacet", [])}
        if node["@type"] == "uco-observable:File":
            name = facets["uco-observable:FileFacet"]["uco-observable:fileName"]
            content = facets["uco-observable:ContentDataFacet"]["uco-observable:hash"]
            if [hash["uco-types:hashValue"]["@value"] for hash in content] != [stated.get(name)]:
                raise Refused(f"the case and the manifest have other digests of `{name}`")
        if node["@type"] == "uco-observable:UserAccount":
            facet = facets["uco-observable:AccountFacet"]
            accounts.discard(facet["uco-observable:accountIdentifier"])
    if accounts:
        raise Refused("the case leaves out an account")


def check(path, key, trusted=None):
    """What the evidence shows, or Refused; with `trusted`, it has to be stamped by one of those."""
    try:
        parts = _parts(path)
        stamped = _stamped(parts, trusted)
        statement = _statement(parts, key)
        redacted = _check_digests(parts, statement)
        analysis = json.loads(parts["analysis.json"])
        if analysis["version"] not in (1, 2):
            raise Refused("an analysis of another version")
        _check_list(parts, analysis)
        _check_case(parts, statement, analysis)
        accounts = [
            _check_account(parts, analysis, account, key) for account in analysis["accounts"]
        ]
        proofs = [parts[account["proof"]].decode() for account in analysis["accounts"]]
        return {
            "ledger": key.name,
            "verdict": analysis.get("verdict") or json.loads(parts["trace.json"])["verdict"],
            "accounts": accounts,
            "witnessed": _witnessed(parts, key, proofs),
            "redacted": redacted,
            "stamped": stamped,
        }
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise Refused(f"not evidence of this form: {error!r}") from error
