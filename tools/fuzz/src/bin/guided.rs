//! libFuzzer's entry: the target is named by `LOCKSTEP_FUZZ_TARGET`.
#![no_main]

use std::sync::OnceLock;

static RUN: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let run = RUN.get_or_init(|| {
        let name = std::env::var("LOCKSTEP_FUZZ_TARGET").unwrap_or_default();
        lockstep_fuzz::target(&name)
            .unwrap_or_else(|| panic!("LOCKSTEP_FUZZ_TARGET={name}: no such target"))
            .run
    });
    run(data);
});
