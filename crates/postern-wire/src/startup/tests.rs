use super::*;

fn read(bytes: &[u8]) -> Result<Option<FirstMessage>, FrameError> {
    first_message(&mut BytesMut::from(bytes))
}

fn startup(minor: u16, parameters: &[(&str, &str)]) -> FirstMessage {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FirstMessage::Startup { minor, parameters: parameters.iter().map(owned).collect() }
}

#[test]
fn each_first_message_of_the_documentation_is_read() {
    let check = |bytes: &[u8], expected| assert_eq!(read(bytes), Ok(Some(expected)));
    check(
        b"\0\0\0\x20\0\x03\0\0user\0eva\0database\0shop\0\0",
        startup(0, &[("user", "eva"), ("database", "shop")]),
    );
    check(b"\0\0\0\x12\0\x03\0\x02user\0eva\0\0", startup(2, &[("user", "eva")]));
    check(b"\0\0\0\x09\0\x03\0\0\0", startup(0, &[]));
    check(b"\0\0\0\x08\x04\xd2\x16\x2f", FirstMessage::Ssl);
    check(b"\0\0\0\x08\x04\xd2\x16\x30", FirstMessage::Gssenc);
    check(
        b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\x01\x02\x03\x04",
        FirstMessage::Cancel { process_id: 7, secret: Bytes::from_static(&[1, 2, 3, 4]) },
    );
}

#[test]
fn what_follows_the_first_message_stays_in_the_buffer() {
    let mut buf = BytesMut::from(&b"\0\0\0\x08\x04\xd2\x16\x2fsmuggled"[..]);
    assert_eq!(first_message(&mut buf), Ok(Some(FirstMessage::Ssl)));
    assert_eq!(&buf[..], b"smuggled");
}

#[test]
fn a_first_message_is_waited_for_until_it_is_whole() {
    let whole = b"\0\0\0\x12\0\x03\0\0user\0eva\0\0";
    for end in 0..whole.len() {
        assert_eq!(read(&whole[..end]), Ok(None), "{end}");
    }
    assert!(read(whole).unwrap().is_some());
}

#[test]
fn malformed_first_messages_are_refused() {
    let check = |bytes: &[u8], expected| assert_eq!(read(bytes), Err(expected));
    check(b"\0\0\0\x07", FrameError::FirstLength { length: 7 });
    check(b"\xff\xff\xff\xff", FrameError::FirstLength { length: -1 });
    check(b"\x7f\xff\xff\xff", FrameError::FirstLength { length: i32::MAX });
    check(b"\0\0\x27\x11", FrameError::FirstLength { length: 10_001 });
    // The start of a TLS handshake without an SSLRequest, and of an HTTP request.
    check(b"\x16\x03\x01\x02\0", FrameError::FirstLength { length: 0x1603_0102 });
    check(b"GET / HTTP/1.1\r\n", FrameError::FirstLength { length: 0x4745_5420 });
    check(b"\0\0\0\x09\0\x02\0\0\0", FrameError::Protocol { major: 2, minor: 0 });
    check(b"\0\0\0\x08\0\x04\0\0", FrameError::Protocol { major: 4, minor: 0 });
    let first = FrameError::First;
    let unterminated = |field| first(MessageError::Unterminated { field });
    check(b"\0\0\0\x08\0\x03\0\0", unterminated("start-up parameter name"));
    check(b"\0\0\0\x0c\0\x03\0\0user", unterminated("start-up parameter name"));
    check(b"\0\0\0\x10\0\x03\0\0user\0eva", unterminated("start-up parameter value"));
    check(b"\0\0\0\x11\0\x03\0\0user\0eva\0", unterminated("start-up parameter name"));
    check(b"\0\0\0\x0a\0\x03\0\0\0X", first(MessageError::Trailing { bytes: 1 }));
    check(b"\0\0\0\x09\x04\xd2\x16\x2fX", first(MessageError::Trailing { bytes: 1 }));
    check(
        b"\0\0\0\x1b\0\x03\0\0user\0eva\0user\0bob\0\0",
        first(MessageError::Duplicate { name: "user".to_owned() }),
    );
    check(
        b"\0\0\0\x0f\x04\xd2\x16\x2e\0\0\0\x07\x01\x02\x03",
        first(MessageError::Truncated { field: "secret key" }),
    );
    assert!(matches!(
        read(b"\0\0\0\x10\0\x03\0\0user\0\xff\0\0"),
        Err(FrameError::First(MessageError::Utf8 { field: "start-up parameter value", .. }))
    ));
}

#[test]
fn debug_shows_no_cancel_secret() {
    let cancel = read(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\x01\x02\x03\x04");
    assert_eq!(format!("{:?}", cancel.unwrap().unwrap()), "Cancel { process_id: 7, .. }");
}

#[test]
fn a_cancel_secret_is_at_most_256_bytes() {
    let cancel = |secret: usize| {
        let mut bytes = (12 + secret as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(b"\x04\xd2\x16\x2e\0\0\0\x07");
        bytes.resize(12 + secret, 9);
        read(&bytes)
    };
    assert!(matches!(cancel(256), Ok(Some(FirstMessage::Cancel { .. }))));
    assert_eq!(cancel(257), Err(FrameError::First(MessageError::Trailing { bytes: 1 })));
}
