//! What a dead venue's journal says, by the shipped tools.

use crate::common::run;
use crate::flow::Flow;
use crate::venue::VenueFolder;
use serde_json::Value;

/// A journal's answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    pub hash: String,
    pub sequence: u64,
    /// Snapshots, each of which was loaded.
    pub snapshots: u64,
    /// By session: number of the next message of its stream.
    pub next_numbers: Vec<(u32, u64)>,
}

fn tool(folder: &VenueFolder, command: &str, more: &[&str]) -> Result<Value, String> {
    let (data, log_buffer) = (folder.data(), folder.log_buffer());
    let mut arguments = vec!["journal", command, data.to_str().expect("UTF-8"), "--json"];
    // An orderly stop leaves none behind.
    if log_buffer.exists() {
        arguments.extend(["--log-buffer", log_buffer.to_str().expect("UTF-8")]);
    }
    arguments.extend(more);
    let output = run(&arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!(
            "{command}: {:?}: {complaint} {text}",
            output.status.code()
        ));
    }
    serde_json::from_str(&text).map_err(|error| format!("{command}: {error}: {text}"))
}

/// Verifies and replays: every checksum, the chain, every digest.
pub fn ask(folder: &VenueFolder) -> Result<Asked, String> {
    let verified = tool(folder, "verify", &[])?;
    let replayed = tool(folder, "replay", &["--sessions"])?;
    if verified["damage"] != 0 || verified["last_sequence"] != replayed["sequence"] {
        return Err(format!("verify and replay disagree: {verified} {replayed}"));
    }
    let sessions = replayed["sessions"].as_array().cloned().unwrap_or_default();
    let number = |value: &Value| value.as_u64().ok_or_else(|| format!("{replayed}"));
    let next_numbers = sessions
        .iter()
        .map(|s| Ok((number(&s["session"])? as u32, number(&s["next_outbound"])?)));
    Ok(Asked {
        hash: replayed["state_hash"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        sequence: number(&replayed["sequence"])?,
        snapshots: number(&verified["snapshots"])?,
        next_numbers: next_numbers.collect::<Result<_, String>>()?,
    })
}

/// What a client was told and the journal does not know; `None` if there is no such thing.
pub fn missing(flow: &Flow, asked: &Asked) -> Option<String> {
    let traders = (1..).zip(flow.traders().traders());
    traders
        .filter(|(_, trader)| trader.memory().count() > 0)
        .find_map(|(session, trader)| {
            let heard = trader.memory().next_number();
            let known = asked.next_numbers.iter().find(|(id, _)| *id == session);
            let known = known.map_or(0, |(_, next)| *next);
            (known < heard).then(|| {
                format!(
                    "session T{session} was told up to {heard}, the journal knows up to {known}"
                )
            })
        })
}

/// Cuts the last third of the log, as a venue would leave it that told before it wrote.
pub fn lose_the_end(folder: &VenueFolder, last_sequence: u64) {
    let listing = |sequence: u64| -> u64 {
        // The begin of the batch that holds it.
        let refused = tool(
            folder,
            "repair",
            &["--dry-run", "--cut-at", &sequence.to_string()],
        );
        match refused {
            Ok(_) => sequence,
            Err(error) => {
                let begin = error.split("in the middle of a batch, ").nth(1);
                let begin = begin.and_then(|rest| rest.split(' ').next());
                begin
                    .and_then(|text| text.parse().ok())
                    .expect("a refusal that says where")
            }
        }
    };
    let at = listing(last_sequence * 2 / 3);
    tool(folder, "repair", &["--cut-at", &at.to_string()]).expect("a cut");
}
