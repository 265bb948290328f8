//! `cargo bench -p ciao-bench`: the same table as `cargo run --release -p ciao-bench`.

fn main() {
    ciao_bench::main();
}
