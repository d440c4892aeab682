//! Keeps helper threads off the cores of pinned agents.
//!
//! Helpers (segments, passwords, operator, housekeeping, keeper) wake some hundred times a second. The kernel
//! puts them where it likes, and on an agent's core each takes the spinning thread's place for tens of
//! microseconds. A thread inherits the cores of the one that starts it, so it is enough to ask once, before
//! any is started; agents pin themselves, and take the nice value that the layout gives them.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;

/// Cores that the calling thread may run on.
pub fn cores() -> io::Result<Vec<u32>> {
    let mask = mask()?;
    // SAFETY: CPU_ISSET reads the set within the bound of `CPU_SETSIZE`.
    let is_set = |core: usize| unsafe { libc::CPU_ISSET(core, &mask) };
    let all = 0..libc::CPU_SETSIZE as usize;
    Ok(all
        .filter(|core| is_set(*core))
        .map(|core| core as u32)
        .collect())
}

/// Takes `taken` from the cores of the calling thread and of those that it starts from now on. False, and
/// nothing changed, if no core would be left.
pub fn keep_off(taken: &[u32]) -> io::Result<bool> {
    let left: Vec<u32> = cores()?
        .into_iter()
        .filter(|core| !taken.contains(core))
        .collect();
    if left.is_empty() {
        return Ok(false);
    }
    // SAFETY: a `cpu_set_t` is an array of integers, for which zeros are a value: the empty set.
    let mut mask: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in left {
        // SAFETY: the core came from a set of the same size.
        unsafe { libc::CPU_SET(core as usize, &mut mask) };
    }
    // SAFETY: thread 0 is the calling one; the kernel reads the set, whose size is given, and keeps nothing.
    let result =
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const mask) };
    if result == 0 {
        Ok(true)
    } else {
        Err(io::Error::last_os_error())
    }
}

fn mask() -> io::Result<libc::cpu_set_t> {
    // SAFETY: as above, zeros are the empty set.
    let mut mask: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: thread 0 is the calling one; the kernel writes at most the size given.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut mask) };
    if result == 0 {
        Ok(mask)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives the calling thread a nice value, if one is wanted; where the host refuses, the log says so.
pub fn take_nice(wanted: Option<i32>) {
    if let Some(nice) = wanted
        && let Err(error) = set_nice(nice)
    {
        tracing::warn!(nice, %error, "this thread keeps the process's nice value");
    }
}

/// Gives the calling thread, and no other, a nice value.
fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: who 0 of PRIO_PROCESS is the calling thread on Linux; no memory is passed.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lowering needs no privilege. Another thread keeps its own.
    #[test]
    fn a_nice_value_is_the_threads_own() {
        let nice = || {
            // SAFETY: as in `set_nice`.
            unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
        };
        let before = nice();
        let set = std::thread::spawn(move || {
            set_nice((before + 3).min(19)).expect("one's own may be lowered");
            nice()
        });
        assert_eq!(set.join().expect("no panic"), (before + 3).min(19));
        assert_eq!(nice(), before);
    }

    /// On two cores the thread that zero-fills segments was moved to the spinning agents' core and preempted
    /// it 500 times a second.
    #[test]
    fn who_is_started_later_stays_off_the_taken_cores() {
        let all = cores().expect("cores");
        let Some((taken, left)) = all.split_last().filter(|(_, left)| !left.is_empty()) else {
            println!("SKIP keeping off a core: there is only one");
            return;
        };
        let taken = *taken;
        // On a thread of its own: the other tests keep their cores.
        let seen = std::thread::spawn(move || {
            assert!(keep_off(&[taken]).expect("a mask"));
            let started = std::thread::spawn(|| cores().expect("cores"));
            started.join().expect("no panic")
        });
        assert_eq!(seen.join().expect("no panic"), left);
        assert_eq!(cores().expect("cores"), all);
    }

    #[test]
    fn the_last_core_is_never_taken() {
        let seen = std::thread::spawn(|| {
            let all = cores().expect("cores");
            (
                keep_off(&all).expect("a mask"),
                all == cores().expect("cores"),
            )
        });
        assert_eq!(seen.join().expect("no panic"), (false, true));
    }
}
