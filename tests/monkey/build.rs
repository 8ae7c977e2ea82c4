//! Compiles the C code of the tests.

fn main() {
    println!("cargo::rerun-if-changed=src/c");
    cc::Build::new()
        .files([
            "src/c/calls.c",
            "src/c/locks.c",
            "src/c/meetings.c",
            "src/c/processes.c",
            "src/c/rest.c",
        ])
        .flag("-pthread")
        .opt_level(2)
        .warnings(true)
        .warnings_into_errors(true)
        .compile("monkeytests");
}
