//! Times a part and its limit in turn, lets Criterion see to the part, and writes the table.

use comfy_table::{Table, presets};
use criterion::Criterion;
use std::hint::black_box;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Batches of each measurement: few, because a part that takes long takes so long in each.
const BATCHES: usize = 30;

/// What is known of a part, in nanoseconds.
struct Row {
    part: String,
    time: f64,
    limit: Option<Limit>,
}

struct Limit {
    name: &'static str,
    time: f64,
    ratio: f64,
}

/// Every measurement of this run.
pub struct Bench {
    criterion: Criterion,
    rows: Vec<Row>,
}

impl Bench {
    /// As the command line says.
    pub fn new() -> Self {
        let criterion = Criterion::default()
            .without_plots()
            .sample_size(BATCHES)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(4))
            .nresamples(10_000)
            .configure_from_args();
        Self { criterion, rows: Vec::new() }
    }

    /// Measures a part for which there is no limit to compare with.
    pub fn alone(&mut self, part: &str, mut turns: impl FnMut(u64) -> Duration) {
        let mut batches = Vec::new();
        self.criterion.bench_function(part, |bencher| {
            bencher.iter_custom(|count| {
                let took = turns(count);
                batches.push(per_turn(took, count));
                took
            });
        });
        if let Some(measured) = last(&batches) {
            self.rows.push(Row { part: part.into(), time: median(measured.iter().copied()), limit: None });
        }
    }

    /// Measures a part, and in turn with it the limit.
    pub fn against(
        &mut self,
        part: &str,
        mut turns: impl FnMut(u64) -> Duration,
        limit: (&'static str, impl FnMut(u64) -> Duration),
    ) {
        let (name, mut of_limit) = limit;
        let mut batches = Vec::new();
        self.criterion.bench_function(part, |bencher| {
            bencher.iter_custom(|count| {
                let (took, least) = (turns(count), of_limit(count));
                batches.push((per_turn(took, count), per_turn(least, count)));
                took
            });
        });
        if let Some(measured) = last(&batches) {
            let limit = Limit {
                name,
                time: median(measured.iter().map(|(_, limit)| *limit)),
                // Of each pair by itself: what slowed only some of them down does not count.
                ratio: median(measured.iter().map(|(part, limit)| part / limit)),
            };
            let time = median(measured.iter().map(|(part, _)| *part));
            self.rows.push(Row { part: part.into(), time, limit: Some(limit) });
        }
    }

    /// Prints what was measured.
    pub fn finish(self) {
        self.criterion.final_summary();
        if self.rows.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(["part", "time", "limit", "ratio"]);
        table.add_rows(self.rows.into_iter().map(|Row { part, time, limit }| {
            let (limit, ratio) = limit.map_or_else(Default::default, |Limit { name, time, ratio }| {
                (format!("{name}, {}", readable(time)), format!("{ratio:.2}"))
            });
            [part, readable(time), limit, ratio]
        }));
        println!("\n{table}");
    }
}

/// How long so many turns take.
pub fn turns<T>(mut once: impl FnMut() -> T) -> impl FnMut(u64) -> Duration {
    move |count| {
        let started = Instant::now();
        for _ in 0..count {
            black_box(once());
        }
        started.elapsed()
    }
}

/// The same of what may wait.
pub fn async_turns<T>(runtime: &Runtime, once: impl AsyncFn() -> T) -> impl FnMut(u64) -> Duration {
    move |count| {
        runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..count {
                black_box(once().await);
            }
            started.elapsed()
        })
    }
}

/// The batches that Criterion measured; those before were for warming up. None when the part was left out or only tried.
fn last<T>(batches: &[T]) -> Option<&[T]> {
    batches.len().checked_sub(BATCHES).map(|first| &batches[first..])
}

fn per_turn(took: Duration, count: u64) -> f64 {
    took.as_secs_f64() * 1e9 / count as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Three digits with their unit.
fn readable(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        short if short < 1e3 => (short, "ns"),
        long if long < 1e6 => (long / 1e3, "µs"),
        longer => (longer / 1e6, "ms"),
    };
    match value {
        small if small < 10.0 => format!("{small:.2} {unit}"),
        middle if middle < 100.0 => format!("{middle:.1} {unit}"),
        large => format!("{large:.0} {unit}"),
    }
}
