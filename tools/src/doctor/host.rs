//! Read-only view of `/proc` and `/sys` below a root folder, so that tests can make a host up.

use std::path::PathBuf;

#[derive(Debug)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text without the white space around it.
    pub fn text(&self, path: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim().to_owned())
    }

    pub fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// Names in a folder, sorted.
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(path)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The cores of a file in the kernel's list form (`0-3,8`).
    pub fn cores(&self, path: &str) -> Option<Vec<u32>> {
        parse_cores(&self.text(path)?)
    }

    /// Soft limit of this process by its name in `/proc/self/limits`; `u64::MAX` is unlimited.
    pub fn limit(&self, name: &str) -> Option<u64> {
        let limits = self.text("/proc/self/limits")?;
        let rest = limits.lines().find_map(|l| l.strip_prefix(name))?;
        match rest.split_whitespace().next()? {
            "unlimited" => Some(u64::MAX),
            number => number.parse().ok(),
        }
    }

    /// A line `name: value kB` of `/proc/meminfo`, in bytes.
    pub fn memory_bytes(&self, name: &str) -> Option<u64> {
        let text = self.text("/proc/meminfo")?;
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        kib.checked_mul(1024)
    }

    /// The command names of all running processes and kernel threads.
    pub fn processes(&self) -> Vec<String> {
        let pids = self.names("/proc").into_iter();
        pids.filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
            .filter_map(|pid| self.text(&format!("/proc/{pid}/comm")))
            .collect()
    }
}

/// The kernel's list form; empty text is an empty list.
pub fn parse_cores(text: &str) -> Option<Vec<u32>> {
    /// More cores than any host has: a bound, since the text comes from a file.
    const CORES_MAX: u32 = 1 << 16;
    let mut cores = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= CORES_MAX {
            return None;
        }
        cores.extend(first..=last);
    }
    Some(cores)
}

/// The choice in brackets of files like `always [madvise] never`.
pub fn chosen(text: &str) -> Option<&str> {
    text.split_once('[')?.1.split_once(']').map(|(c, _)| c)
}

/// A made-up host.
#[cfg(test)]
pub fn fake(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = &folder.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let host = Host::new(folder.path());
    (folder, host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_lists_as_the_kernel_writes_them() {
        assert_eq!(parse_cores(""), Some(vec![]));
        assert_eq!(parse_cores("3"), Some(vec![3]));
        assert_eq!(parse_cores("0-2,5,7-8"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(parse_cores("x"), None);
        assert_eq!(parse_cores("0-4294967295"), None);
    }

    #[test]
    fn limits_and_memory() {
        let (_folder, host) = fake(&[
            (
                "/proc/self/limits",
                "Limit Soft Hard Units\nMax locked memory  8388608  8388608 bytes\nMax open files  unlimited unlimited files\n",
            ),
            ("/proc/meminfo", "MemTotal: 100 kB\nMemFree:   7 kB\n"),
        ]);
        assert_eq!(host.limit("Max locked memory"), Some(8 << 20));
        assert_eq!(host.limit("Max open files"), Some(u64::MAX));
        assert_eq!(host.limit("Max nothing"), None);
        assert_eq!(host.memory_bytes("MemFree"), Some(7 * 1024));
        assert_eq!(chosen("always [madvise] never"), Some("madvise"));
    }
}
