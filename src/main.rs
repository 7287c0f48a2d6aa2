//! Entry: allocator, cryptography, command line.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything that could speak TLS; fails only when somebody was first, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    raywarden::cli::main()
}
