//! A new file in `migrations/` must be noticed: the migrations are compiled in.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
