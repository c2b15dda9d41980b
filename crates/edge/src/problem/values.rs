//! Values of many headers in one piece of memory: an answer with ten of them costs two allocations, not ten.
//!
//! Deliberately absent: which headers there are.

use bytes::BytesMut;
use http::HeaderValue;
use rndrkit_domain::decision::BudgetState;

/// Writes values one after the other; each keeps the whole piece alive, so use one writer for one message.
pub(crate) struct ValueWriter(BytesMut);

impl ValueWriter {
    /// With room for this many bytes. More are written too, at the price of another allocation.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(BytesMut::with_capacity(bytes))
    }

    /// A text as a value; none if it has characters that no header may have.
    pub(crate) fn text(&mut self, text: &[u8]) -> Option<HeaderValue> {
        self.0.extend_from_slice(text);
        self.take()
    }

    /// `RateLimit-Policy`: what the account's budget is (IETF draft, revision 10).
    pub(crate) fn rate_limit_policy(&mut self, budget: &BudgetState) -> Option<HeaderValue> {
        self.figures(
            ["\"account\";q=", ";w="],
            [budget.limit.burst.get().into(), budget.limit.window_seconds()],
        )
    }

    /// `RateLimit`: what is left of it.
    pub(crate) fn rate_limit(&mut self, budget: &BudgetState) -> Option<HeaderValue> {
        self.figures(["\"account\";r=", ";t="], [budget.remaining.into(), budget.reset_seconds])
    }

    fn figures(&mut self, names: [&str; 2], figures: [u64; 2]) -> Option<HeaderValue> {
        let mut digits = itoa::Buffer::new();
        for (name, figure) in names.into_iter().zip(figures) {
            self.0.extend_from_slice(name.as_bytes());
            self.0.extend_from_slice(digits.format(figure).as_bytes());
        }
        self.take()
    }

    fn take(&mut self) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.0.split().freeze()).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use rndrkit_domain::plan::RateLimit;

    use super::*;

    #[test]
    fn values_stand_by_themselves_whatever_was_written_before_and_after() {
        let limit =
            RateLimit { per_minute: NonZeroU32::new(600).unwrap(), burst: NonZeroU32::new(100).unwrap() };
        let budget = BudgetState { limit, remaining: 7, reset_seconds: 1 };
        // Less room than is needed, so that it has to grow on the way.
        let mut writer = ValueWriter::with_capacity(8);
        let first = writer.text(b"acc_1").unwrap();
        let policy = writer.rate_limit_policy(&budget).unwrap();
        assert_eq!(writer.text(b"a\nb"), None);
        let left = writer.rate_limit(&budget).unwrap();
        assert_eq!(first, "acc_1");
        assert_eq!(policy, "\"account\";q=100;w=10");
        assert_eq!(left, "\"account\";r=7;t=1");
    }
}
