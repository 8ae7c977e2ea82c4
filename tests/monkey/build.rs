//! Compiles the C code of the tests: most of it is linked, some is a library that is loaded later.

use std::path::PathBuf;
use std::{env, process::Command};

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
    let folder = env::var_os("OUT_DIR").expect("cargo sets it");
    let library = PathBuf::from(folder).join("libstrangers.so");
    let compiler = cc::Build::new().get_compiler();
    let status = Command::new(compiler.path())
        .args([
            "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-fPIC", "-shared", "-o",
        ])
        .arg(&library)
        .arg("src/c/strangers.c")
        .status();
    let built = status.expect("there is a compiler").success();
    assert!(built, "src/c/strangers.c does not compile");
    println!("cargo::rustc-env=GREENWAY_STRANGERS={}", library.display());
}
