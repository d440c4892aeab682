use super::*;

const SMALL: &str = r#"
    [data]
    directory = "d"
    [network]
    listen = "127.0.0.1:0"
"#;

#[test]
fn defaults_make_a_whole_configuration_and_print_again() {
    let config = Config::parse(SMALL).unwrap();
    assert_eq!(config.acknowledge.policy, AcknowledgePolicy::Durable);
    assert_eq!(config.threads[0].agents.len(), AgentName::ALL.len());
    assert_eq!(Config::parse(&config.effective()).unwrap(), config);
}

#[test]
fn wrong_entries_are_named() {
    let cases = [
        (
            "[network]\nlisten = \"x\"\n[data]\ndirectory = \"d\"",
            "socket address",
        ),
        (&format!("{SMALL}\nspeed = 1"), "unknown field `speed`"),
        (
            &format!("{SMALL}\n[journal]\nsegment_bytes = 12"),
            "segment_bytes",
        ),
        (
            &format!("{SMALL}\n[day]\nclose_at_seconds = 5"),
            "only with close_at_minutes",
        ),
        (
            &format!("{SMALL}\n[day]\nclose_at_minutes = 5\nclose_at_seconds = 60"),
            "close_at_seconds = 60",
        ),
        (
            &format!("{SMALL}\n[journal]\nlog_buffer_bytes = 1048576"),
            "batch_bytes_max",
        ),
        (
            &format!("{SMALL}\n[journal]\nbatch_bytes_max = 1048576"),
            "batch_bytes_max",
        ),
        (
            &format!("{SMALL}\n[[firm]]\nid = 0\ncode = \"A\""),
            "firm id 0",
        ),
        (
            &format!("{SMALL}\n[[firm]]\nid = 1\ncode = \"acme\""),
            "firm code",
        ),
        (
            &format!("{SMALL}\n[[instrument]]\nid = 1\nsymbol = \"TOOLONGSYM\""),
            "symbol",
        ),
        (
            &format!(
                "{SMALL}\n[[instrument]]\nid = 1\nsymbol = \"A\"\ntick_bands = [{{ from_price = 5, tick_size = 150 }}]"
            ),
            "tick_bands",
        ),
        (
            &format!("{SMALL}\n[[instrument]]\nid = 1\nsymbol = \"A\"\ntop_share = 40"),
            "top_share",
        ),
        (
            &format!("{SMALL}\n[[instrument]]\nid = 1\nsymbol = \"A\"\nallocation = \"top-share\""),
            "top_share",
        ),
        (
            &format!("{SMALL}\n[[thread]]\nidle = \"spin\"\nagents = [\"gateway\"]"),
            "exactly one",
        ),
        (
            &format!(
                "{SMALL}\n[[thread]]\nidle = \"spin\"\nnice = -21\nagents = [\"gateway\", \"sequencer\", \"consensus\", \"journal\", \"engine\", \"stream\"]"
            ),
            "nice = -21: must be -20 to 19",
        ),
        (
            &format!(
                "{SMALL}\n[[session]]\nid = 1\nuser = \"A\"\nfirm = \"X\"\npassword_argon2id = \"\""
            ),
            "firm \"X\" is not defined",
        ),
    ];
    for (text, expected) in cases {
        let error = Config::parse(text).unwrap_err();
        assert!(error.contains(expected), "{error} should name {expected}");
    }
}

/// Too many further firms passed the file's check and were then refused by the state machine, unseen.
#[test]
fn permitted_firms_are_bounded() {
    let firms: String = (1..=18)
        .map(|id| format!("[[firm]]\nid = {id}\ncode = \"F{id}\"\n"))
        .collect();
    let session = |count: u32| {
        let codes: Vec<_> = (2..2 + count).map(|id| format!("\"F{id}\"")).collect();
        let hash = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo";
        let codes = codes.join(",");
        format!(
            "{SMALL}\n{firms}[[session]]\nid = 1\nuser = \"A\"\nfirm = \"F1\"\n\
             password_argon2id = \"{hash}\"\npermitted_firms = [{codes}]\n"
        )
    };
    assert!(Config::parse(&session(16)).is_ok());
    let error = Config::parse(&session(17)).unwrap_err();
    assert!(error.contains("at most 16"), "{error}");
}
