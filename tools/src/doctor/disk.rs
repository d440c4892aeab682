//! The journal's disk: file system, mount options, write cache, scheduler, room.

use super::Plan;
use super::finding::Finding;
use super::host::Host;
use lockstep_journal::storage::Volatility;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// File systems whose direct, data-synchronous writes into a zero-filled file stay in place.
const IN_PLACE: &[&str] = &["ext4", "xfs"];

pub fn examine(host: &Host, plan: &Plan, findings: &mut Vec<Finding>) {
    let folder = existing(&plan.data);
    findings.push(volatility(&folder));
    let mount = mount_of(host, &folder);
    findings.push(file_system(mount.as_ref()));
    findings.push(mount_options(mount.as_ref()));
    let block = block_device(host, &folder);
    findings.push(write_cache(host, block.as_deref()));
    findings.push(scheduler(host, block.as_deref()));
}

/// The folder itself, or the nearest one above it that exists.
fn existing(folder: &Path) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let mut above = folder.ancestors();
    let found = above.find(|p| p.is_dir()).unwrap_or(Path::new("/"));
    found.canonicalize().unwrap_or_else(|_| found.to_path_buf())
}

fn volatility(folder: &Path) -> Finding {
    const NAME: &str = "storage";
    match Volatility::of(folder) {
        Ok(Volatility::Durable) => Finding::pass(NAME, folder.display().to_string()),
        Ok(Volatility::Volatile(kind)) => Finding::fail(
            NAME,
            format!(
                "{} is on {kind}: nothing there survives the machine",
                folder.display()
            ),
            "put `data.directory` on a disk",
        ),
        Err(error) => Finding::unknown(NAME, format!("{}: {error}", folder.display())),
    }
}

/// Mount point, file system and options of a mount.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: String,
    kind: String,
    options: String,
}

/// The mount that holds a folder: the longest mount point above it, the last one mounted there.
fn mount_of(host: &Host, folder: &Path) -> Option<Mount> {
    let text = host.text("/proc/self/mountinfo")?;
    let mounts = text.lines().filter_map(|line| {
        let (place, rest) = line.split_once(" - ")?;
        let mut place = place.split(' ');
        let point = place.nth(4)?;
        let options = place.next()?;
        let mut rest = rest.split(' ');
        let kind = rest.next()?;
        let own = rest.nth(1).unwrap_or("");
        folder.starts_with(point).then(|| Mount {
            point: point.to_owned(),
            kind: kind.to_owned(),
            options: format!("{options},{own}"),
        })
    });
    mounts.max_by_key(|m| m.point.len())
}

fn file_system(mount: Option<&Mount>) -> Finding {
    const NAME: &str = "file system";
    match mount {
        None => Finding::unknown(NAME, "the mounts cannot be read"),
        Some(m) if IN_PLACE.contains(&m.kind.as_str()) => {
            Finding::pass(NAME, format!("{} on {}", m.kind, m.point))
        }
        Some(m) => Finding::warn(
            NAME,
            format!(
                "{} on {}: direct writes may be copied, or written elsewhere each time",
                m.kind, m.point
            ),
            "put `data.directory` on xfs or ext4 of its own",
        ),
    }
}

fn mount_options(mount: Option<&Mount>) -> Finding {
    const NAME: &str = "mount options";
    let Some(mount) = mount else {
        return Finding::unknown(NAME, "the mounts cannot be read");
    };
    let has = |option: &str| mount.options.split(',').any(|o| o == option);
    if has("nobarrier") || has("barrier=0") {
        return Finding::fail(
            NAME,
            "nobarrier: a synchronous write may be in the disk's volatile cache when we are told it is done",
            format!("mount -o remount,barrier {}", mount.point),
        );
    }
    if has("ro") {
        let remedy = format!("mount -o remount,rw {}", mount.point);
        return Finding::fail(NAME, "read-only", remedy);
    }
    if has("discard") {
        return Finding::warn(
            NAME,
            "discard: deleting old segments sends trims between our writes",
            format!(
                "mount -o remount,nodiscard {} and run fstrim outside trading",
                mount.point
            ),
        );
    }
    Finding::pass(NAME, mount.options.clone())
}

