//! Arguments → `cli` → exit code.

fn main() -> std::process::ExitCode {
    thalweg::cli::main()
}
