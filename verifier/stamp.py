"""Time-stamps of RFC 3161: that a token is for certain bytes and signed by whom one trusts.

Reads DER with what little of ASN.1 a token needs. Checked are the reply's status, the hash, the
signed attributes and the signature (RFC 5652), and that the signer's certificate is for
time-stamping and is one of those that are trusted or signed by one of them. Not checked:
revocation, and longer chains than one step.
"""

import datetime
import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
DIGESTS = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
INTEGER, OCTETS, OID, SEQUENCE, SET, TIME = 0x02, 0x04, 0x06, 0x30, 0x31, 0x18


class Refused(Exception):
    """A token proves nothing."""


class Item:
    """A value with its tag; what is in it is read when it is asked for."""

    def __init__(self, tag, body, whole):
        self.tag, self.body, self.whole = tag, body, whole

    def items(self):
        at, found = 0, []
        while at < len(self.body):
            item = read(self.body, at)
            found.append(item)
            at += len(item.whole)
        return found

    def oid(self):
        if self.tag != OID or not self.body:
            raise Refused("no identifier where one should be")
        numbers, value = [self.body[0] // 40, self.body[0] % 40], 0
        for byte in self.body[1:]:
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                numbers.append(value)
                value = 0
        return ".".join(map(str, numbers))

    def number(self):
        if self.tag != INTEGER:
            raise Refused("no number where one should be")
        return int.from_bytes(self.body, "big", signed=True)


def read(data, at=0):
    """The item that begins there."""
    if at + 2 > len(data):
        raise Refused("cut short")
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise Refused("a length that is none")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    end = start + length
    if end > len(data):
        raise Refused("cut short")
    return Item(tag, data[start:end], data[at:end])


def _expect(item, tag):
    if item.tag != tag:
        raise Refused("of another form")
    return item


def _digest(algorithm):
    name = _expect(algorithm, SEQUENCE).items()[0].oid()
    if name not in DIGESTS:
        raise Refused("a hash that is not known here")
    return DIGESTS[name]


def _hash(kind, data):
    return hashlib.new(kind.name.replace("-", ""), data).digest()


def _token(reply):
    """The signed data in a reply that grants a token."""
    parts = _expect(read(reply), SEQUENCE).items()
    status = _expect(parts[0], SEQUENCE).items()[0].number()
    if status not in (0, 1) or len(parts) < 2:
        raise Refused("the authority refused")
    kind, content = _expect(parts[1], SEQUENCE).items()
    if kind.oid() != SIGNED_DATA:
        raise Refused("the token is not signed")
    return _expect(content.items()[0], SEQUENCE).items()


def _info(encapsulated):
    """What the token states: the bytes of it."""
    kind, content = _expect(encapsulated, SEQUENCE).items()
    if kind.oid() != TST_INFO:
        raise Refused("the token states no time")
    return _expect(content.items()[0], OCTETS).body


def _time(info, data):
    """The time that is stated for these bytes."""
    _version, _policy, imprint, _serial, time, *_rest = _expect(read(info), SEQUENCE).items()
    algorithm, hashed = _expect(imprint, SEQUENCE).items()
    if _hash(_digest(algorithm), data) != hashed.body:
        raise Refused("it is for something else")
    text = _expect(time, TIME).body.decode("ascii")
    whole, _, fraction = text.removesuffix("Z").partition(".")
    moment = datetime.datetime.strptime(whole, "%Y%m%d%H%M%S")
    micros = int((fraction + "000000")[:6]) if fraction else 0
    return moment.replace(microsecond=micros, tzinfo=datetime.timezone.utc)


def _attributes(signer, info):
    """The signed attributes as they are signed, once they speak of what is stated."""
    attributes = next((item for item in signer if item.tag == 0xA0), None)
    if attributes is None:
        raise Refused("no signed attributes")
    values = {}
    for attribute in attributes.items():
        kind, value = attribute.items()
        values[kind.oid()] = value.items()[0]
    kind = _digest(signer[2])
    if MESSAGE_DIGEST not in values or values[MESSAGE_DIGEST].body != _hash(kind, info):
        raise Refused("what is signed is something else")
    if CONTENT_TYPE not in values or values[CONTENT_TYPE].oid() != TST_INFO:
        raise Refused("what is signed is of another kind")
    return bytes([SET]) + attributes.whole[1:], kind


def _verify(certificate, signature, signed, kind):
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), kind)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(kind))
    elif isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, signed)
    else:
        raise Refused("a kind of key that is not known here")


def _is_trusted(certificate, trusted, time):
    """Whether it is for time-stamping at that time, and trusted or signed by who is."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    if list(usage) != [x509.ExtendedKeyUsageOID.TIME_STAMPING]:
        return False
    if not certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc:
        return False
    for one in trusted:
        if one == certificate:
            return True
        try:
            certificate.verify_directly_issued_by(one)
            return one.not_valid_before_utc <= time <= one.not_valid_after_utc
        except (InvalidSignature, ValueError, TypeError):
            continue
    return False


def check(reply, data, trusted):
    """When somebody whom one trusts has seen these bytes, or Refused."""
    try:
        signed_data = _token(reply)
        info = _info(signed_data[2])
        time = _time(info, data)
        in_token = [item for item in signed_data if item.tag == 0xA0]
        certificates = [item.whole for part in in_token for item in part.items()]
        certificates = [x509.load_der_x509_certificate(one) for one in certificates] + trusted
        signer = _expect(_expect(signed_data[-1], SET).items()[0], SEQUENCE).items()
        signed, kind = _attributes(signer, info)
        signature = [item for item in signer if item.tag == OCTETS][-1].body
        for certificate in certificates:
            try:
                _verify(certificate, signature, signed, kind)
            except InvalidSignature:
                continue
            if not _is_trusted(certificate, trusted, time):
                raise Refused("it is signed by somebody whom nobody here trusts with time")
            return time
        raise Refused("nobody's signature")
    except (IndexError, ValueError) as error:
        raise Refused(f"not a token: {error}") from error


def load(path):
    """The certificates of a PEM file."""
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificates(file.read())
