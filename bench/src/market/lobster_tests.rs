use super::*;

fn files(messages: &str, books: &str) -> LobsterFiles {
    LobsterFiles::from_bytes(
        ("m.csv".into(), messages.as_bytes().to_vec()),
        ("b.csv".into(), books.as_bytes().to_vec()),
    )
}

fn all(messages: &str, books: &str) -> Result<Vec<Row>, LobsterError> {
    let mut files = files(messages, books);
    let mut rows = Vec::new();
    while let Some(row) = files.next_row()? {
        rows.push(row);
    }
    Ok(rows)
}

const BOOK: &str = "105,7,100,10\n";

#[test]
fn rows_are_read_with_every_kind() {
    let messages: String = (1..=7)
        .map(|kind| {
            format!(
                "34200.5,{kind},{},10,1000000,{}\r\n",
                kind * 11,
                if kind == 3 { 1 } else { -1 }
            )
        })
        .collect();
    let rows = all(&messages, &BOOK.repeat(7)).expect("valid files");
    assert_eq!(rows.len(), 7);
    assert_eq!(rows[2].message.kind, EventKind::Delete);
    assert_eq!(rows[2].message.side, Side::Buy);
    assert_eq!(rows[2].number, 3);
    assert_eq!(rows[6].message.kind, EventKind::Halt);
    assert_eq!(rows[0].message.time_ns, 34_200_500_000_000);
    assert_eq!(rows[0].after.asks.quantity_at(105), 7);
    assert_eq!(rows[0].after.bids.quantity_at(100), 10);
}

#[test]
fn empty_levels_and_a_missing_last_newline_are_taken() {
    let books = "105,7,-9999999999,0,9999999999,0,-9999999999,0";
    let rows = all("1.000000001,1,1,1,100,1,null", books).expect("valid files");
    assert_eq!(rows[0].message.time_ns, 1_000_000_001);
    assert_eq!(rows[0].after.asks.as_slice().len(), 1);
    assert_eq!(rows[0].after.bids.as_slice().len(), 0);
}

/// Each bad message row: what its error must say.
#[test]
fn bad_message_rows_name_file_row_and_field() {
    let good = "1.0,1,1,1,100,1\n";
    let cases = [
        ("1.0,8,1,1,100,1", "not a type of 1 to 7: `8`"),
        ("1.0,x,1,1,100,1", "not a type: `x`"),
        ("1.0,1,-1,1,100,1", "negative order id"),
        ("1.0,1,1,0,100,1", "size of zero"),
        ("1.0,1,1,4294967296,100,1", "size not within u32"),
        ("1.0,1,1,1,0,1", "price not above zero"),
        ("1.0,1,1,1,1e3,1", "not a price: `1e3`"),
        ("1.0,1,1,1,100,0", "not a direction of 1 or -1"),
        ("90000,1,1,1,100,1", "not seconds after midnight"),
        ("1.0000000001,1,1,1,100,1", "not seconds after midnight"),
        ("1.,1,1,1,100,1", "not seconds after midnight"),
        ("1.0,1,1,1,100", "5 fields"),
        ("", "1 fields"),
        ("0.5,1,1,1,100,1", "time runs backwards"),
        ("1.0,1,99999999999999999999,1,100,1", "not an order id"),
    ];
    for (bad, expected) in cases {
        let error = all(&format!("{good}{bad}\n"), &BOOK.repeat(2)).expect_err(bad);
        let text = error.to_string();
        assert!(
            text.contains("m.csv row 2") && text.contains(expected),
            "{bad}: {text}"
        );
    }
}

#[test]
fn bad_book_rows_name_file_row_and_field() {
    let cases = [
        ("105,7,100", "3 fields"),
        ("105,7,100,10,106,7,99,10", "8 fields"),
        ("105,0,100,10", "size of zero"),
        ("105,7,-100,10", "negative price"),
        ("105,-7,100,10", "negative size"),
        ("105,7,100,ten", "not a size: `ten`"),
    ];
    for (bad, expected) in cases {
        let error = all(&"1.0,1,1,1,100,1\n".repeat(2), &format!("{BOOK}{bad}\n")).expect_err(bad);
        let text = error.to_string();
        assert!(
            text.contains("b.csv row 2") && text.contains(expected),
            "{bad}: {text}"
        );
    }
    let unsorted = "105,7,100,10,105,7,99,10\n";
    let error = all("1.0,1,1,1,100,1\n", unsorted).expect_err("unsorted");
    assert!(matches!(error, LobsterError::LevelOrder { row: 1, .. }));
}

#[test]
fn files_of_different_length_are_refused() {
    let rows = |n: usize| "1.0,1,1,1,100,1\n".repeat(n);
    let error = all(&rows(2), BOOK).expect_err("books shorter");
    assert!(
        error.to_string().starts_with("m.csv goes on after row 1"),
        "{error}"
    );
    let error = all(&rows(1), &BOOK.repeat(2)).expect_err("messages shorter");
    assert!(
        error.to_string().starts_with("b.csv goes on after row 1"),
        "{error}"
    );
}

#[test]
fn names_lead_to_the_partner_and_the_symbol() {
    let path = Path::new("d/AAPL_2012-06-21_message_10.csv.xz");
    let partner = orderbook_path(path).expect("a message file");
    assert_eq!(partner, Path::new("d/AAPL_2012-06-21_orderbook_10.csv.xz"));
    assert_eq!(symbol_of(path).expect("a symbol"), "AAPL");
    assert!(orderbook_path(Path::new("d/AAPL.csv")).is_err());
    assert!(symbol_of(Path::new("d/_message.csv")).is_err());
    assert!(symbol_of(Path::new("d/LONGERTHAN8_message.csv")).is_err());
}

#[test]
fn compressed_files_are_read_and_damaged_ones_are_typed_errors() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let write = |name: &str, text: &str| {
        let mut packed = Vec::new();
        lzma_rs::xz_compress(&mut text.as_bytes(), &mut packed).expect("compress");
        let path = folder.path().join(name);
        std::fs::write(&path, &packed).expect("write");
        (path, packed)
    };
    let (path, packed) = write("X_message_1.csv.xz", "1.0,1,1,1,100,1\n");
    let missing = LobsterFiles::open(&path).expect_err("no partner");
    assert!(matches!(missing, LobsterError::Read { .. }), "{missing}");
    write("X_orderbook_1.csv.xz", BOOK);
    let mut files = LobsterFiles::open(&path).expect("both files");
    assert!(files.next_row().expect("row").is_some());
    assert!(files.next_row().expect("end").is_none());
    std::fs::write(&path, &packed[..packed.len() / 2]).expect("damage");
    let damaged = LobsterFiles::open(&path).expect_err("cut short");
    assert!(
        matches!(damaged, LobsterError::Compressed { .. }),
        "{damaged}"
    );
}
