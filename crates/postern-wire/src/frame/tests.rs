use proptest::prelude::*;

use super::*;
use crate::{Backend, Frontend, first_message, password_text};

/// The frame of that type and body.
pub(crate) fn frame(tag: u8, body: &[u8]) -> Frame {
    let mut raw = vec![tag];
    raw.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    raw.extend_from_slice(body);
    Frame::from_raw(raw.into()).unwrap()
}

fn next(limit_bytes: usize, bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    FrameReader::new(limit_bytes).next(&mut BytesMut::from(bytes))
}

#[test]
fn a_message_is_taken_when_all_of_it_is_there() {
    let mut buf = BytesMut::new();
    let reader = FrameReader::new(100);
    for byte in b"Q\0\0\0\x08abc\0" {
        assert_eq!(reader.next(&mut buf), Ok(None));
        buf.extend_from_slice(&[*byte]);
    }
    buf.extend_from_slice(b"S\0\0\0\x04X");
    let query = reader.next(&mut buf).unwrap().unwrap();
    assert_eq!((query.tag(), query.body()), (b'Q', &b"abc\0"[..]));
    assert_eq!(&query.raw()[..], b"Q\0\0\0\x08abc\0".as_slice());
    let sync = reader.next(&mut buf).unwrap().unwrap();
    assert_eq!((sync.tag(), sync.body()), (b'S', &b""[..]));
    assert_eq!(reader.next(&mut buf), Ok(None));
    assert_eq!(&buf[..], b"X");
}

#[test]
fn an_impossible_length_is_refused_as_soon_as_the_header_is_there() {
    let check = |header: &[u8; 5], expected| assert_eq!(next(100, header), Err(expected));
    check(b"Q\0\0\0\0", FrameError::Length { tag: b'Q', length: 0 });
    check(b"Q\0\0\0\x03", FrameError::Length { tag: b'Q', length: 3 });
    check(b"Q\xff\xff\xff\xff", FrameError::Length { tag: b'Q', length: -1 });
    check(b"Q\x80\0\0\0", FrameError::Length { tag: b'Q', length: i32::MIN });
    let too_long = |length| FrameError::TooLong { tag: b'Q', length, limit_bytes: 100 };
    check(b"Q\x7f\xff\xff\xff", too_long(i32::MAX));
    check(b"Q\0\0\0\x65", too_long(101));
    assert_eq!(next(100, b"Q\0\0\0\x64"), Ok(None));
}

#[test]
fn a_large_length_within_the_limit_allocates_nothing() {
    let mut buf = BytesMut::from(&b"Q\x3f\xff\xff\xff"[..]);
    let before = buf.capacity();
    assert_eq!(FrameReader::new(1 << 30).next(&mut buf), Ok(None));
    assert_eq!(buf.capacity(), before);
}

#[test]
fn a_frame_shares_the_bytes_that_it_was_read_into() {
    let mut buf = BytesMut::from(&b"Q\0\0\0\x06a\0"[..]);
    let address = buf.as_ptr();
    let frame = FrameReader::new(100).next(&mut buf).unwrap().unwrap();
    assert_eq!(frame.raw().as_ptr(), address);
    assert_eq!(frame.clone().into_raw().as_ptr(), address);
}

#[test]
fn raw_bytes_are_a_frame_only_if_their_length_says_so() {
    let check = |raw: &'static [u8], expected| {
        assert_eq!(Frame::from_raw(Bytes::from_static(raw)).is_ok(), expected, "{raw:?}");
    };
    check(b"S\0\0\0\x04", true);
    check(b"S\0\0\0\x05", false);
    check(b"S\0\0\0\x04X", false);
    check(b"S\xff\xff\xff\xff", false);
    check(b"S\0\0\0", false);
    check(b"", false);
}

/// Every tag that either side knows, and some that neither does.
fn any_tag() -> impl Strategy<Value = u8> {
    prop_oneof![proptest::sample::select(&b"QPBDECSHXpdcfFRTZENtnsI123GWVKAv"[..]), any::<u8>()]
}

fn parse_all(frame: &Frame) {
    let _ = Frontend::parse(frame);
    let _ = password_text(frame.body());
    let _ = crate::SaslInitial::parse(frame.body());
    if let Ok(Backend::DataRow(row)) = Backend::parse(frame) {
        let cells = row.cells();
        assert_eq!(cells.len(), cells.count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_streams_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = first_message(&mut BytesMut::from(&bytes[..]));
        let mut buf = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = FrameReader::new(150).next(&mut buf) {
            parse_all(&frame);
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic(
        tag in any_tag(),
        // Small numbers are likely, so that counts and lengths are often plausible.
        body in prop::collection::vec(prop_oneof![Just(0u8), 0u8..4, any::<u8>()], 0..64),
    ) {
        let frame = frame(tag, &body);
        prop_assert_eq!(frame.tag(), tag);
        prop_assert_eq!(frame.body(), &body[..]);
        parse_all(&frame);
    }

    #[test]
    fn arbitrary_first_messages_never_panic(
        code in prop_oneof![
            Just(196_608u32), Just(196_610), Just(80_877_102), Just(80_877_103), any::<u32>(),
        ],
        body in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..300),
    ) {
        let mut raw = BytesMut::new();
        raw.extend_from_slice(&(body.len() as u32 + 8).to_be_bytes());
        raw.extend_from_slice(&code.to_be_bytes());
        raw.extend_from_slice(&body);
        prop_assert_ne!(first_message(&mut raw), Ok(None));
    }
}
