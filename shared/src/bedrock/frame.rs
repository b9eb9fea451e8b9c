//! Frames of the AWS event stream: what ConverseStream's answers come in.
//!
//! A frame is a prelude (its length, its headers' length, a checksum of both), headers, a payload, and a checksum of all. All numbers
//! are big-endian, the checksums CRC-32. The SDK has the same, but copies every header into memory of its own, a hundred times an
//! answer; here nothing is. A test holds both together. The format is described at
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>.

use crc32fast::hash;

const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;
/// Bytes of the smallest frame.
const LEAST: usize = PRELUDE + CHECKSUM;

/// A frame whose checksums are right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    headers: &'a [u8],
    /// What it carries.
    pub(super) payload: &'a [u8],
}

/// The length of the frame that begins here, as far as it can be told yet.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let length = usize::try_from(u32::from_be_bytes(*bytes.first_chunk()?)).ok()?;
    // What says that it is smaller than a frame can be has the wrong checksum, too.
    Some(length.max(LEAST))
}

impl<'a> Frame<'a> {
    /// Reads a whole frame; `None` where a checksum or a length is wrong.
    pub(super) fn read(frame: &'a [u8]) -> Option<Self> {
        let (content, checksum) = frame.split_last_chunk::<CHECKSUM>()?;
        let (prelude, rest) = content.split_first_chunk::<PRELUDE>()?;
        let (lengths, prelude_checksum) = prelude.split_last_chunk::<CHECKSUM>()?;
        let headers = u32::from_be_bytes(*lengths.last_chunk()?);
        let is_right = u32::from_be_bytes(*prelude_checksum) == hash(lengths)
            && u32::from_be_bytes(*checksum) == hash(content)
            && length(frame) == Some(frame.len());
        let (headers, payload) = rest.split_at_checked(usize::try_from(headers).ok()?)?;
        is_right.then_some(Self { headers, payload })
    }

    /// The text of a header; nothing where there is no such header, or it is no text.
    pub(super) fn header(&self, name: &str) -> &'a str {
        let mut rest = self.headers;
        while let Some(header) = Header::first(rest) {
            if header.name == name.as_bytes() {
                return str::from_utf8(header.text).unwrap_or_default();
            }
            rest = header.behind;
        }
        ""
    }
}

/// A header.
struct Header<'a> {
    name: &'a [u8],
    /// Its value, where that is text.
    text: &'a [u8],
    /// The headers behind it.
    behind: &'a [u8],
}

impl<'a> Header<'a> {
    /// The first of some headers.
    fn first(headers: &'a [u8]) -> Option<Self> {
        let (length, rest) = headers.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (kind, rest) = rest.split_first()?;
        let (value, behind) = match kind {
            // True and false, numbers of one, two, four and eight bytes, times and UUIDs.
            0 | 1 => rest.split_at_checked(0),
            2 => rest.split_at_checked(1),
            3 => rest.split_at_checked(2),
            4 => rest.split_at_checked(4),
            5 | 8 => rest.split_at_checked(8),
            9 => rest.split_at_checked(16),
            // Bytes and texts say how long they are.
            6 | 7 => {
                let (length, rest) = rest.split_first_chunk()?;
                rest.split_at_checked(u16::from_be_bytes(*length).into())
            }
            _ => None,
        }?;
        let text = if *kind == 7 { value } else { &[] };
        Some(Self { name, text, behind })
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
    use aws_smithy_types::DateTime;
    use aws_smithy_types::event_stream::{Header as Named, HeaderValue, Message};
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = HeaderValue> {
        prop_oneof![
            any::<bool>().prop_map(HeaderValue::Bool),
            any::<i8>().prop_map(HeaderValue::Byte),
            any::<i16>().prop_map(HeaderValue::Int16),
            any::<i32>().prop_map(HeaderValue::Int32),
            any::<i64>().prop_map(HeaderValue::Int64),
            any::<u128>().prop_map(HeaderValue::Uuid),
            (0..4_000_000_000_i64)
                .prop_map(|seconds| HeaderValue::Timestamp(DateTime::from_secs(seconds))),
            any::<Vec<u8>>().prop_map(|bytes| HeaderValue::ByteArray(bytes.into())),
            "\\PC{0,20}".prop_map(|text| HeaderValue::String(text.into())),
        ]
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let headers = prop::collection::btree_map("[:a-z-]{1,20}", any_value(), 0..8);
        (headers, any::<Vec<u8>>()).prop_map(|(headers, payload)| {
            let message = Message::new(payload);
            headers.into_iter().fold(message, |message, (name, value)| {
                message.add_header(Named::new(name, value))
            })
        })
    }

    fn written(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_message_to(message, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn what_the_sdk_writes_is_read(message in any_message()) {
            let bytes = written(&message);
            prop_assert_eq!(length(&bytes), Some(bytes.len()));
            let frame = Frame::read(&bytes).unwrap();
            prop_assert_eq!(frame.payload, &message.payload()[..]);
            for header in message.headers() {
                let text = header.value().as_string().map_or("", |text| text.as_str());
                prop_assert_eq!(frame.header(header.name().as_str()), text);
            }
            prop_assert_eq!(frame.header("none"), "");
        }

        #[test]
        fn what_the_sdk_refuses_is_refused(message in any_message(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let mut bytes = written(&message);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(Frame::read(&bytes).is_none());
            prop_assert!(read_message_from(&bytes[..]).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in any::<Vec<u8>>()) {
            let _ = Frame::read(&bytes);
            // With right checksums, too: what they guard is looked at by itself.
            let all = u32::try_from(bytes.len() + LEAST).unwrap().to_be_bytes();
            let headers = u32::try_from(bytes.len() / 2).unwrap().to_be_bytes();
            let lengths = [all, headers].concat();
            let mut frame = [&lengths[..], &hash(&lengths).to_be_bytes()].concat();
            frame.append(&mut bytes);
            let checksum = hash(&frame).to_be_bytes();
            frame.extend(checksum);
            let _ = Frame::read(&frame).unwrap().header(":event-type");
        }
    }
}
