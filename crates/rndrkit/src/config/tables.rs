//! Reads lists of tables, such as `[[plans]]`: fields with their place in the list. Knows no field.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::mistake::Mistake;
use super::reader::{Reader, number_in, whole_number};
use super::suggest::nearest;
use super::written::{Value, Written};

/// One table of a list of tables, such as `plans[2]`.
pub(super) struct TableReader<'a> {
    place: String,
    table: &'a BTreeMap<String, Written>,
    whole: &'a Written,
}

impl<'a> TableReader<'a> {
    /// All tables of a setting; reports what is no table and what no field is called.
    pub(super) fn all(
        reader: &mut Reader<'a>,
        name: &'static str,
        fields: &'static [&'static str],
    ) -> Option<Vec<Self>> {
        let Some(written) = reader.written(name) else { return Some(Vec::new()) };
        let Value::List(items) = &written.value else {
            reader.reject(name, format!("must be written as [[{name}]]"));
            return None;
        };
        let mut tables = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = format!("{name}[{}]", index + 1);
            let Value::Table(table) = &item.value else {
                reader.reject_part(Mistake::new(place, item, format!("must be written as [[{name}]]")));
                continue;
            };
            for (field, written) in table.iter().filter(|(field, _)| !fields.contains(&field.as_str())) {
                let meant = nearest(field, fields.iter().copied());
                let what = meant.map_or_else(
                    || format!("unknown; allowed are {}", fields.join(", ")),
                    |meant| format!("unknown; did you mean {meant}?"),
                );
                let origin = Some(written.origin.clone());
                reader.reject_part(Mistake::without_value(format!("{place}.{field}"), origin, what));
            }
            tables.push(Self { place, table, whole: item });
        }
        Some(tables)
    }

    fn get(&self, field: &str) -> Option<&'a Written> {
        self.table.get(field)
    }

    /// A field's text, whatever it is.
    pub(super) fn text(&self, field: &str) -> Option<&'a str> {
        self.get(field).and_then(Written::scalar)
    }

    /// Whether a table before this one has the same text in a field.
    pub(super) fn repeats(tables: &[Self], index: usize, field: &str) -> bool {
        let Some(text) = tables.get(index).and_then(|table| table.text(field)) else { return false };
        tables.iter().take(index).any(|earlier| earlier.text(field) == Some(text))
    }

    /// A field that must be there.
    pub(super) fn required<T>(
        &self,
        reader: &mut Reader<'_>,
        field: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.text(field).and_then(parse);
        if value.is_none() {
            self.reject(reader, field, allowed);
        }
        value
    }

    /// A field with a default.
    pub(super) fn or<T>(
        &self,
        reader: &mut Reader<'_>,
        field: &str,
        default: T,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        if self.get(field).is_none() { Some(default) } else { self.required(reader, field, allowed, parse) }
    }

    /// A whole number within a range that `u32` holds.
    pub(super) fn number(
        &self,
        reader: &mut Reader<'_>,
        field: &str,
        range: &RangeInclusive<u64>,
    ) -> Option<u32> {
        let number = self.required(reader, field, &whole_number(range), |text| number_in(text, range));
        number.and_then(|number| u32::try_from(number).ok())
    }

    /// Notes what is wrong with a field.
    pub(super) fn reject(&self, reader: &mut Reader<'_>, field: &str, allowed: &str) {
        let key = format!("{}.{field}", self.place);
        reader.reject_part(match self.get(field) {
            Some(written) => Mistake::new(key, written, allowed),
            None => Mistake::without_value(
                key,
                Some(self.whole.origin.clone()),
                format!("is missing; it {allowed}"),
            ),
        });
    }
}
