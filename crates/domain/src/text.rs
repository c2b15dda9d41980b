//! Texts that people type: names, labels and e-mail addresses, trimmed, bounded, and free of trickery.

use std::fmt;

/// Why a text was not accepted. The display text is for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing but white space.
    #[error("Enter a name.")]
    NameEmpty,
    /// More than [`Name::MAX_CHARS`] characters.
    #[error("Use 64 characters or fewer.")]
    NameTooLong,
    /// Control, line-breaking or direction-changing characters.
    #[error("Use letters, digits, spaces and punctuation only: no line breaks or invisible characters.")]
    NameForbiddenCharacter,
    /// Nothing but white space.
    #[error("Enter an environment, such as production.")]
    EnvironmentEmpty,
    /// More than [`Environment::MAX_CHARS`] characters.
    #[error("Use 32 characters or fewer.")]
    EnvironmentTooLong,
    /// Not an e-mail address.
    #[error("Enter an e-mail address, such as you@example.com.")]
    Email,
    /// Not usable as an external id.
    #[error("Use 1 to 128 visible ASCII characters.")]
    ExternalId,
}

/// Characters that change how the text around them is read without being seen: line and paragraph
/// separators, bidirectional controls (Unicode UAX #9), zero-width characters, and the tag block.
pub(crate) fn is_trickery(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A name of a key, an account or a token: 1 to 64 characters after trimming.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    /// The most characters (Unicode scalar values) that a name may have.
    pub const MAX_CHARS: usize = 64;

    /// Trims and checks.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(InvalidText::NameEmpty);
        }
        if trimmed.chars().any(is_trickery) {
            return Err(InvalidText::NameForbiddenCharacter);
        }
        if trimmed.chars().count() > Self::MAX_CHARS {
            return Err(InvalidText::NameTooLong);
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a key is used, in its owner's words: 1 to 32 characters after trimming, of the kinds that a name may have.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Environment(String);

impl Environment {
    /// The most characters (Unicode scalar values): a label that stands beside a name.
    pub const MAX_CHARS: usize = 32;

    /// Trims and checks.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(InvalidText::EnvironmentEmpty);
        }
        if trimmed.chars().any(is_trickery) {
            return Err(InvalidText::NameForbiddenCharacter);
        }
        if trimmed.chars().count() > Self::MAX_CHARS {
            return Err(InvalidText::EnvironmentTooLong);
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An e-mail address, kept as typed but for case: addresses are compared and stored in lower case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// The longest address that SMTP can carry (RFC 5321, section 4.5.3.1.3, less the brackets).
    pub const MAX_BYTES: usize = 254;

    /// Trims, folds case and checks for the shape `local@domain`; whether it exists, only a mail can tell.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let address = text.trim().to_lowercase();
        let shaped = address
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        let clean = address.len() <= Self::MAX_BYTES
            && !address.chars().any(|c| c.is_whitespace() || is_trickery(c) || "<>\"(),:;\\[]".contains(c));
        if shaped && clean { Ok(Self(address)) } else { Err(InvalidText::Email) }
    }

    /// The address in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id that the operator's own system has for an account. It travels in a header, so it is
/// visible ASCII, and never `-`, which means "none" there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ExternalId(String);

impl ExternalId {
    /// The most characters that an external id may have.
    pub const MAX_BYTES: usize = 128;

    /// Checks.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        if fits && text != "-" && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidText::ExternalId)
        }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! shown_as_text {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    )+};
}
shown_as_text!(Name, Environment, Email, ExternalId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_hold_64_characters_of_any_script() {
        assert_eq!(Name::parse("  CI/CD Pipeline ").unwrap().as_str(), "CI/CD Pipeline");
        assert_eq!(Name::parse(&"é".repeat(64)).unwrap().as_str().chars().count(), 64);
        assert_eq!(Name::parse(&"é".repeat(65)), Err(InvalidText::NameTooLong));
        assert_eq!(Name::parse(" \t "), Err(InvalidText::NameEmpty));
        assert!(Name::parse("مفتاح النشر").is_ok());
    }

    #[test]
    fn names_with_line_breaks_or_direction_controls_are_refused() {
        for bad in ["a\nb", "a\u{0}b", "a\u{202e}b", "a\u{2028}b", "a\u{200b}b", "a\u{2066}b", "a\u{feff}b"] {
            assert_eq!(Name::parse(bad), Err(InvalidText::NameForbiddenCharacter), "{bad:?}");
        }
    }

    #[test]
    fn environments_are_trimmed_and_hold_32_characters_of_the_kinds_that_names_have() {
        assert_eq!(Environment::parse(" CI/CD ").unwrap().as_str(), "CI/CD");
        assert!(Environment::parse(&"é".repeat(32)).is_ok());
        assert_eq!(Environment::parse(&"é".repeat(33)), Err(InvalidText::EnvironmentTooLong));
        assert_eq!(Environment::parse(" \t "), Err(InvalidText::EnvironmentEmpty));
        for bad in ["a\nb", "a\u{202e}b", "a\u{200b}b"] {
            assert_eq!(Environment::parse(bad), Err(InvalidText::NameForbiddenCharacter), "{bad:?}");
        }
    }

    #[test]
    fn e_mail_addresses_fold_case_and_need_both_halves() {
        assert_eq!(Email::parse(" Ada@Example.COM ").unwrap().as_str(), "ada@example.com");
        for bad in ["", "ada", "@example.com", "ada@", "a b@example.com", "a@b@c", "a\n@b.c", "<a@b.c>"] {
            assert_eq!(Email::parse(bad), Err(InvalidText::Email), "{bad:?}");
        }
    }

    #[test]
    fn an_external_id_can_travel_in_a_header() {
        assert!(ExternalId::parse("cus_42").is_ok());
        for bad in ["", "-", "a b", "a\r\nX: y", "ü"] {
            assert!(ExternalId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
