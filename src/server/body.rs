//! Request bodies that must end in time.

use crate::extract::form::Late;
use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// A body as the handlers get it.
pub(super) fn in_time(body: Incoming, time: Duration) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(Timed { body, time, alarm: None }) }
}

/// A body whose end is not waited for longer than `time`. What is there at once needs no timer.
struct Timed {
    body: Incoming,
    time: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        let time = this.time;
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        ready!(alarm.as_mut().poll(context));
        Poll::Ready(Some(Err(Late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
