//! How long the parts of a request take, each beside what it cannot do without: a signature of the library, a hash, a form
//! that is only taken apart.
//!
//! `cargo bench` measures all of them and ends with a table; `cargo bench -- mint` those with `mint` in their name. A part
//! and its limit are timed in turn, so what slows the machine down slows both. Criterion shows each part in detail and
//! compares it with the run before.

#![allow(clippy::unwrap_used, reason = "a benchmark that meets an unexpected value has failed")]

#[path = "limits/bare.rs"]
#[expect(dead_code, reason = "the rest is for the limits of the whole")]
mod bare;
#[path = "parts/measure.rs"]
mod measure;
#[path = "parts/reading.rs"]
mod reading;
#[path = "parts/request.rs"]
mod request;
#[path = "limits/signatures.rs"]
#[expect(dead_code, reason = "the rest is for the limits of the whole")]
mod signatures;
#[path = "parts/slow.rs"]
mod slow;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "most of it is for tests")]
mod support;
#[path = "parts/warm.rs"]
mod warm;

fn main() {
    let (mut bench, warm) = (measure::Bench::new(), warm::Warm::new());
    request::bench(&mut bench, &warm);
    reading::bench(&mut bench, &warm);
    slow::bench(&mut bench, &warm);
    bench.finish();
}
