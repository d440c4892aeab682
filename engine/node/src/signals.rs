//! SIGTERM and SIGINT into a flag that the main thread looks at; SIGPIPE ignored.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_: libc::c_int) {
    // The only thing done here: a store is async-signal-safe.
    STOP.store(true, Ordering::Release);
}

/// Installs the handlers; call once, before threads start.
pub fn install() -> std::io::Result<()> {
    // SAFETY: an all-zero sigaction is a valid value: no flags, empty mask, default handler.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: `action` is initialised, its handler only stores to an atomic.
        if unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    // SAFETY: SIG_IGN is a valid disposition for SIGPIPE.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    Ok(())
}

/// Whether SIGTERM or SIGINT has come.
pub fn stop_requested() -> bool {
    STOP.load(Ordering::Acquire)
}

/// Bytes of a memory page.
pub fn page_bytes() -> u64 {
    // SAFETY: sysconf has no preconditions.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}
