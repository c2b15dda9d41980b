//! Bytes in lower-case hexadecimal digits, as people compare them.

use std::fmt::Write as _;

/// `00ff` for two bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of a text of hexadecimal digits, in either case.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok())).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit)).collect())
}

/// The bytes of a text of exactly so many.
pub(crate) fn decode_exactly<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

/// For a field that is always there.
pub(crate) mod required {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::decode(&text).ok_or_else(|| D::Error::custom("not hexadecimal digits"))
    }
}

/// For a field that may be null.
pub(crate) mod optional {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "what serde calls it with")]
    pub(crate) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_some(&super::encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| super::decode(&text).ok_or_else(|| D::Error::custom("not hexadecimal digits")))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, decode_exactly, encode};

    #[test]
    fn bytes_read_back_and_other_texts_do_not() {
        assert_eq!(encode(&[0, 255, 16]), "00ff10");
        assert_eq!(decode("00Ff10"), Some(vec![0, 255, 16]));
        assert_eq!(decode_exactly::<2>("00ff"), Some([0, 255]));
        for bad in ["0", "0g", "é0", " 00"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode_exactly::<2>("00"), None);
    }
}
