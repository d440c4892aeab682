use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Request, (u64, Problem)> {
    Request::parse(text.as_bytes())
}

#[test]
fn requests_are_what_the_document_says() {
    let request = parse(r#"{"version":0,"command":"show_status"}"#).unwrap();
    assert_eq!(
        (request.version, request.id, request.command),
        (0, 0, Command::ShowStatus)
    );
    let text = r#"{"version":0,"id":3,"note":"news","command":{"set_state":{"symbol":"AAPL","state":"halted"}}}"#;
    let request = parse(text).unwrap();
    assert_eq!(request.content(), text.as_bytes());
    let Command::SetState(set) = request.command else {
        panic!("another command");
    };
    assert_eq!(
        (set.symbol.as_deref(), set.state.letter()),
        (Some("AAPL"), b'H')
    );
}

#[test]
fn what_is_not_a_request_is_an_error() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"version":0,"command":"show_nothing"}"#,
        r#"{"version":0,"command":"show_status","more":1}"#,
        r#"{"version":-1,"command":"show_status"}"#,
        r#"{"version":1,"command":"show_status"}"#,
        r#"{"version":0,"command":{"define_instrument":{"symbol":"A"}}}"#,
        r#"{"version":0,"command":{"start_auction":{"symbol":"A","auction":"call","duration_ms":1}}}"#,
        r#"{"version":0,"command":{"set_schedule":{"symbol":"A","schedule":{"lunch_ms":1}}}}"#,
        r#"{"version":0,"command":{"show_book":{"symbol":"A"}}}"#,
        r#"{"version":0,"command":{"show_book":{"symbol":"A","levels":1,"depth":2}}}"#,
        r#"{"version":0,"command":{"set_state":{"state":"sleeping"}}}"#,
        r#"{"version":0,"command":{"show_status":null,"open_day":null}}"#,
        &format!("{}{}", "[".repeat(5000), "]".repeat(5000)),
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn answers_come_back() {
    let problem = Problem::new(ProblemCode::NotFound, "no such symbol");
    for outcome in [
        Outcome::Ok(serde_json::json!({"a": [1, 2]})),
        Outcome::Error(problem),
    ] {
        let answer = Answer {
            version: VERSION,
            id: 9,
            outcome,
        };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
    }
}

#[test]
fn views_never_command() {
    assert!(Command::ShowStatus.is_view());
    assert!(Command::Reload(Reload { apply: false }).is_view());
    assert!(!Command::Reload(Reload { apply: true }).is_view());
    assert!(!Command::OpenDay.is_view());
    let symbol = || "A".to_owned();
    let reference = SetReferencePrice {
        symbol: symbol(),
        price: 0,
    };
    assert!(!Command::SetReferencePrice(reference).is_view());
    assert!(Command::ShowInstrument(ShowInstrument { symbol: symbol() }).is_view());
    assert!(Command::ShowPositions(ShowPositions::default()).is_view());
    assert!(Command::ShowStatistics(ShowStatistics::default()).is_view());
    assert!(Command::ShowFirm(ShowFirm { id: 1 }).is_view());
    assert!(Command::ShowSession(ShowSession { id: 1 }).is_view());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::parse(&bytes);
    }

    /// Close to a request, one byte at a time.
    #[test]
    fn nor_does_a_request_with_a_wrong_byte(at in 0usize..90, byte in any::<u8>()) {
        let mut bytes =
            br#"{"version":0,"id":3,"command":{"define_instrument":{"id":1,"symbol":"A","tick_size":1,"lot_size":1}}}"#.to_vec();
        bytes[at] = byte;
        let _ = Request::parse(&bytes);
    }
}
