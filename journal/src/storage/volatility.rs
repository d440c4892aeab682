//! Whether a file system forgets at a power cut: a synced write "succeeds" on tmpfs too.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
const OVERLAY: u64 = 0x794c_7630;

/// What is known of a folder's medium.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Volatility {
    /// On no file system known to live in memory.
    Durable,
    /// Gone at a power cut; the name of the file system.
    Volatile(&'static str),
}

impl Volatility {
    /// Looks at the file system below `folder`; through an overlay at its upper layer, if that is visible.
    pub fn of(folder: &Path) -> io::Result<Self> {
        match crate::os::file_system_magic(&File::open(folder)?)? {
            TMPFS => Ok(Self::Volatile("tmpfs")),
            RAMFS => Ok(Self::Volatile("ramfs")),
            OVERLAY => Ok(upper_layer(folder).map_or(Self::Durable, |upper| of_layer(&upper))),
            _ => Ok(Self::Durable),
        }
    }
}

fn of_layer(upper: &Path) -> Volatility {
    let magic = File::open(upper).and_then(|file| crate::os::file_system_magic(&file));
    match magic {
        Ok(TMPFS) => Volatility::Volatile("overlay on tmpfs"),
        Ok(RAMFS) => Volatility::Volatile("overlay on ramfs"),
        _ => Volatility::Durable,
    }
}

/// Upper folder of the overlay mount that holds `folder`, by the longest mount point before it.
fn upper_layer(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    upper_layer_in(&mounts, &folder)
}

fn upper_layer_in(mounts: &str, folder: &Path) -> Option<PathBuf> {
    mounts
        .lines()
        .filter_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            let point = place.split(' ').nth(4)?;
            let options = kind.strip_prefix("overlay ")?.split(' ').nth(1)?;
            let upper = options
                .split(',')
                .find_map(|option| option.strip_prefix("upperdir="))?;
            folder
                .starts_with(point)
                .then(|| (point.len(), PathBuf::from(upper)))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, upper)| upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tmpfs_is_volatile_and_what_a_build_writes_to_is_read() {
        if Path::new("/dev/shm").is_dir() {
            assert_eq!(
                Volatility::of(Path::new("/dev/shm")).unwrap(),
                Volatility::Volatile("tmpfs")
            );
        } else {
            println!("SKIP: no /dev/shm");
        }
        assert!(Volatility::of(Path::new("/nonexistent")).is_err());
        assert_eq!(
            Volatility::of(Path::new("/proc")).unwrap(),
            Volatility::Durable
        );
    }

    #[test]
    fn an_overlay_is_as_volatile_as_its_upper_layer() {
        let mounts = "1 0 0:1 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/disk/u,workdir=/w\n\
                      2 1 0:2 / /mem rw shared:1 - overlay overlay rw,lowerdir=/l,upperdir=/dev/shm/u,workdir=/w\n\
                      3 1 0:3 / /proc rw - proc proc rw\n";
        let upper = |folder| upper_layer_in(mounts, Path::new(folder));
        assert_eq!(upper("/srv"), Some(PathBuf::from("/disk/u")));
        assert_eq!(upper("/mem/journal"), Some(PathBuf::from("/dev/shm/u")));
    }
}
