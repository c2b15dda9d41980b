//! Query parameters: each at most once, none that the call does not know.
//!
//! A misspelt filter that is ignored answers with everything, and a script then acts on everything.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use rndrkit_api::error::ErrorCode;
use rndrkit_control::{Cursor, PageQuery};

use crate::http::refusal::Refusal;

/// What was sent after the `?`.
pub(crate) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let malformed = |_| Refusal::new(ErrorCode::InvalidRequest, "The query is malformed.");
        pairs.map(|Query(pairs)| Self(pairs)).map_err(malformed)
    }
}

impl Parameters {
    /// Refuses names outside `known` and repeated ones.
    pub(crate) fn only(self, known: &[&str]) -> Result<Self, Refusal> {
        for (index, (name, _)) in self.0.iter().enumerate() {
            let problem = if !known.contains(&name.as_str()) {
                "is not one that this call takes"
            } else if self.0.iter().take(index).any(|(earlier, _)| earlier == name) {
                "was sent more than once"
            } else {
                continue;
            };
            let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
            let detail = format!("The query parameter `{shown}` {problem}. Known: {}.", known.join(", "));
            return Err(Refusal::new(ErrorCode::InvalidRequest, detail));
        }
        Ok(self)
    }

    /// The parameter's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `limit` and `after`.
    pub(crate) fn page(&self) -> Result<PageQuery, Refusal> {
        let limit = match self.get("limit") {
            None => PageQuery::DEFAULT_LIMIT,
            Some(text) => read_limit(text)
                .ok_or_else(|| Refusal::invalid("/limit", "Use a whole number from 1 to 100."))?,
        };
        let after = self.get("after").map(str::parse::<Cursor>).transpose()?;
        Ok(PageQuery { limit, after })
    }
}

fn read_limit(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = if digits { text.parse().ok()? } else { return None };
    (1..=PageQuery::MAX_LIMIT).contains(&limit).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Result<Parameters, ErrorCode> {
        let uri = format!("/v1/accounts?{query}").parse().unwrap();
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri).unwrap();
        Parameters(pairs).only(&["email", "limit", "after"]).map_err(|refusal| refusal.code)
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        assert!(parameters("email=a%40b.c&limit=1").is_ok());
        assert_eq!(parameters("emial=a%40b.c").err(), Some(ErrorCode::InvalidRequest));
        assert_eq!(parameters("limit=1&limit=2").err(), Some(ErrorCode::InvalidRequest));
    }

    #[test]
    fn a_page_holds_1_to_100_items_and_20_when_nothing_is_said() {
        assert_eq!(parameters("").unwrap().page().unwrap().limit, 20);
        assert_eq!(parameters("limit=100").unwrap().page().unwrap().limit, 100);
        for bad in ["0", "101", "-1", "%2B5", "ten", "", "99999999999999999999"] {
            let code = parameters(&format!("limit={bad}")).unwrap().page().err().map(|refusal| refusal.code);
            assert_eq!(code, Some(ErrorCode::ValidationFailed), "{bad}");
        }
    }

    #[test]
    fn a_cursor_that_was_not_made_here_is_malformed() {
        for bad in ["", "x", "bm9wZQ"] {
            let code = parameters(&format!("after={bad}")).unwrap().page().err().map(|refusal| refusal.code);
            assert_eq!(code, Some(ErrorCode::InvalidRequest), "{bad}");
        }
    }
}
