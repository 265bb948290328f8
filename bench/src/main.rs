//! `cargo run --release -p ciao-bench`: the comparison table. What it measures is in `lib.rs`.

fn main() {
    ciao_bench::main();
}
