//! The configuration file and the frames of the egress ring.

/// Any text: refused with a message, or a configuration that prints itself again.
pub mod config {
    use lockstep_node::config::Config;

    pub fn run(data: &[u8]) {
        let Ok(text) = std::str::from_utf8(data) else {
            return;
        };
        match Config::parse(text) {
            // Password hashes are withheld from what is printed, so sessions do not read back.
            Ok(config) if config.sessions.is_empty() => {
                assert_eq!(Config::parse(&config.effective()).as_ref(), Ok(&config));
            }
            Ok(config) => assert!(!config.effective().contains("$argon2")),
            Err(message) => assert!(!message.is_empty()),
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let small = "[data]\ndirectory = \"d\"\n[network]\nlisten = \"127.0.0.1:0\"\n";
        let whole = format!(
            "{small}[day]\nclose_at_minutes = 5\nclose_at_seconds = 1\nutc_offset_minutes = -60\n\
             [acknowledge]\npolicy = \"local\"\nallow_volatile = true\n[journal]\n\
             segment_bytes = 4194304\nlog_buffer_bytes = 4194304\n[bounds]\nfirms_max = 3\n\
             [[thread]]\nidle = \"spin\"\ncore = 1\nagents = [\"gateway\", \"sequencer\", \
             \"consensus\", \"journal\", \"engine\", \"stream\"]\n[[firm]]\nid = 1\ncode = \"ALFA\"\n\
             [[session]]\nid = 1\nuser = \"A\"\nfirm = \"ALFA\"\npassword_argon2id = \
             \"$argon2id$v=19$m=64,t=1,p=1$YWFhYWFhYWE$bWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE\"\n\
             [[instrument]]\nid = 1\nsymbol = \"X\"\ntick_size = 1\nlot_size = 1\n"
        );
        vec![small.into(), whole.into()]
    }
}

/// Any frame of the egress ring: what is read means the same when it is written and read again.
pub mod egress {
    use lockstep_node::egress::{
        CONTROL_LENGTH, MESSAGE_HEADER, read_control, read_message, write_control,
        write_message_header,
    };
    use lockstep_record::event::{ConnectionEnd, Control};
    use lockstep_record::{ConnectionEpoch, Gateway, SessionId, StreamNumber};

    pub fn run(data: &[u8]) {
        if let Some(message) = read_message(data) {
            let mut again = vec![0; MESSAGE_HEADER];
            let (session, number) = (message.session, message.number);
            write_message_header(&mut again, session, number, message.packet.len());
            again.extend_from_slice(message.packet);
            assert_eq!(again, &data[..again.len()]);
        }
        if let Some(control) = read_control(data) {
            assert_eq!(data.len(), CONTROL_LENGTH);
            assert_eq!(read_control(&write_control(&control)), Some(control));
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let mut message = vec![0; MESSAGE_HEADER];
        write_message_header(&mut message, SessionId(1), StreamNumber(2), 4);
        message.extend_from_slice(&[0, 2, b'S', b'x']);
        let ended = Control::ConnectionEnded {
            gateway: Gateway(1),
            connection: 2,
            session: SessionId(3),
            epoch: ConnectionEpoch(4),
            why: ConnectionEnd::Logout,
        };
        let closed = Control::DayClosed {
            session_name: *b"  20261121",
        };
        vec![
            message,
            write_control(&ended).to_vec(),
            write_control(&closed).to_vec(),
        ]
    }
}