/// The whole disk below the folder's file system, as a name in `/sys/block`.
fn block_device(host: &Host, folder: &Path) -> Option<String> {
    let device = std::fs::metadata(folder).ok()?.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    host.names("/sys/block").into_iter().find(|name| {
        let is = |path: String| host.text(&path) == Some(format!("{major}:{minor}"));
        is(format!("/sys/block/{name}/dev"))
            || host
                .names(&format!("/sys/block/{name}"))
                .iter()
                .any(|part| {
                    part.starts_with(name.as_str()) && is(format!("/sys/block/{name}/{part}/dev"))
                })
    })
}

fn write_cache(host: &Host, block: Option<&str>) -> Finding {
    const NAME: &str = "disk write cache";
    let read = |file: &str| host.text(&format!("/sys/block/{}/queue/{file}", block?));
    match read("write_cache").as_deref() {
        Some("write through") => Finding::pass(
            NAME,
            "write through: the disk says that what it acknowledges is kept (or protects its cache)",
        ),
        Some("write back") if read("fua").as_deref() == Some("1") => Finding::pass(
            NAME,
            "write back with forced unit access: a synchronous write bypasses the cache",
        ),
        Some("write back") => Finding::warn(
            NAME,
            "write back without forced unit access: each synchronous write flushes the whole cache",
            "use a disk with power-loss protection; never `echo write through` on one without it",
        ),
        _ => Finding::unknown(NAME, "the disk does not say"),
    }
}

fn scheduler(host: &Host, block: Option<&str>) -> Finding {
    const NAME: &str = "disk scheduler";
    let file = block.map(|b| format!("/sys/block/{b}/queue/scheduler"));
    let text = file.as_deref().and_then(|f| host.text(f));
    match (text.as_deref().and_then(super::host::chosen), file) {
        (Some("none"), _) => Finding::pass(NAME, "none"),
        (Some(name), Some(file)) => Finding::warn(
            NAME,
            format!("{name}: a write may wait to be sorted among others"),
            format!("echo none > {file}"),
        ),
        _ => Finding::unknown(NAME, "the disk does not say"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::super::host::fake;
    use super::*;

    const MOUNTS: &str = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
        28 27 254:1 / /data rw,noatime - xfs /dev/vdb rw\n\
        29 27 0:9 / /database rw - btrfs /dev/vdc rw\n\
        30 27 254:2 / /risk rw - ext4 /dev/vdd rw,nobarrier\n";

    fn mount(folder: &str) -> Mount {
        let (_folder, host) = fake(&[("/proc/self/mountinfo", MOUNTS)]);
        mount_of(&host, Path::new(folder)).unwrap()
    }

    #[test]
    fn the_mount_is_the_longest_path_above_not_the_longest_text() {
        assert_eq!(mount("/data/venue").point, "/data");
        assert_eq!(mount("/database/x").point, "/database");
        assert_eq!(mount("/elsewhere").point, "/");
    }

    #[test]
    fn file_systems_and_options() {
        for (folder, kind, options) in [
            ("/data", Status::Pass, Status::Pass),
            ("/database", Status::Warn, Status::Pass),
            ("/risk", Status::Pass, Status::Fail),
            ("/", Status::Pass, Status::Warn),
        ] {
            let mount = mount(folder);
            assert_eq!(file_system(Some(&mount)).status, kind, "{folder}");
            assert_eq!(mount_options(Some(&mount)).status, options, "{folder}");
        }
    }

    #[test]
    fn write_caches_and_schedulers() {
        for (cache, fua, scheduling, want_cache, want_scheduler) in [
            (
                "write through",
                "0",
                "[none] kyber",
                Status::Pass,
                Status::Pass,
            ),
            ("write back", "1", "none [bfq]", Status::Pass, Status::Warn),
            ("write back", "0", "[none]", Status::Warn, Status::Pass),
        ] {
            let (_folder, host) = fake(&[
                ("/sys/block/vda/queue/write_cache", cache),
                ("/sys/block/vda/queue/fua", fua),
                ("/sys/block/vda/queue/scheduler", scheduling),
            ]);
            assert_eq!(write_cache(&host, Some("vda")).status, want_cache);
            assert_eq!(scheduler(&host, Some("vda")).status, want_scheduler);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_judged_by_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("not/there/yet");
        assert_eq!(existing(&deep), folder.path().canonicalize().unwrap());
    }
}
