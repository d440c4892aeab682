//! SIGTERM and SIGINT into a flag that the main thread looks at, SIGHUP into one of the operator's thread;
//! SIGPIPE ignored.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

static RELOAD: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(signal: libc::c_int) {
    // The only thing done here: a store is async-signal-safe.
    if signal == libc::SIGHUP {
        RELOAD.store(true, Ordering::Release);
    } else {
        STOP.store(true, Ordering::Release);
    }
}

/// Installs the handlers; call once, before threads start.
pub fn install() -> std::io::Result<()> {
    // SAFETY: an all-zero sigaction is a valid value: no flags, empty mask, default handler.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
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

/// Whether SIGHUP has come since this was last asked: the definitions file is to be read again.
pub fn take_reload_request() -> bool {
    RELOAD.swap(false, Ordering::AcqRel)
}

/// Asks another process to stop in order (SIGTERM). Only for a child that has not been waited for: its id
/// cannot have been given to anybody else.
pub fn terminate(process_id: u32) -> std::io::Result<()> {
    let invalid = |_| std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let process_id = libc::pid_t::try_from(process_id).map_err(invalid)?;
    if process_id <= 1 {
        // 0 would mean this process's whole group.
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: kill has no memory preconditions.
    match unsafe { libc::kill(process_id, libc::SIGTERM) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Has the kernel kill this process when the thread that started it ends: for a child that must not
/// outlive its parent, whatever ends that.
pub fn end_with_parent() -> std::io::Result<()> {
    // SAFETY: this option of prctl takes a signal number and touches no memory.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Bytes of a memory page.
pub fn page_bytes() -> u64 {
    // SAFETY: sysconf has no preconditions.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}
