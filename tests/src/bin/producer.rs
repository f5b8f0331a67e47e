//! A program that logs until it is killed: see `relay_tests::producer`.

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    relay_tests::producer::main(&args);
}
