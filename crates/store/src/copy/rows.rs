//! Rows of any table of ours, read, written and summed up by what the catalogue says about its columns.

use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Value};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::sql::{NumberRow, Sql, Transaction};
use crate::value::text;

/// Rows read and written at once: with our widest table, far below PostgreSQL's 65,535 parameters.
const BATCH: usize = 500;

/// What a column holds; the schema uses no other types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Text,
    Blob,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: Kind,
}

/// A table and its columns, as the SQLite database has them.
#[derive(Debug)]
pub(super) struct Table {
    name: &'static str,
    columns: Vec<Column>,
}

/// How many rows there are, and a sum over all of them that does not depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) rows: u64,
    sum: [u128; 2],
}

impl Total {
    fn add(&mut self, row: &[Value]) -> Result<(), Error> {
        let mut hasher = Sha256::new();
        for value in row {
            match value {
                Value::BigInt(Some(number)) => hash(&mut hasher, 1, &number.to_le_bytes()),
                Value::String(Some(text)) => hash(&mut hasher, 2, text.as_bytes()),
                Value::Bytes(Some(bytes)) => hash(&mut hasher, 3, bytes),
                Value::BigInt(None) | Value::String(None) | Value::Bytes(None) => hash(&mut hasher, 0, &[]),
                _ => return Err(Error::corrupt("a column of a type that the schema does not use")),
            }
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let (low, high) = digest.split_at(16);
        for (lane, half) in self.sum.iter_mut().zip([low, high]) {
            let half = half.try_into().map_err(|_| Error::corrupt("half a digest"))?;
            *lane = lane.wrapping_add(u128::from_le_bytes(half));
        }
        self.rows += 1;
        Ok(())
    }
}

/// Kind and length stand in front, so that no two lists of values look alike.
fn hash(hasher: &mut Sha256, kind: u8, bytes: &[u8]) {
    hasher.update([kind]);
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

#[derive(FromQueryResult)]
struct ColumnRow {
    name: String,
    kind: String,
}

impl Table {
    /// Asks SQLite for the columns of one of our tables.
    pub(super) async fn read(source: &Transaction, name: &'static str) -> Result<Self, Error> {
        let rows: Vec<ColumnRow> = source
            .all("SELECT name, type AS kind FROM pragma_table_info($1) ORDER BY cid", [text(name)])
            .await?;
        if rows.is_empty() {
            return Err(Error::corrupt("a table of this version's schema is missing"));
        }
        let columns = rows.into_iter().map(Column::from_row).collect::<Result<_, _>>()?;
        Ok(Self { name, columns })
    }

    /// Copies all rows; what was written, as it was read. `progress` hears of every batch.
    pub(super) async fn copy(
        &self,
        source: &Transaction,
        target: &Transaction,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Total, Error> {
        let mut total = Total::default();
        self.each_batch(source, async |rows| {
            let count = rows.len();
            rows.iter().try_for_each(|row| total.add(row))?;
            target.execute_built(self.insert(count), rows.into_iter().flatten().collect()).await?;
            progress(total.rows);
            Ok(())
        })
        .await?;
        Ok(total)
    }

    /// Sums up the rows on SQLite.
    pub(super) async fn total(&self, source: &Transaction) -> Result<Total, Error> {
        let mut total = Total::default();
        self.each_batch(source, async |rows| rows.iter().try_for_each(|row| total.add(row))).await?;
        Ok(total)
    }

    /// Sums up the rows on PostgreSQL, as this transaction sees them.
    pub(super) async fn total_on_postgres(&self, target: &Transaction) -> Result<Total, Error> {
        let mut total = Total::default();
        // One name for each table: a statement is prepared once and keeps its columns.
        let cursor = format!("copy_of_{}", self.name);
        let declare =
            format!("DECLARE {cursor} NO SCROLL CURSOR FOR SELECT {} FROM {}", self.list(), self.name);
        target.execute_built(declare, Vec::new()).await?;
        loop {
            let rows = target.rows_built(format!("FETCH {BATCH} FROM {cursor}"), Vec::new()).await?;
            for row in &rows {
                total.add(&self.values(row, 0)?)?;
            }
            if rows.len() < BATCH {
                break;
            }
        }
        target.execute_built(format!("CLOSE {cursor}"), Vec::new()).await?;
        Ok(total)
    }

    /// Reads SQLite's rows in the order in which they lie: every table of ours has a `rowid`.
    async fn each_batch(
        &self,
        source: &Transaction,
        mut act: impl AsyncFnMut(Vec<Vec<Value>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let query = format!(
            "SELECT rowid, {} FROM {} WHERE rowid > $1 ORDER BY rowid LIMIT {BATCH}",
            self.list(),
            self.name
        );
        // Nothing of ours has the lowest number of all.
        let mut last = i64::MIN;
        loop {
            let rows = source.rows_built(query.clone(), vec![last.into()]).await?;
            let Some(newest) = rows.last() else { return Ok(()) };
            last = newest.try_get_by_index(0)?;
            let is_last = rows.len() < BATCH;
            act(rows.iter().map(|row| self.values(row, 1)).collect::<Result<_, _>>()?).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    fn values(&self, row: &QueryResult, first: usize) -> Result<Vec<Value>, Error> {
        let read = |(index, column): (usize, &Column)| -> Result<Value, Error> {
            Ok(match column.kind {
                Kind::Integer => Value::BigInt(row.try_get_by_index(index)?),
                Kind::Text => Value::String(row.try_get_by_index(index)?),
                Kind::Blob => Value::Bytes(row.try_get_by_index(index)?),
            })
        };
        (first..).zip(&self.columns).map(read).collect()
    }

    fn list(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        names.join(", ")
    }

    fn insert(&self, rows: usize) -> String {
        let width = self.columns.len();
        let row = |row: usize| {
            let places: Vec<String> = (1..=width).map(|place| format!("${}", row * width + place)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        format!("INSERT INTO {} ({}) VALUES {}", self.name, self.list(), rows.join(", "))
    }
}

impl Column {
    fn from_row(row: ColumnRow) -> Result<Self, Error> {
        let kind = match row.kind.as_str() {
            "INTEGER" => Kind::Integer,
            "TEXT" => Kind::Text,
            "BLOB" => Kind::Blob,
            _ => return Err(Error::corrupt("a column of a type that the schema does not use")),
        };
        Ok(Self { name: row.name, kind })
    }
}

/// How many rows a table has.
pub(super) async fn count<C: ConnectionTrait>(sql: &Sql<C>, count: &'static str) -> Result<u64, Error> {
    let row: NumberRow = sql.one(count, []).await?;
    crate::value::read_count(row.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(rows: &[Vec<Value>]) -> Total {
        let mut total = Total::default();
        for row in rows {
            total.add(row).unwrap();
        }
        total
    }

    #[test]
    fn a_total_knows_rows_in_any_order_and_no_others() {
        let (one, two) = (vec![text("a"), 1_i64.into()], vec![text("b"), 2_i64.into()]);
        let both = total(&[one.clone(), two.clone()]);
        assert_eq!(both, total(&[two.clone(), one.clone()]));
        for other in [
            vec![one.clone()],
            vec![one.clone(), one.clone()],
            vec![vec![text("a"), 2_i64.into()], vec![text("b"), 1_i64.into()]],
            vec![vec![text("a"), Value::BigInt(None)], two],
        ] {
            assert_ne!(both, total(&other), "{other:?}");
        }
        assert_ne!(total(&[vec![text("")]]), total(&[vec![Value::String(None)]]));
        assert_ne!(total(&[vec![text("a"), text("bc")]]), total(&[vec![text("ab"), text("c")]]));
    }
}
