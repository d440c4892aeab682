//! Faults that can be planted in the naive venue.

/// One-line mistakes, each of which the comparison must notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    /// A trade prints the aggressor's price.
    AggressorPrice,
    /// A partial fill puts the resting order behind its level.
    PartialFillLosesPriority,
    /// A replacement keeps its priority.
    ReplaceKeepsPriority,
    /// A replacement forgets what its chain has executed.
    ReplaceForgetsExecuted,
    /// What an IOC order leaves rests.
    IocResidualRests,
    /// A limit order trades a tick beyond its limit.
    ThroughOwnLimit,
    /// Latest first at a price.
    LastComeFirst,
    /// The minimum quantity is ignored.
    MinimumIgnored,
    /// A partial cancel may increase.
    CancelIncreases,
    /// Numbers are one sequence for all channels of a session.
    ChannelsShareNumbers,
    /// A rejected order does not consume its number.
    RejectConsumesNothing,
    /// Records of an old connection are taken.
    StaleTaken,
    /// The open-order bound is one too high.
    BoundOffByOne,
    /// The price-level bound is one too high.
    LevelBoundOffByOne,
    /// Day orders live on after the day.
    DayOrdersSurvive,
    /// A hidden order trades in its turn with the displayed ones of its price.
    HiddenWithDisplayed,
    /// One party's orders trade with each other whatever they ask for.
    SelfTradeIgnored,
    /// Decrement cancels the resting order whole.
    DecrementCancels,
    /// A post-only order takes from the book.
    PostOnlyTakes,
    /// What a reserve order displays anew keeps its priority.
    RefreshKeepsPriority,
    /// Orders due at once expire by reference, not by deadline.
    ExpiredByReference,
    /// A mass cancel begins with the newest order.
    MassCancelNewestFirst,
    /// Disabled entry still enters.
    DisableIgnored,
    /// Outbound numbers go on over days.
    StreamGoesOn,
    /// A kill cancels nothing.
    KillLeavesOrders,
    /// The operator's mass cancel of a firm cancels every firm's orders.
    FirmNotCompared,
    /// A replacement counts beside the order that it replaces.
    ReplaceCountsTwice,
    /// One more open order than the limit.
    OpenOrdersOffByOne,
    /// Open sells make room for buys.
    LongNetsSells,
    /// One more request than the throttle allows is let in.
    ThrottleOffByOne,
    /// A tripped protection lets new orders in.
    TrippedEnters,
    /// A tripped protection leaves orders where they are.
    TrippedStays,
    /// A broken trade still counts in the positions.
    BustKeepsPosition,
    /// Who does not come back in time keeps its orders.
    GraceForgotten,
    /// A stop is triggered only by a trade beyond its price.
    StopBeyondItsPrice,
    /// Triggered stops act by order reference.
    StopsByReference,
    /// What a triggered stop triggers acts with the next record.
    ChainedStopsLate,
    /// A trailing stop stays where it began.
    TrailingStaysBehind,
    /// A trailing stop goes back with the price.
    TrailingGoesBack,
    /// A triggered stop keeps its order reference.
    TriggeredKeepsReference,
    /// A stop that was reached before its entry waits.
    ReachedStopWaits,
    /// A replacement forgets the trigger.
    ReplaceForgetsStop,
    /// A price need only be on the smallest tick.
    BandsIgnored,
    /// Orders of a retired instrument stay.
    RetiredKeepsOrders,
    /// Pro-rata shares are not rounded to lots.
    SharesNotInLots,
    /// The smallest share is not looked at.
    SmallestShareIgnored,
    /// What rounding leaves goes to the last.
    RestToTheLast,
    /// The first order has no share of its own.
    NoTopShare,
    /// The first order's share is rounded down.
    TopShareRoundedDown,
    /// Orders of the aggressor's own party take part in the shares.
    OwnPartyShares,
    /// An allocation changes while orders rest.
    AllocationChangesAnyTime,
    /// A midpoint between two ticks is the lower one on both sides.
    MidpointRoundsDown,
    /// A pegged order goes beyond its limit.
    PegThroughItsLimit,
    /// A pegged order goes up to the other side's quote.
    PegMeetsTheQuote,
    /// Pegged orders come back newest first.
    NewestPegFirst,
    /// What is displayed anew is always of one size.
    RandomIsNot,
    /// Of prices at which the most would trade, any will do.
    AuctionIgnoresImbalance,
    /// A surplus does not press the price.
    AuctionIgnoresPressure,
    /// The middle price whatever the reference.
    AuctionIgnoresReference,
    /// Orders at the market trade after limits.
    AuctionMarketLast,
    /// What is not displayed stays out of an auction.
    AuctionWithoutReserves,
    /// What an auction leaves of orders for it stays.
    AuctionOrdersStay,
    /// Every call ends on time.
    RandomEndIgnored,
    /// The schedule ends what the operator halted.
    ScheduleEndsHalt,
    /// Orders trade beyond collars.
    CollarIgnored,
    /// A day's prices go on with the last day's.
    PricesGoOn,
    /// What falls due is done before each record, not only before a batch's first.
    DueBetweenRecords,
    /// Pegs are moved and tripped sessions' orders pulled when the batch ends.
    SettledWithTheBatch,
}

