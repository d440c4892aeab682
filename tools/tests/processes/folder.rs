//! Journal folders that a venue must refuse, each with its exit code, and none of them harmed.

use crate::common::{Fixture, LAYOUT, assert_end, binary, plan, segments, stop_in_order};
use crate::proof::replay;
use crate::raw::{Raw, Witness, bid};
use crate::venue::{VenuePlan, format};
use lockstep_journal::Checksum;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[test]
fn a_missing_journal_is_exit_code_11_and_none_is_made() {
    let fixture = Fixture::new(plan());
    assert_end(&fixture.serve_ends(), 11, &["journal", "lockstep format"]);
    assert!(
        !fixture.folder.journal().exists(),
        "serve must never make a journal by itself"
    );
}

#[test]
fn a_folder_that_is_no_journal_is_exit_code_11() {
    let fixture = Fixture::new(plan());
    std::fs::create_dir_all(fixture.folder.journal()).expect("folder");
    std::fs::write(fixture.folder.journal().join("notes.txt"), "mine").expect("file");
    assert_end(&fixture.serve_ends(), 11, &["journal"]);
    // Nor is it made one.
    assert!(format(binary(), &fixture.folder).is_err());
    let notes = std::fs::read_to_string(fixture.folder.journal().join("notes.txt"));
    assert_eq!(notes.expect("still there"), "mine");
}

#[test]
fn a_second_process_on_one_journal_is_exit_code_12_and_the_first_serves_on() {
    let (fixture, venue) = Fixture::serving(plan());
    let mut witness = Witness::new(venue.address, &fixture.folder);
    let before = std::fs::metadata(fixture.folder.log_buffer())
        .expect("log buffer")
        .len();
    let second = fixture.serve_ends();
    assert_end(&second, 12, &[&venue.id().to_string()]);
    witness.is_served();
    let after = std::fs::metadata(fixture.folder.log_buffer())
        .expect("log buffer")
        .len();
    assert_eq!(before, after);
    let ended = stop_in_order(venue);
    let replayed = replay(&fixture.folder.journal()).expect("whole");
    assert_eq!(ended.state(), Some((replayed.hash(), replayed.sequence())));
}

#[test]
fn another_day_s_lock_file_locks_nobody_out() {
    let (fixture, venue) = Fixture::serving(plan());
    venue.kill().expect("an end");
    // The lock is the kernel's, not the file's: it went with the killed process.
    stop_in_order(fixture.start());
}

/// Runs `binary` in a mount namespace of its own in which `script` has been run.
fn in_namespace(fixture: &Fixture, script: &str) -> std::path::PathBuf {
    let wrapper = fixture.folder.path.join("in-namespace.sh");
    let text = format!(
        "#!/bin/sh\nexec unshare --mount --propagation private -- /bin/sh -c '{script} && exec \"$0\" \"$@\"' \
         {binary:?} \"$@\"\n",
        binary = binary()
    );
    std::fs::write(&wrapper, text).expect("write");
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).expect("permissions");
    wrapper
}

#[test]
fn a_journal_that_cannot_be_written_is_exit_code_13() {
    let fixture = Fixture::formatted(plan());
    stop_in_order(fixture.start());
    let journal = fixture.folder.journal();
    let journal = journal.to_str().expect("UTF-8");
    let script = format!("mount --bind {journal} {journal} && mount -o remount,bind,ro {journal}");
    let can = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "--",
            "/bin/sh",
            "-c",
            &script,
        ])
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        println!(
            "SKIP: no mount namespace here, and root may write to anything that is not mounted read-only"
        );
        return;
    }
    let ended = fixture.serve_ends_by(&in_namespace(&fixture, &script));
    assert_end(&ended, 13, &[journal]);
    stop_in_order(fixture.start());
}

#[test]
fn durable_on_a_file_system_in_memory_is_exit_code_16() {
    let memory = Path::new("/dev/shm");
    let Ok(temporary) = tempfile::tempdir_in(memory) else {
        println!("SKIP: no /dev/shm to make a folder in");
        return;
    };
    let plan = VenuePlan {
        allow_volatile: false,
        ..plan()
    };
    let mut fixture = Fixture::in_folder(temporary, plan);
    format(binary(), &fixture.folder).expect("format");
    assert_end(&fixture.serve_ends(), 16, &["tmpfs", "allow_volatile"]);
    // Under `local`, or when told that it may be, it serves.
    fixture.folder.plan.policy = "local";
    fixture.folder.write_config().expect("write");
    stop_in_order(fixture.start());
    fixture.folder.plan.policy = "durable";
    fixture.folder.plan.allow_volatile = true;
    fixture.folder.write_config().expect("write");
    stop_in_order(fixture.start());
}

/// Sets a header block's format version and mends its checksum, as a newer build would write it.
fn make_newer(file: &Path, length: usize) {
    const CHECKSUM: usize = 112;
    let mut bytes = std::fs::read(file).expect("read");
    bytes[8..10].copy_from_slice(&7_u16.to_le_bytes());
    let checksum = Checksum::of_without_field(&bytes[..length], CHECKSUM);
    bytes[CHECKSUM..CHECKSUM + 16].copy_from_slice(&checksum.0);
    std::fs::write(file, bytes).expect("write");
}

#[test]
fn a_journal_of_a_newer_format_is_exit_code_17() {
    let fixture = Fixture::formatted(plan());
    stop_in_order(fixture.start());
    let meta = fixture.folder.journal().join("journal.meta");
    let old = std::fs::read(&meta).expect("read");
    make_newer(&meta, 4096);
    assert_end(&fixture.serve_ends(), 17, &["version 7"]);
    std::fs::write(&meta, old).expect("write");
    stop_in_order(fixture.start());
}

#[test]
fn bounds_of_the_log_stand_over_the_configuration_s() {
    let bounds = |orders: u32| format!("{LAYOUT}\n[bounds]\nopen_orders_max = {orders}\n");
    let (mut fixture, venue) = Fixture::serving(VenuePlan {
        more: bounds(1000),
        ..plan()
    });
    stop_in_order(venue);
    // Bounds may only be raised: a lower one in the file changes nothing.
    fixture.folder.plan.more = bounds(10);
    fixture.folder.write_config().expect("write");
    let venue = fixture.start();
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    for user_ref in 1..=20 {
        client.message(&bid(user_ref));
        client.hear_of(b'A', user_ref);
    }
    stop_in_order(venue);
    let replayed = replay(&fixture.folder.journal()).expect("whole");
    assert_eq!(replayed.machine.bounds().open_orders_max, 1000);
    assert!(!segments(&fixture.folder).is_empty());
}
