//! The arrows of docs/ARCHITECTURE.md, asserted: which crate may depend on which, what the core must
//! not touch, where unsafe code may stand, and that the binary needs nothing of its host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// Folder, crate, and the crates of ours it may depend on.
const ROOMS: &[(&str, &str, &[&str])] = &[
    ("engine/prefetch", "lockstep-prefetch", &[]),
    ("engine/record", "lockstep-record", &[]),
    (
        "engine/core",
        "lockstep-core",
        &["lockstep-prefetch", "lockstep-record"],
    ),
    ("journal", "lockstep-journal", &[]),
    ("net/wire", "lockstep-wire", &["lockstep-record"]),
    ("net/io", "lockstep-net", &["lockstep-wire"]),
    (
        "engine/node",
        "lockstep-node",
        &[
            "lockstep-record",
            "lockstep-core",
            "lockstep-journal",
            "lockstep-wire",
            "lockstep-net",
        ],
    ),
    (
        "bench",
        "lockstep-bench",
        &[
            "lockstep-record",
            "lockstep-core",
            "lockstep-journal",
            "lockstep-wire",
            "lockstep-net",
            "lockstep-node",
        ],
    ),
    (
        "tools",
        "lockstep",
        &[
            "lockstep-record",
            "lockstep-core",
            "lockstep-journal",
            "lockstep-wire",
            "lockstep-net",
            "lockstep-node",
            "lockstep-bench",
        ],
    ),
];

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    text.parse()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn dependencies(manifest: &toml::Table, kind: &str) -> Vec<String> {
    let table = manifest.get(kind).and_then(|t| t.as_table());
    table
        .map(|t| t.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn every_arrow_is_allowed() {
    let mut arrows = 0;
    for (folder, name, allowed) in ROOMS {
        let manifest = manifest(folder);
        assert_eq!(
            manifest["package"]["name"].as_str(),
            Some(*name),
            "{folder}"
        );
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for dependency in dependencies(&manifest, kind) {
                if ROOMS.iter().any(|(_, n, _)| *n == dependency) {
                    assert!(
                        allowed.contains(&dependency.as_str()),
                        "{name} -> {dependency}"
                    );
                    arrows += 1;
                }
            }
        }
    }
    assert!(
        arrows >= 10,
        "only {arrows} arrows read: the test no longer sees the manifests"
    );
    let workspace = manifest(".");
    let members: Vec<_> = workspace["workspace"]["members"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(
        members.len(),
        ROOMS.len(),
        "a room without a row in this test"
    );
}

#[test]
fn every_dependency_has_its_reason() {
    let reasons = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    for (folder, ..) in ROOMS {
        let manifest = manifest(folder);
        for kind in ["dependencies", "dev-dependencies"] {
            for dependency in dependencies(&manifest, kind) {
                let ours = ROOMS.iter().any(|(_, n, _)| *n == dependency);
                assert!(
                    ours || reasons.contains(&format!("| `{dependency}` |")),
                    "{folder}: {dependency} has no line in docs/dependencies.md"
                );
            }
        }
    }
}

#[test]
fn the_top_level_stays() {
    const ALLOWED: &[&str] = &[
        "Cargo.toml",
        "Cargo.lock",
        "engine",
        "net",
        "journal",
        "bench",
        "tools",
        "docs",
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "CHANGELOG.md",
        "deny.toml",
        "rustfmt.toml",
        "fuzz",
        "target",
    ];
    for entry in std::fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.starts_with('.') || ALLOWED.contains(&name.as_str()),
            "{name} at the top level"
        );
    }
}

fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root().join(folder)];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(path, text);
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// The part of a file that ships: without comments and without its test module.
fn shipped(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..end]
        .lines()
        .map(|l| l.split("//").next().unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

/// What would make two nodes disagree has no place in the core.
#[test]
fn the_core_is_pure() {
    const BANNED: &[&str] = &[
        "std::",
        "f32",
        "f64",
        "HashMap",
        "HashSet",
        "SystemTime",
        "Instant",
        "rand::",
        "RandomState",
        "thread",
        "println!",
        "static mut",
        "AtomicU",
        "core::ptr",
        "unsafe {",
    ];
    for folder in ["engine/core/src", "engine/record/src"] {
        for (path, text) in sources(folder) {
            // Oracles and test models may use std; they are compiled for tests only.
            if path.to_string_lossy().contains("oracle") || path.to_string_lossy().contains("test")
            {
                continue;
            }
            let code = shipped(&text);
            for word in BANNED {
                assert!(!code.contains(word), "{} uses {word}", path.display());
            }
        }
        let root_file = std::fs::read_to_string(root().join(folder).join("lib.rs")).unwrap();
        assert!(root_file.contains("#![no_std]") && root_file.contains("#![forbid(unsafe_code)]"));
    }
}

/// Unsafe code only in leaf modules that say so at their top, and every block explained.
#[test]
fn unsafe_stands_in_named_leaves_only() {
    let mut blocks = 0;
    for (folder, ..) in ROOMS {
        for (path, text) in sources(folder) {
            let code = shipped(&text);
            let word = "unsafe"; // written apart, or this file would count itself
            let uses = code.matches(&format!("{word} {{")).count()
                + code.matches(&format!("{word} impl")).count();
            if uses == 0 {
                continue;
            }
            blocks += uses;
            // A test binary may allow it where it stands (a counting allocator); what ships says so on top.
            let is_test = path.components().any(|c| c.as_os_str() == "tests");
            let named = text.contains("#![allow(unsafe_code)]")
                || is_test && text.contains("#[allow(unsafe_code");
            assert!(
                named,
                "{} has unsafe code but does not say so at its top",
                path.display()
            );
            assert!(
                text.matches("SAFETY:").count() >= uses,
                "{}: a block without SAFETY",
                path.display()
            );
        }
    }
    assert!(blocks > 0, "the test no longer sees unsafe blocks");
}

/// A static binary: no interpreter (PT_INTERP) and no needed library (DT_NEEDED).
#[test]
fn the_binary_is_static() {
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_lockstep")).unwrap();
    assert_eq!(&bytes[0..4], b"\x7fELF");
    let u16_at = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let (table, size, count) = (u64_at(32), usize::from(u16_at(54)), usize::from(u16_at(56)));
    assert!(count > 0);
    const PT_DYNAMIC: u32 = 2;
    const PT_INTERP: u32 = 3;
    const DT_NEEDED: usize = 1;
    for i in 0..count {
        let header = table + i * size;
        assert_ne!(
            u32_at(header),
            PT_INTERP,
            "the binary asks for a dynamic loader"
        );
        if u32_at(header) == PT_DYNAMIC {
            let (offset, length) = (u64_at(header + 8), u64_at(header + 32));
            for entry in (offset..offset + length).step_by(16) {
                assert_ne!(
                    u64_at(entry),
                    DT_NEEDED,
                    "the binary needs a shared library"
                );
            }
        }
    }
}

/// The disk format is rkyv's: its version is pinned, and no other crate of the graph can switch its
/// features on.
#[test]
fn rkyv_is_pinned_and_nobody_else_asks_for_it() {
    let workspace = manifest(".");
    let rkyv = &workspace["workspace"]["dependencies"]["rkyv"];
    assert!(rkyv["version"].as_str().unwrap().starts_with('='));
    assert_eq!(rkyv["default-features"].as_bool(), Some(false));
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock"))
        .unwrap()
        .parse()
        .unwrap();
    let packages = lock["package"].as_array().unwrap();
    let dependants: Vec<_> = packages
        .iter()
        .filter(|p| {
            let wanted = p.get("dependencies").and_then(|d| d.as_array());
            wanted.is_some_and(|d| {
                d.iter().any(|d| {
                    d.as_str()
                        .is_some_and(|d| d.split(' ').next() == Some("rkyv"))
                })
            })
        })
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert_eq!(dependants, ["lockstep-record"]);
}
