//! A disk that fills up while a venue serves: exit code 14, and nothing acknowledged is lost once there is
//! space again.

use crate::common::{Fixture, PATIENCE, assert_end, binary, plan, stop_in_order};
use crate::flow::Flow;
use crate::proof::{compare_hashes, compare_sessions, replay};
use crate::venue::{VenuePlan, VenueProcess};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The file system: an ext4 image of this size, and a ballast in it.
const DISK_MIB: u32 = 64;
const BALLAST_MIB: u32 = 24;

/// A process that keeps a mount namespace with the small disk; it ends with the guard.
struct SmallDisk {
    keeper: Child,
    wrapper: PathBuf,
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

impl SmallDisk {
    /// Mounts it at `point`; `None`, with the reason printed, where that is not permitted.
    fn mount(folder: &Path, point: &Path) -> Option<Self> {
        std::fs::create_dir_all(point).expect("mount point");
        let image = folder.join("disk.image");
        let script = format!(
            "truncate -s {DISK_MIB}M {image:?} && mkfs.ext4 -q -F -O ^has_journal {image:?} && \
             mount -o loop {image:?} {point:?} && fallocate -l {BALLAST_MIB}M {point:?}/ballast && \
             echo mounted && exec cat"
        );
        let keeper = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "--",
                "/bin/sh",
                "-c",
                &script,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut keeper) = keeper else {
            println!("SKIP: no unshare to mount a small disk with");
            return None;
        };
        let mut said = String::new();
        let out = keeper.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut said).expect("a line");
        let wrapper = folder.join("on-small-disk.sh");
        let mut disk = Self { keeper, wrapper };
        if said != "mounted\n" {
            let _ = disk.keeper.kill();
            let mut why = String::new();
            if let Some(errors) = disk.keeper.stderr.take() {
                let _ = BufReader::new(errors).read_line(&mut why);
            }
            println!("SKIP: a small disk cannot be mounted here: {}", why.trim());
            return None;
        }
        let enter = format!("nsenter --mount=/proc/{}/ns/mnt --", disk.keeper.id());
        let text = format!("#!/bin/sh\nexec {enter} {:?} \"$@\"\n", binary());
        std::fs::write(&disk.wrapper, text).expect("write");
        std::fs::set_permissions(&disk.wrapper, PermissionsExt::from_mode(0o755)).expect("mode");
        Some(disk)
    }

    fn run(&self, command: &str, argument: &Path) {
        let status = Command::new("nsenter")
            .arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()))
            .args(["--", command])
            .arg(argument)
            .status();
        assert!(
            status.expect("nsenter").success(),
            "{command} {}",
            argument.display()
        );
    }
}

/// It once ended with exit code 15: the stream files' write that met the end of the disk was short, and only
/// the next one would have been told that there is no space.
#[test]
fn a_full_disk_is_exit_code_14_and_space_brings_everything_back() {
    let plan = VenuePlan {
        segment_bytes: 4 << 20,
        sessions: 4,
        ..plan()
    };
    let fixture = Fixture::new(plan);
    let Some(disk) = SmallDisk::mount(&fixture.folder.path, &fixture.folder.data()) else {
        return;
    };
    crate::venue::format(&disk.wrapper, &fixture.folder).expect("format");
    let start = || VenueProcess::start(&disk.wrapper, &fixture.folder).expect("listens");
    let mut flow = Flow::new(&fixture.folder, 31).expect("clients");
    let venue = start();
    flow.connect(venue.address, PATIENCE, || false)
        .expect("sessions");
    flow.trade(PATIENCE, 1_000_000, &mut |_| true)
        .expect("no answer that cannot be");
    flow.wait_down(PATIENCE).expect("the venue is gone");
    let ended = venue.ended(PATIENCE).expect("an end of its own");
    assert_end(&ended, 14, &["(exit code 14)"]);
    let remembered = flow.sums().acknowledgements;
    assert!(
        remembered > 10_000,
        "only {remembered} acknowledgements before the disk was full"
    );
    // Still full: a start fails alike, and touches nothing that was acknowledged.
    let again = fixture.serve_ends_by(&disk.wrapper);
    assert_ne!(again.code(), Some(0), "{}", again.log);
    disk.run("rm", &fixture.folder.data().join("ballast"));
    let venue = start();
    flow.connect(venue.address, PATIENCE, || false)
        .expect("sessions survive");
    flow.settle(PATIENCE).expect("answers");
    let same = flow
        .hear_again(venue.address, PATIENCE)
        .expect("the same day again");
    assert!(same >= remembered);
    flow.check_trades().expect("trades fit");
    flow.log_out(PATIENCE).expect("closed");
    let ended = stop_in_order(venue);
    // Read the journal from outside the namespace: a copy of it.
    let copy = fixture.folder.path.join("journal-copy");
    let status = Command::new("nsenter")
        .arg(format!("--mount=/proc/{}/ns/mnt", disk.keeper.id()))
        .args(["--", "cp", "-r"])
        .args([fixture.folder.journal(), copy.clone()])
        .status();
    assert!(status.expect("nsenter").success());
    let replayed = replay(&copy).expect("whole");
    compare_hashes(ended.state(), &replayed).expect("one state");
    compare_sessions(&flow, &replayed.machine).expect("the clients' state");
}
