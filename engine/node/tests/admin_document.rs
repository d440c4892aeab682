//! docs/admin-protocol.md against the types: every command and member of either is in the other.

use lockstep_node::admin::protocol::Request;

/// No command, and no member of any.
const UNKNOWN: &str = "no_such_name";

fn refusal(command: &str) -> String {
    let text = format!(r#"{{"version":0,"command":{command}}}"#);
    let refused = Request::parse(text.as_bytes()).expect_err("an unknown name was taken");
    refused.1.message
}

/// Names that a place knows, from its own refusal of one that it does not know.
fn expected_names(error: &str) -> Vec<String> {
    let Some((_, list)) = error.split_once("expected ") else {
        return Vec::new();
    };
    let names = list.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

/// Commands by the types, with their members.
fn commands() -> Vec<(String, Vec<String>)> {
    let names = expected_names(&refusal(&format!("\"{UNKNOWN}\"")));
    let members = |name: &String| {
        let error = refusal(&format!(r#"{{"{name}":{{"{UNKNOWN}":1}}}}"#));
        if error.contains("unknown field") {
            expected_names(&error)
        } else {
            // It has none.
            assert!(error.contains("unit"), "{name}: {error}");
            Vec::new()
        }
    };
    names
        .iter()
        .map(|name| (name.clone(), members(name)))
        .collect()
}

fn document(name: &str) -> String {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the document")
}

/// Rows of the table of commands: names in quotes, which are a command's and its members'.
fn rows(text: &str) -> Vec<(String, String)> {
    let of_commands = text
        .lines()
        .filter(|line| line.starts_with("| `\"") || line.starts_with("| `{\""));
    let mut rows = Vec::new();
    for line in of_commands {
        let cell = line.split(" | ").next().unwrap_or_default();
        // Several commands stand in one row only where they have the same or no members.
        for quoted in cell.split('`').skip(1).step_by(2) {
            let name = quoted.split('"').nth(1).unwrap_or_default();
            rows.push((name.to_owned(), line.to_owned()));
        }
    }
    rows
}

#[test]
fn every_command_is_documented_with_its_members_and_no_other() {
    let text = document("admin-protocol.md");
    let keys = document("configuration.md");
    let rows = rows(&text);
    let commands = commands();
    assert!(commands.len() > 35, "{commands:?}");
    for (name, members) in &commands {
        let found: Vec<_> = rows.iter().filter(|(row, _)| row == name).collect();
        assert!(!found.is_empty(), "{name} has no row");
        for member in members {
            let said = found.iter().any(|(_, line)| {
                line.contains(&format!("\"{member}\"")) || line.contains(&format!("`{member}`"))
            });
            let key =
                name == "define_instrument" && keys.contains(&format!("| `instrument.{member}` |"));
            assert!(said || key, "{name} does not say {member}");
        }
    }
    for (name, _) in &rows {
        let known = commands.iter().any(|(command, _)| command == name);
        assert!(known, "{name} of docs/admin-protocol.md does not exist");
    }
}
