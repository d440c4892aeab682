//! libFuzzer's entry. `LOCKSTEP_FUZZ_TARGET` names the target; `list` prints all names and ends.
//! `LOCKSTEP_FUZZ_SEEDS`, if set, is the folder that the target's seeds are written to before it starts.
#![no_main]

use std::sync::OnceLock;

static RUN: OnceLock<fn(&[u8])> = OnceLock::new();

fn prepare() {
    let name = std::env::var("LOCKSTEP_FUZZ_TARGET").unwrap_or_default();
    if name == "list" {
        lockstep_fuzz::print_names();
        std::process::exit(0);
    }
    let Some(target) = lockstep_fuzz::target(&name) else {
        eprintln!("LOCKSTEP_FUZZ_TARGET={name}: no such target; `list` names them");
        std::process::exit(2);
    };
    if let Some(folder) = std::env::var_os("LOCKSTEP_FUZZ_SEEDS") {
        lockstep_fuzz::write_seeds(target, folder.as_ref());
    }
    RUN.get_or_init(|| target.run);
}

libfuzzer_sys::fuzz_target!(init: prepare(), |data: &[u8]| {
    if let Some(run) = RUN.get() {
        run(data);
    }
});
