//! Reads settings one by one and notes what is wrong with each, instead of stopping at the first.

use std::ops::RangeInclusive;

use rndrkit_domain::number::grouped;

use super::catalog::{Setting, Shape};
use super::mistake::{Mistake, Mistakes};
use super::sources::Collected;
use super::written::{Origin, Value, Written};

pub(super) struct Reader<'a> {
    collected: &'a Collected,
    mistakes: Mistakes,
}

impl<'a> Reader<'a> {
    pub(super) fn new(collected: &'a Collected, mistakes: Mistakes) -> Self {
        Self { collected, mistakes }
    }

    pub(super) fn into_mistakes(self) -> Mistakes {
        self.mistakes.sorted()
    }

    /// What was written; an empty text is as good as nothing.
    pub(super) fn written(&self, name: &str) -> Option<&'a Written> {
        self.collected.get(name).filter(|written| written.scalar() != Some(""))
    }

    pub(super) fn origin(&self, name: &str) -> Origin {
        self.written(name).map_or(Origin::Default, |written| written.origin.clone())
    }

    /// A setting that always has a value.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.optional(name, allowed, parse)?;
        if value.is_none() {
            self.reject(name, allowed);
        }
        value
    }

    /// A setting that may have no value: `Some(None)`. `None` when what was written is wrong.
    #[expect(clippy::option_option, reason = "wrong, absent and present are three different things")]
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(written) = self.written(name) else { return Some(None) };
        let value = written.scalar().and_then(parse);
        if value.is_none() {
            self.reject(name, allowed);
        }
        value.map(Some)
    }

    /// A scalar setting as a check against others reads it: nothing is noted here.
    pub(super) fn peek<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.written(name).and_then(Written::scalar).and_then(parse)
    }

    /// A whole number within a range.
    pub(super) fn number(&mut self, name: &'static str, range: &RangeInclusive<u64>) -> Option<u64> {
        self.required(name, &whole_number(range), |text| number_in(text, range))
    }

    /// Several values: a list in a file, commas elsewhere.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(written) = self.written(name) else { return Some(Vec::new()) };
        let values: Option<Vec<T>> = match &written.value {
            Value::Text(text) | Value::Plain(text) => {
                text.split(',').map(|item| parse(item.trim())).collect()
            }
            Value::List(items) => items.iter().map(|item| item.scalar().and_then(&parse)).collect(),
            Value::Table(_) => None,
        };
        if values.is_none() {
            self.reject(name, allowed);
        }
        values
    }

    /// Notes that the setting's value is not acceptable. The value is repeated unless it may be a secret.
    pub(super) fn reject(&mut self, name: &'static str, allowed: impl Into<String>) {
        let is_secret = Setting::find(name).is_some_and(|setting| setting.shape == Shape::Secret);
        let mistake = match self.written(name) {
            Some(written) if is_secret => Mistake::without_value(name, Some(written.origin.clone()), allowed),
            Some(written) => Mistake::new(name, written, allowed),
            None => Mistake::without_value(name, None, allowed),
        };
        self.mistakes.push(mistake);
    }

    /// Notes what is wrong with a part of a setting.
    pub(super) fn reject_part(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }
}

/// `1 to 1,000` for reports.
pub(super) fn whole_number(range: &RangeInclusive<u64>) -> String {
    format!("must be a whole number from {} to {}", grouped(*range.start()), grouped(*range.end()))
}

pub(super) fn number_in(text: &str, range: &RangeInclusive<u64>) -> Option<u64> {
    let digits = text.replace('_', "");
    digits.parse().ok().filter(|number| range.contains(number))
}
