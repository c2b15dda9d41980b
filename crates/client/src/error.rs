//! Why a call gave no answer of its own: a refusal, or not knowing.

use rndrkit_api::error::Problem;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, and says why.
    #[error("{}", problem_text(.0))]
    Problem(Box<Problem>),
    /// The server answered with a refusal that this version does not know.
    #[error("the server answered {status}{}", detail_text(.detail.as_ref()))]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it says about it, if anything.
        detail: Option<String>,
    },
    /// The answer is not one of this API: probably another server.
    #[error("the answer is not one of the operator API: {0}")]
    Garbled(String),
    /// No connection, or it broke.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long. What was asked may or may not have happened.
    #[error("the server did not answer in time; what was asked may or may not have happened")]
    TimedOut,
    /// The call could not be made: a wrong address, token or idempotency key.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// Whether the server gave no definite answer: unreachable, too slow, or not well itself. What was asked
    /// may then have happened.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.status >= 500,
            Self::Refused { status, .. } => *status >= 500,
            Self::Garbled(_) | Self::Unreachable(_) | Self::TimedOut => true,
            Self::Usage(_) => false,
        }
    }

    pub(crate) fn of_reqwest(error: reqwest::Error) -> Self {
        if error.is_timeout() && !error.is_connect() {
            return Self::TimedOut;
        }
        // The outer error says that something failed; the innermost one says what.
        let error = error.without_url();
        let mut inner: &dyn std::error::Error = &error;
        while let Some(cause) = inner.source() {
            inner = cause;
        }
        Self::Unreachable(inner.to_string())
    }
}

fn problem_text(problem: &Problem) -> String {
    let mut text = problem.detail.clone();
    for field in &problem.errors {
        text.push_str("\n  ");
        text.push_str(field.pointer.trim_start_matches('/'));
        text.push_str(": ");
        text.push_str(&field.detail);
    }
    text
}

fn detail_text(detail: Option<&String>) -> String {
    detail.map(|detail| format!(": {detail}")).unwrap_or_default()
}
