//! A trusted third party's word for when the evidence was there: a token of RFC 3161.
//!
//! The token is over the SHA-256 of the manifest, which names all other parts. Whether the token is
//! signed by whom one trusts is for the verifier to check; here it is only seen to that it answers
//! what was asked, so that no export ends with a token that says nothing.

use anyhow::{Context as _, bail, ensure};
use der::{
    Any, Decode as _, Encode as _, SliceReader, Tag,
    asn1::{Int, OctetString},
    oid::ObjectIdentifier,
};
use sha2::{Digest as _, Sha256};
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion, TstInfo};

use crate::http;

const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// The reply of the time-stamping authority for these bytes, as it sent it, with the time that it
/// states.
pub(super) fn stamp(url: &str, bytes: &[u8]) -> anyhow::Result<(Vec<u8>, String)> {
    let at = || format!("there is no time-stamp of `{url}`");
    let asked = question(bytes, rand::random()).with_context(at)?;
    let body = asked.to_der().with_context(at)?;
    let (status, reply) =
        http::post_bytes(url, "application/timestamp-query", &body).with_context(at)?;
    ensure!(status == 200, "`{url}` answered with status {status}");
    let time = check(&asked, &reply).with_context(at)?;
    Ok((reply, time))
}

fn question(bytes: &[u8], nonce: [u8; 8]) -> anyhow::Result<TimeStampReq> {
    let algorithm = cms::cert::x509::spki::AlgorithmIdentifier {
        oid: SHA_256,
        parameters: Some(Any::new(Tag::Null, [])?),
    };
    // A positive number in its shortest form begins with none of the bytes that would be left out.
    let mut nonce = nonce;
    nonce[0] = nonce[0] & 0x7f | 0x40;
    Ok(TimeStampReq {
        version: TspVersion::V1,
        message_imprint: MessageImprint {
            hash_algorithm: algorithm,
            hashed_message: OctetString::new(Sha256::digest(bytes).to_vec())?,
        },
        req_policy: None,
        nonce: Some(Int::new(&nonce)?),
        cert_req: true,
        extensions: None,
    })
}

/// That the reply is a token for what was asked; the time that it states.
fn check(asked: &TimeStampReq, reply: &[u8]) -> anyhow::Result<String> {
    let reply = TimeStampResp::from_der(reply).context("it is no reply of RFC 3161")?;
    let granted = [cmpv2::status::PkiStatus::Accepted, cmpv2::status::PkiStatus::GrantedWithMods];
    if !granted.contains(&reply.status.status) {
        bail!("the authority refused: {:?}", reply.status.status);
    }
    let token = reply.time_stamp_token.context("there is no token in it")?;
    let info = stated(&token.content).context("the token states no time")?;
    ensure!(
        info.message_imprint.hashed_message == asked.message_imprint.hashed_message
            && info.message_imprint.hash_algorithm.oid == SHA_256
            && info.nonce == asked.nonce,
        "the token is for something else"
    );
    Ok(info.gen_time.to_date_time().to_string())
}

/// What is signed. Of the rest no more is read than has to be: who signs is the verifier's to say,
/// and authorities differ in how they write it.
fn stated(signed: &Any) -> der::Result<TstInfo> {
    let mut parts = SliceReader::new(signed.value())?;
    let (_version, _algorithms) = (Any::decode(&mut parts)?, Any::decode(&mut parts)?);
    let encapsulated = Any::decode(&mut parts)?;
    let mut parts = SliceReader::new(encapsulated.value())?;
    ObjectIdentifier::decode(&mut parts)?;
    let content = Any::decode(&mut parts)?;
    TstInfo::from_der(OctetString::from_der(content.value())?.as_bytes())
}
