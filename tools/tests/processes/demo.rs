//! The demo as a stranger runs it.

use crate::common::{run, wait_until};
use std::process::{Command, Stdio};

#[test]
fn the_demo_proves_and_says_where_its_files_are() {
    let temporary = tempfile::tempdir().expect("temporary folder");
    let folder = temporary.path().join("demo");
    let folder = folder.to_str().expect("UTF-8");
    let output = run(&["demo", "--seconds", "2", "--dir", folder]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}{errors}");
    for part in [
        "SIGKILL under load",
        "state hash is an independent replay's",
        "p99",
        "venue.toml",
    ] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    assert!(
        std::path::Path::new(folder)
            .join("data/journal/journal.meta")
            .exists()
    );
    // A folder that is there already is left alone.
    assert_eq!(run(&["demo", "--dir", folder]).status.code(), Some(1));
}

#[test]
fn a_demo_that_is_killed_takes_its_venue_along() {
    let temporary = tempfile::tempdir().expect("temporary folder");
    let folder = temporary.path().join("demo");
    let mut demo = Command::new(crate::common::binary())
        .args(["demo", "--seconds", "60", "--dir"])
        .arg(&folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let counters = folder.join("data/counters");
    let pid = || {
        let bytes = std::fs::read(&counters).ok()?;
        Some(u32::from_le_bytes(bytes.get(20..24)?.try_into().ok()?))
    };
    wait_until("the venue runs", || pid().is_some_and(|pid| pid != 0));
    let child = pid().expect("a process id");
    let status = format!("/proc/{child}/status");
    assert!(std::fs::read_to_string(&status).is_ok_and(|s| s.contains("lockstep")));
    demo.kill().expect("kill");
    demo.wait().expect("wait");
    wait_until("the venue is gone", || {
        // A zombie that nobody has waited for yet is gone as well.
        std::fs::read_to_string(&status).map_or(true, |s| s.contains("State:\tZ"))
    });
    for name in std::fs::read_dir("/dev/shm")
        .into_iter()
        .flatten()
        .flatten()
    {
        if name
            .file_name()
            .to_string_lossy()
            .starts_with(&format!("lockstep-demo-{}-", demo.id()))
        {
            std::fs::remove_file(name.path()).expect("remove what the killed demo could not");
        }
    }
}
