//! Keeps what the process has touched in memory (`memory.lock`), touches its own program, and counts first touches.
//!
//! A page that was swapped out costs the agent that touches it milliseconds. Pages are locked as they are touched and
//! not before, so mappings of files (streams that are replayed) are not read for nothing. Later mappings are
//! locked too, which is only safe where no limit can refuse them: with one, a day would end at the mapping that goes
//! beyond it. So a limit is refused at the start.
#![allow(unsafe_code)]

use std::io;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum LockError {
    #[error(
        "{source}: `ulimit -l unlimited` (systemd: LimitMEMLOCK=infinity), or memory.lock = false"
    )]
    Refused { source: io::Error },
    #[error(
        "the limit of locked memory is {limit_bytes} bytes and a later mapping would fail at it: \
         `ulimit -l unlimited` (systemd: LimitMEMLOCK=infinity), or memory.lock = false"
    )]
    Limited { limit_bytes: u64 },
}

/// CAP_IPC_LOCK (linux/capability.h): no limit counts.
const IPC_LOCK: u32 = 14;

/// Brings the program's own code and constants into memory and maps them, so that a path that is seldom taken (a halt, a
/// kill switch) waits neither for the disk nor for a page fault when it is needed. Linux 5.14 (`MADV_POPULATE_READ`).
pub fn populate_program() -> io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let here = populate_program as *const () as usize;
    for (begin, end) in program_ranges(&maps, here) {
        // SAFETY: the range is a mapping of this process that is only read, and stays: it is the program itself.
        let result = unsafe {
            libc::madvise(
                begin as *mut libc::c_void,
                end - begin,
                libc::MADV_POPULATE_READ,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Mappings that are not written to (proc_pid_maps(5)), of the file that has `here` in one of them.
fn program_ranges(maps: &str, here: usize) -> Vec<(usize, usize)> {
    let lines: Vec<_> = maps.lines().filter_map(mapping).collect();
    let program = lines
        .iter()
        .find(|(begin, end, _, _)| (*begin..*end).contains(&here))
        .map(|(_, _, _, inode)| *inode);
    let is_wanted = |rights: &str, inode: &str| {
        rights.starts_with("r-") && inode != "0" && Some(inode) == program
    };
    lines
        .iter()
        .filter(|(_, _, rights, inode)| is_wanted(rights, inode))
        .map(|(begin, end, _, _)| (*begin, *end))
        .collect()
}

/// Begin, end, rights and inode of a line.
fn mapping(line: &str) -> Option<(usize, usize, &str, &str)> {
    let mut fields = line.split_ascii_whitespace();
    let (begin, end) = fields.next()?.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let rights = fields.next()?;
    // Offset and device lie between.
    let inode = fields.nth(2)?;
    Some((address(begin)?, address(end)?, rights, inode))
}

/// Page faults of this process that needed no disk, since its start.
pub fn minor_faults() -> Option<u64> {
    // SAFETY: all-zero is a valid `rusage`: numbers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `rusage`.
    let result = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    (result == 0).then_some(usage.ru_minflt as u64)
}

/// Locks what is mapped now and later, each page from its first touch.
pub fn lock() -> Result<(), LockError> {
    let source = io::Error::last_os_error;
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return Err(LockError::Refused { source: source() });
    }
    if limit.rlim_cur != libc::RLIM_INFINITY && !may_exceed_the_limit() {
        let limit_bytes = limit.rlim_cur;
        return Err(LockError::Limited { limit_bytes });
    }
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // SAFETY: takes no memory of ours and changes no byte of it.
    if unsafe { libc::mlockall(flags) } != 0 {
        return Err(LockError::Refused { source: source() });
    }
    Ok(())
}

fn may_exceed_the_limit() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| has_capability(&status))
}

fn has_capability(status: &str) -> bool {
    let mut lines = status.lines();
    let effective = lines.find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set >> IPC_LOCK & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locking_works_or_says_what_to_do() {
        match lock() {
            // SAFETY: takes no memory of ours and changes no byte of it.
            Ok(()) => assert_eq!(unsafe { libc::munlockall() }, 0),
            Err(error) => assert!(error.to_string().contains("ulimit -l unlimited"), "{error}"),
        }
    }

    /// `bench engine` counted one page fault a run: the page of a function that is seldom called.
    #[test]
    fn the_program_is_in_memory_before_it_is_needed() {
        const MAPS: &str = "\
            1000-2000 r--p 00000000 fe:00 77 /bin/lockstep\n\
            2000-5000 r-xp 00001000 fe:00 77 /bin/lockstep\n\
            5000-6000 rw-p 00004000 fe:00 77 /bin/lockstep\n\
            7000-8000 r-xp 00000000 fe:00 78 /lib/other.so\n\
            8000-9000 r--p 00000000 00:00 0\n\
            9000-a000 r-xp 00000000 00:00 0 [vdso]\n";
        let both = vec![(0x1000, 0x2000), (0x2000, 0x5000)];
        assert_eq!(program_ranges(MAPS, 0x2fff), both);
        assert_eq!(program_ranges(MAPS, 0x7000), vec![(0x7000, 0x8000)]);
        for elsewhere in [0x8000, 0x9000, 0xf000] {
            assert!(program_ranges(MAPS, elsewhere).is_empty());
        }
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let here = populate_program as *const () as usize;
        let ranges = program_ranges(&maps, here);
        assert!(
            ranges
                .iter()
                .any(|(begin, end)| (*begin..*end).contains(&here))
        );
        match populate_program() {
            Ok(()) => assert!(minor_faults().unwrap() > 0),
            // A kernel before 5.14.
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EINVAL)),
        }
    }

    #[test]
    fn the_capability_is_read_from_the_effective_set() {
        let status = |set: &str| format!("Name:\tx\nCapPrm:\t{set}\nCapEff:\t{set}\n");
        assert!(has_capability(&status("000001ffffffffff")));
        assert!(has_capability(&status("0000000000004000")));
        assert!(!has_capability(&status("0000000000003fff")));
        assert!(!has_capability("CapPrm:\tffff\n") && !has_capability(""));
    }
}
