use super::*;
use lockstep_wire::ouch::Appendage;
use lockstep_wire::ouch::outbound::{
    Accepted, AccountQueryResponse, Canceled, Executed, Modified, PriorityUpdate, Rejected,
    Replaced,
};

fn accepted(user_ref_num: u32, side: u8, quantity: u32, state: u8) -> Accepted {
    Accepted {
        timestamp: 1,
        user_ref_num,
        side,
        quantity,
        symbol: *b"TEST    ",
        price: Price(100),
        time_in_force: b'0',
        display: b'Y',
        order_reference: OrderReference(u64::from(user_ref_num)),
        capacity: b'P',
        intermarket_sweep: b'N',
        cross_type: b'N',
        state,
        client_order_id: [b' '; 14],
    }
}

fn replaced(original_user_ref_num: u32, user_ref_num: u32, quantity: u32) -> Replaced {
    Replaced {
        timestamp: 1,
        original_user_ref_num,
        user_ref_num,
        side: b'B',
        quantity,
        symbol: *b"TEST    ",
        price: Price(101),
        time_in_force: b'0',
        display: b'Y',
        order_reference: OrderReference(9),
        capacity: b'P',
        intermarket_sweep: b'N',
        cross_type: b'N',
        state: b'L',
        client_order_id: [b' '; 14],
    }
}

fn executed(user_ref_num: u32, quantity: u32) -> Executed {
    Executed {
        timestamp: 1,
        user_ref_num,
        quantity,
        price: Price(100),
        liquidity: b'A',
        match_number: MatchNumber(1),
    }
}

fn canceled(user_ref_num: u32, quantity: u32) -> Canceled {
    Canceled {
        timestamp: 1,
        user_ref_num,
        quantity,
        reason: b'U',
    }
}

/// Encodes, reads back and hands in.
macro_rules! take {
    ($orders:expr, $message:expr) => {{
        let mut bytes = [0; 128];
        let length = $message.encode(Appendage::ABSENT, &mut bytes);
        let answer = Outbound::parse(&bytes[..length]).expect("own encoding");
        $orders.handle_answer(&answer)
    }};
}

const ID: OrderId = OrderId::new(1);

#[test]
fn an_order_is_followed_to_its_end() {
    let mut orders = Orders::new(10);
    take!(orders, accepted(1, b'B', 10, b'L')).expect("fits");
    take!(orders, executed(1, 4)).expect("fits");
    let change = take!(orders, canceled(1, 5)).expect("fits");
    let Change::Reduced { order, by: 5, .. } = change else {
        panic!("{change:?}");
    };
    assert_eq!((order.executed, order.canceled, order.open), (4, 5, 1));
    assert_eq!(orders.live_count(), 1);
    take!(orders, executed(1, 1)).expect("fits");
    assert_eq!(orders.get(ID), None);
    let tally = orders.tally();
    assert_eq!((tally.accepted, tally.executed, tally.canceled), (1, 2, 1));
    assert_eq!(
        (
            tally.shares_accepted,
            tally.shares_executed,
            tally.shares_canceled
        ),
        (10, 5, 5)
    );
}

#[test]
fn ended_orders_are_remembered_where_asked() {
    let mut orders = Orders::remembering_ended(10);
    take!(orders, accepted(1, b'S', 10, b'L')).expect("fits");
    take!(orders, canceled(1, 10)).expect("fits");
    take!(orders, accepted(2, b'S', 10, b'D')).expect("fits");
    let order = orders.get(ID).expect("remembered");
    assert_eq!((order.canceled, order.open), (10, 0));
    assert_eq!(orders.get(OrderId::new(2)).map(|order| order.open), Some(0));
    assert_eq!(orders.live_count(), 0);
}

#[test]
fn a_replace_moves_the_shares_to_the_new_order() {
    let mut orders = Orders::new(10);
    take!(orders, accepted(1, b'B', 10, b'L')).expect("fits");
    take!(orders, executed(1, 4)).expect("fits");
    let change = take!(orders, replaced(1, 2, 7)).expect("fits");
    let Change::Replaced { before, order, .. } = change else {
        panic!("{change:?}");
    };
    assert_eq!((before.open, order.open, order.price), (6, 7, Price(101)));
    assert_eq!(
        take!(orders, canceled(1, 1)),
        Err(AccountError::UnknownOrder {
            what: "a cancel",
            id: ID
        })
    );
}

#[test]
fn modifies_and_priority_updates_are_followed() {
    let mut orders = Orders::new(10);
    take!(orders, accepted(1, b'S', 10, b'L')).expect("fits");
    let modified = |side, quantity| Modified {
        timestamp: 1,
        user_ref_num: 1,
        side,
        quantity,
    };
    take!(orders, modified(b'T', 8)).expect("fits");
    assert_eq!(orders.get(ID).map(|order| order.open), Some(8));
    assert!(matches!(
        take!(orders, modified(b'T', 9)),
        Err(AccountError::MoreThanOpen { .. })
    ));
    assert_eq!(
        take!(orders, modified(b'?', 8)),
        Err(AccountError::Side { id: ID, side: b'?' })
    );
    let update = PriorityUpdate {
        timestamp: 1,
        user_ref_num: 1,
        price: Price(99),
        display: b'Y',
        order_reference: OrderReference(5),
    };
    take!(orders, update).expect("fits");
    assert_eq!(orders.get(ID).map(|order| order.price), Some(Price(99)));
}

/// What a wrong venue might say, and the error that it is.
#[test]
fn answers_that_cannot_be_are_errors() {
    let mut orders = Orders::new(2);
    take!(orders, accepted(1, b'B', 10, b'L')).expect("fits");
    assert_eq!(
        take!(orders, accepted(1, b'B', 10, b'L')),
        Err(AccountError::AcceptedTwice { id: ID })
    );
    let more = AccountError::MoreThanOpen {
        what: "an execution",
        id: ID,
        quantity: 11,
        open: 10,
    };
    assert_eq!(take!(orders, executed(1, 11)), Err(more));
    let unknown = AccountError::UnknownOrder {
        what: "an execution",
        id: OrderId::new(7),
    };
    assert_eq!(take!(orders, executed(7, 1)), Err(unknown));
    assert!(take!(orders, replaced(7, 8, 1)).is_err());
    let id = OrderId::new(2);
    assert_eq!(
        take!(orders, accepted(2, b'?', 1, b'L')),
        Err(AccountError::Side { id, side: b'?' })
    );
    take!(orders, accepted(2, b'B', 1, b'L')).expect("fits");
    assert_eq!(
        take!(orders, accepted(3, b'B', 1, b'L')),
        Err(AccountError::Full { orders_max: 2 })
    );
}

#[test]
fn refusals_and_other_messages_change_no_shares() {
    let mut orders = Orders::new(10);
    let rejected = Rejected {
        timestamp: 1,
        user_ref_num: 1,
        reason: 0x0F,
        client_order_id: [b' '; 14],
    };
    let reason = Some(0x0F);
    assert_eq!(
        take!(orders, rejected),
        Ok(Change::Refused { id: ID, reason })
    );
    let response = AccountQueryResponse {
        timestamp: 1,
        next_user_ref_num: 5,
    };
    assert_eq!(take!(orders, response), Ok(Change::None));
    assert_eq!((orders.tally().rejected, orders.tally().other), (1, 1));
}
