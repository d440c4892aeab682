//! The admin protocol: frames, requests, and the records that commands become.

/// Lines of any bytes as requests: refused with a message, or read back as they are written, and their
/// records are records that the state machine applies or refuses.
pub mod admin_request {
    use crate::bytes::Aligned;
    use lockstep_core::StateMachine;
    use lockstep_node::admin::frame::{FrameReader, REQUEST_LENGTH_MAX, write_frame};
    use lockstep_node::admin::protocol::{Command, Request};
    use lockstep_node::admin::translate;
    use lockstep_node::operator::signed;
    use lockstep_record::batch::BatchKind;
    use lockstep_record::event::NullSink;
    use lockstep_record::{BatchInfo, LogIndex, Record, Sequence, Term, Timestamp};

    fn apply(machine: &mut StateMachine, records: &[Vec<u8>]) {
        let batch = BatchInfo {
            kind: BatchKind::Commands,
            term: Term(1),
            index: LogIndex(machine.last_index().0 + 1),
            first_sequence: Sequence(machine.last_sequence().0 + 1),
            record_count: records.len() as u32,
            timestamp: Timestamp(machine.last_timestamp().0 + 1_000_000),
            feature_set_version: 0,
        };
        let bytes = Aligned::copy(&records.concat());
        let applied = machine.apply(&batch, bytes.bytes(), &mut NullSink);
        assert_eq!(applied, Ok(()), "an operator's command stopped the venue");
        machine.check_invariants().expect("the invariants");
    }

    fn carry_out(machine: &mut StateMachine, command: &Command) {
        let records = match translate::records(command, machine) {
            Ok(Some(records)) => records,
            Ok(None) => return,
            Err(problem) => return assert!(!problem.message.is_empty()),
        };
        let signed: Vec<_> = (1..)
            .zip(&records)
            .map(|(number, record)| signed(record, "uid 1 pid 2: why", number))
            .collect();
        for record in &signed {
            let aligned = Aligned::copy(record);
            let (_, rest) = Record::parse(aligned.bytes()).expect("a record");
            assert!(rest.is_empty());
        }
        apply(machine, &signed);
    }

    /// What was framed comes out, wherever the bytes are cut.
    fn check_frames(contents: &[&[u8]], cut: usize) {
        let mut bytes = Vec::new();
        contents
            .iter()
            .for_each(|content| write_frame(&mut bytes, content));
        let mut reader = FrameReader::new(REQUEST_LENGTH_MAX);
        let mut found = 0;
        for piece in bytes.chunks(cut) {
            reader.push(piece);
            while let Some(frame) = reader.next_frame().expect("no frame is too long") {
                assert_eq!(Some(&frame[..]), contents.get(found).copied());
                found += 1;
            }
        }
        assert_eq!(found, contents.len());
    }

    pub fn run(data: &[u8]) {
        let mut reader = FrameReader::new(REQUEST_LENGTH_MAX);
        reader.push(data);
        while let Ok(Some(_)) = reader.next_frame() {}
        let mut machine = StateMachine::new(crate::machine::CAPACITY);
        let contents: Vec<_> = data.split(|byte| *byte == b'\n').collect();
        check_frames(&contents, 1 + data.len() % 7);
        apply(&mut machine, &crate::machine::prelude_records());
        for content in contents {
            match Request::parse(content) {
                Ok(request) => {
                    let again = Request::parse(&request.content()).expect("what was written");
                    assert_eq!(again, request);
                    carry_out(&mut machine, &request.command);
                }
                Err((_, problem)) => assert!(!problem.message.is_empty()),
            }
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let commands = [
            r#""show_status""#,
            r#"{"show_book":{"symbol":"ACME","levels":5,"bids_behind":7}}"#,
            r#"{"set_state":{"symbol":"ACME","state":"pre_open"}}"#,
            r#"{"set_state":{"state":"halted"}}"#,
            r#"{"start_auction":{"symbol":"ACME","auction":"volatility","duration_ms":5,"random_end_ms":1}}"#,
            r#"{"start_auction":{"symbol":"ZINC","auction":"closing","duration_ms":5,"next_state":"closed"}}"#,
            r#"{"set_schedule":{"symbol":"ACME","schedule":{"pre_open_ms":1,"trading_ms":2,"random_end_ms":3}}}"#,
            r#"{"set_reference_price":{"symbol":"ACME","price":10000}}"#,
            r#"{"define_firm":{"id":3,"code":"NEWF"}}"#,
            r#"{"define_session":{"id":1,"permitted_firms":[1,2],"self_trade_group":4,"self_trade_mode":"both"}}"#,
            r#"{"define_session":{"id":4,"user":"U4","firm":1,"cancel_on_disconnect":true,"order_entry":false}}"#,
            r#"{"define_instrument":{"id":3,"symbol":"NEWI","tick_size":5,"lot_size":10}}"#,
            r#"{"define_instrument":{"id":1,"tick_bands":[{"from_price":10000,"tick_size":500}],"allocation":"top-share","top_share":40}}"#,
            r#"{"define_instrument":{"id":2,"static_collar":500,"dynamic_collar":100,"collar_action":"auction","auction_duration_ms":9,"auction_random_end_ms":9,"indication_interval_ms":10}}"#,
            r#"{"set_entry":{"scope":{"session":1},"entry":"killed"}}"#,
            r#"{"set_entry":{"scope":"venue","entry":"disabled"}}"#,
            r#"{"mass_cancel":{"session":1,"firm":1,"symbol":"ACME","side":"B","group_id":3}}"#,
            r#"{"mass_cancel":{"all":true}}"#,
            r#"{"cancel_order":{"session":1,"user_ref":1,"reference":1}}"#,
            r#"{"break_trade":{"match_number":1,"reason":"E"}}"#,
            r#"{"set_limits":{"scope":{"firm":1},"order_quantity_max":5,"gross_max":100}}"#,
            r#"{"set_throttle":{"session":1,"messages_max":5,"window_ns":1000}}"#,
            r#"{"set_protection":{"session":1,"group_id":2,"window_ns":1000,"executions_max":1}}"#,
            r#"{"reset_protection":{"session":1,"group_id":2}}"#,
            r#"{"set_position":{"firm":1,"symbol":"ACME","position":-5}}"#,
            r#"{"retire_instrument":{"symbol":"ACME"}}"#,
            r#"{"set_grace":{"grace_ns":5}}"#,
            r#"{"reload":{"apply":true}}"#,
        ];
        let request = |command: &&str| format!(r#"{{"version":0,"id":1,"command":{command}}}"#);
        let lines: Vec<String> = commands.iter().map(request).collect();
        for line in &lines {
            // Anything else would be found only by chance.
            assert!(Request::parse(line.as_bytes()).is_ok(), "no request: {line}");
        }
        let mut seeds: Vec<Vec<u8>> = lines.iter().map(|line| line.clone().into()).collect();
        seeds.push(lines.join("\n").into());
        seeds
    }
}
