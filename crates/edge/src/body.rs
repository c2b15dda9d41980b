//! The one response body of the data plane: whatever it holds, frames and length pass through unchanged.
//!
//! Forwarding the size hint is what keeps `Content-Length` instead of chunks.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use crate::gateway::body::ResponseBody;

/// Whatever broke a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response's body.
pub struct EdgeBody(Inner);

enum Inner {
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
    Proxied(Box<ResponseBody>),
}

impl EdgeBody {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Inner::Empty)
    }

    /// A body that is all there.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Self(Inner::Full(bytes)) }
    }

    /// Any other body, such as a router's.
    pub fn boxed<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Inner::Boxed(body.map_err(Into::into).boxed_unsync()))
    }

    pub(crate) fn proxied(body: ResponseBody) -> Self {
        Self(Inner::Proxied(Box::new(body)))
    }
}

impl From<Incoming> for EdgeBody {
    fn from(body: Incoming) -> Self {
        Self(Inner::Incoming(body))
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Inner::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Inner::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Inner::Boxed(body) => Pin::new(body).poll_frame(cx),
            Inner::Proxied(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Full(_) => false,
            Inner::Incoming(body) => body.is_end_stream(),
            Inner::Boxed(body) => body.is_end_stream(),
            Inner::Proxied(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Incoming(body) => body.size_hint(),
            Inner::Boxed(body) => body.size_hint(),
            Inner::Proxied(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_length_stays_known_through_every_wrapping() {
        assert_eq!(EdgeBody::empty().size_hint().exact(), Some(0));
        assert!(EdgeBody::empty().is_end_stream());
        assert!(EdgeBody::full("").is_end_stream());
        assert_eq!(EdgeBody::full("four").size_hint().exact(), Some(4));
        let boxed = EdgeBody::boxed(http_body_util::Full::new(Bytes::from_static(b"four")));
        assert_eq!(boxed.size_hint().exact(), Some(4));
    }
}