pub const FAULTS: [Fault; 66] = [
    Fault::AggressorPrice,
    Fault::PartialFillLosesPriority,
    Fault::ReplaceKeepsPriority,
    Fault::ReplaceForgetsExecuted,
    Fault::IocResidualRests,
    Fault::ThroughOwnLimit,
    Fault::LastComeFirst,
    Fault::MinimumIgnored,
    Fault::CancelIncreases,
    Fault::ChannelsShareNumbers,
    Fault::RejectConsumesNothing,
    Fault::StaleTaken,
    Fault::BoundOffByOne,
    Fault::LevelBoundOffByOne,
    Fault::DayOrdersSurvive,
    Fault::HiddenWithDisplayed,
    Fault::SelfTradeIgnored,
    Fault::DecrementCancels,
    Fault::PostOnlyTakes,
    Fault::RefreshKeepsPriority,
    Fault::ExpiredByReference,
    Fault::MassCancelNewestFirst,
    Fault::DisableIgnored,
    Fault::StreamGoesOn,
    Fault::KillLeavesOrders,
    Fault::FirmNotCompared,
    Fault::ReplaceCountsTwice,
    Fault::OpenOrdersOffByOne,
    Fault::LongNetsSells,
    Fault::ThrottleOffByOne,
    Fault::TrippedEnters,
    Fault::TrippedStays,
    Fault::BustKeepsPosition,
    Fault::GraceForgotten,
    Fault::StopBeyondItsPrice,
    Fault::StopsByReference,
    Fault::ChainedStopsLate,
    Fault::TrailingStaysBehind,
    Fault::TrailingGoesBack,
    Fault::TriggeredKeepsReference,
    Fault::ReachedStopWaits,
    Fault::ReplaceForgetsStop,
    Fault::BandsIgnored,
    Fault::RetiredKeepsOrders,
    Fault::SharesNotInLots,
    Fault::SmallestShareIgnored,
    Fault::RestToTheLast,
    Fault::NoTopShare,
    Fault::TopShareRoundedDown,
    Fault::OwnPartyShares,
    Fault::AllocationChangesAnyTime,
    Fault::MidpointRoundsDown,
    Fault::PegThroughItsLimit,
    Fault::PegMeetsTheQuote,
    Fault::NewestPegFirst,
    Fault::RandomIsNot,
    Fault::AuctionIgnoresImbalance,
    Fault::AuctionIgnoresPressure,
    Fault::AuctionIgnoresReference,
    Fault::AuctionMarketLast,
    Fault::AuctionWithoutReserves,
    Fault::AuctionOrdersStay,
    Fault::RandomEndIgnored,
    Fault::ScheduleEndsHalt,
    Fault::CollarIgnored,
    Fault::PricesGoOn,
];

/// Mistakes that show only where a batch has several records.
pub const BATCH_FAULTS: [Fault; 2] = [Fault::DueBetweenRecords, Fault::SettledWithTheBatch];
