//! The configuration file: typed TOML, unknown keys refused.
//!
//! It holds addresses, cores, paths, keys, and the definitions (firms, sessions, instruments, bounds)
//! that the node *proposes*: what can change an outcome is what the log says, not what this file says.

use crate::admin::access::AdminConfig;
use crate::fatal::{ExitCode, Fatal};
use crate::gateway::LoginsConfig;
use lockstep_core::inspect::{Allocation, AuctionRules, Schedule};
use lockstep_journal::storage::LANE_DEPTH_MAX;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data: DataConfig,
    #[serde(default)]
    pub acknowledge: AcknowledgeConfig,
    pub network: NetworkConfig,
    #[serde(default)]
    pub journal: JournalConfig,
    #[serde(default)]
    pub snapshot: SnapshotConfig,
    #[serde(default)]
    pub seal: SealConfig,
    #[serde(default)]
    pub archive: ArchiveConfig,
    #[serde(default)]
    pub bounds: BoundsConfig,
    #[serde(default)]
    pub day: DayConfig,
    #[serde(default)]
    pub admin: AdminConfig,
    #[serde(default)]
    pub logins: LoginsConfig,
    /// Threads and the agents they run. Empty: one thread, all agents, `backoff`.
    #[serde(default, rename = "thread")]
    pub threads: Vec<ThreadConfig>,
    #[serde(default, rename = "firm")]
    pub firms: Vec<FirmConfig>,
    #[serde(default, rename = "session")]
    pub sessions: Vec<SessionConfig>,
    #[serde(default, rename = "instrument")]
    pub instruments: Vec<InstrumentConfig>,
    /// Where it was read from; a reload reads it again.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Folder of journal, stream files and counters. Relative paths start at the configuration file.
    pub directory: PathBuf,
    /// Log buffer file; by default one under /dev/shm named after the journal's id.
    #[serde(default)]
    pub log_buffer: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AcknowledgePolicy {
    /// On stable storage before anybody is told.
    Durable,
    /// In this machine's log buffer; the disk follows right behind. Survives the process, not the machine.
    Local,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeConfig {
    pub policy: AcknowledgePolicy,
    /// Allow `durable` on a file system in memory (tests, demonstrations).
    #[serde(default)]
    pub allow_volatile: bool,
}

impl Default for AcknowledgeConfig {
    fn default() -> Self {
        Self {
            policy: AcknowledgePolicy::Durable,
            allow_volatile: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum DriverChoice {
    /// io_uring where the kernel allows it, else epoll.
    #[default]
    Auto,
    IoUring,
    Epoll,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Where OUCH clients connect; port 0 lets the system choose.
    pub listen: SocketAddr,
    #[serde(default)]
    pub driver: DriverChoice,
    #[serde(default = "defaults::connections_max")]
    pub connections_max: u32,
    /// Outbound bytes kept per connection before it reads from its stream file instead.
    #[serde(default = "defaults::send_buffer_bytes")]
    pub send_buffer_bytes: u32,
    /// A connection that has not logged in by then is closed.
    #[serde(default = "defaults::login_timeout_ms")]
    pub login_timeout_ms: u64,
    /// Silence after which a heartbeat is sent.
    #[serde(default = "defaults::heartbeat_ms")]
    pub heartbeat_ms: u64,
    /// Silence of the peer after which its connection is closed.
    #[serde(default = "defaults::peer_timeout_ms")]
    pub peer_timeout_ms: u64,
    /// Bytes of the ring between gateway and sequencer; a power of two.
    #[serde(default = "defaults::ingress_ring_bytes")]
    pub ingress_ring_bytes: u32,
    /// Bytes of the ring between engine and gateway; a power of two.
    #[serde(default = "defaults::egress_ring_bytes")]
    pub egress_ring_bytes: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Data bytes of a segment file; a power of two.
    pub segment_bytes: u64,
    /// Bytes of the log buffer; a power of two, at most a segment.
    pub log_buffer_bytes: u64,
    /// Records and bytes after which a batch is closed even if input is waiting.
    pub batch_records_max: u32,
    pub batch_bytes_max: u32,
    /// Journal writes in flight, 1 to 4.
    pub writes_in_flight: u32,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            log_buffer_bytes: 64 << 20,
            batch_records_max: 4096,
            batch_bytes_max: 256 << 10,
            writes_in_flight: 1,
        }
    }
}

/// Snapshots by the agent `snapshot`; without either interval they are taken on demand only.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotConfig {
    /// One after so many records; 0 = not by records.
    pub every_records: u64,
    /// One after so many seconds, if anything happened; 0 = not by time.
    pub every_seconds: u64,
    /// Newest ones that are never trimmed.
    pub keep: u32,
    /// Younger ones are never trimmed.
    pub keep_seconds: u64,
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        Self {
            every_records: 0,
            every_seconds: 0,
            keep: 3,
            keep_seconds: 0,
        }
    }
}

/// Proof against alteration of segments and snapshots.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields, default)]
pub struct SealConfig {
    pub enabled: bool,
    /// 16 bytes or more, all of which count; without one a seal proves only what was exported.
    pub key_file: Option<PathBuf>,
}

/// Where segments and snapshots go that nobody needs any more; without a folder they stay.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    pub directory: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct BoundsConfig {
    pub open_orders_max: u32,
    pub instruments_max: u32,
    pub sessions_max: u32,
    pub firms_max: u32,
    pub price_levels_max: u32,
    /// Positions of firms in instruments; 0 = none are kept, and no position can be limited.
    pub positions_max: u32,
    /// Latest trades of the day that can be broken; 0 = none.
    pub trades_max: u32,
    /// Market-maker protections over all sessions; 0 = none.
    pub protections_max: u32,
}

impl Default for BoundsConfig {
    fn default() -> Self {
        Self {
            open_orders_max: 1 << 20,
            instruments_max: 1024,
            sessions_max: 1024,
            firms_max: 256,
            price_levels_max: 1 << 18,
            positions_max: 0,
            trades_max: 0,
            protections_max: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum DayOpening {
    /// Open today's trading day when none is open and the date is new; close one of an earlier date.
    #[default]
    Automatic,
    /// Only by the operator.
    Operator,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Default)]
#[serde(deny_unknown_fields, default)]
pub struct DayConfig {
    pub opening: DayOpening,
    /// UTC offset of the venue's midnight, in minutes; wire time counts from it.
    pub utc_offset_minutes: i32,
    /// Time of day (minutes after the venue's midnight) at which an open day is closed.
    pub close_at_minutes: Option<u32>,
    /// Seconds after that minute; only with `close_at_minutes`.
    pub close_at_seconds: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    Spin,
    Yield,
    Backoff,
    Park,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum AgentName {
    Gateway,
    Sequencer,
    Consensus,
    Journal,
    Engine,
    Stream,
    /// Optional, not in [`AgentName::ALL`]. May block on the disk: alone on its thread.
    Snapshot,
}

impl AgentName {
    /// In the order of the data's flow, which is the order of a fused duty cycle and of stopping.
    pub const ALL: [Self; 6] = [
        Self::Gateway,
        Self::Sequencer,
        Self::Consensus,
        Self::Journal,
        Self::Engine,
        Self::Stream,
    ];
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ThreadConfig {
    /// Core to pin to; absent: not pinned.
    #[serde(default)]
    pub core: Option<u32>,
    pub idle: Idle,
    pub agents: Vec<AgentName>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FirmConfig {
    pub id: u32,
    /// Up to 4 upper-case letters or digits.
    pub code: String,
}

#[derive(Clone, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    pub id: u32,
    /// Up to 6 letters or digits; case does not matter.
    pub user: String,
    /// Code of the session's firm.
    pub firm: String,
    /// PHC string of the password (`lockstep admin hash-password`).
    pub password_argon2id: String,
    /// Codes of further firms it may enter orders for.
    #[serde(default)]
    pub permitted_firms: Vec<String>,
    #[serde(default)]
    pub cancel_on_disconnect: bool,
    #[serde(default = "defaults::yes")]
    pub order_entry: bool,
}

impl std::fmt::Debug for SessionConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionConfig")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("firm", &self.firm)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct InstrumentConfig {
    /// 1..=65535, also the ITCH stock locate.
    pub id: u32,
    /// Up to 8 printable characters.
    pub symbol: String,
    /// In 1/10,000 of the currency unit.
    #[serde(default = "defaults::tick_size")]
    pub tick_size: u32,
    #[serde(default = "defaults::lot_size")]
    pub lot_size: u32,
    /// Tick sizes from higher prices up, by price; `tick_size` holds below the first and divides all.
    #[serde(default)]
    pub tick_bands: Vec<TickBandConfig>,
    /// How the displayed orders of a price share what an aggressor takes.
    #[serde(default)]
    pub allocation: AllocationConfig,
    /// Smallest share in a pro-rata allocation.
    #[serde(default)]
    pub allocation_minimum: u32,
    /// Per cent that the first order of a price gives, 1 to 100, in a top-share allocation.
    #[serde(default)]
    pub top_share: u32,
    /// How far from the reference price an order may trade, in 1/10,000 of it; 0 = as far as it likes.
    #[serde(default)]
    pub static_collar: u32,
    /// How far from the last trade's price.
    #[serde(default)]
    pub dynamic_collar: u32,
    /// What an order that would trade beyond a collar causes.
    #[serde(default)]
    pub collar_action: CollarActionConfig,
    /// Of the volatility auction that a collar calls.
    #[serde(default)]
    pub auction_duration_ms: u32,
    /// It lasts up to so much longer.
    #[serde(default)]
    pub auction_random_end_ms: u32,
    /// Time between two indications of an auction's outcome; 0 = only at its begin.
    #[serde(default)]
    pub indication_interval_ms: u32,
    /// When it changes its trading state each day.
    #[serde(default)]
    pub schedule: Option<ScheduleConfig>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum CollarActionConfig {
    #[default]
    Reject,
    Auction,
}

/// Times in ms after the venue's midnight; those left out do not happen by themselves.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    #[serde(default)]
    pub pre_open_ms: Option<u32>,
    #[serde(default)]
    pub opening_auction_ms: Option<u32>,
    #[serde(default)]
    pub trading_ms: Option<u32>,
    #[serde(default)]
    pub closing_auction_ms: Option<u32>,
    #[serde(default)]
    pub closed_ms: Option<u32>,
    /// A call that the schedule ends lasts up to so much longer.
    #[serde(default)]
    pub random_end_ms: u32,
}

impl ScheduleConfig {
    fn schedule(&self) -> Schedule {
        let times = [
            self.pre_open_ms,
            self.opening_auction_ms,
            self.trading_ms,
            self.closing_auction_ms,
            self.closed_ms,
        ];
        Schedule {
            times_ms: times.map(|time| time.unwrap_or(u32::MAX)),
            random_end_ms: self.random_end_ms,
        }
    }
}

/// Highest limit price, in 1/10,000.
const PRICE_MAX: u32 = 1_999_999_900;

/// Prices and tick sizes in 1/10,000 of the currency unit.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TickBandConfig {
    pub from_price: u32,
    pub tick_size: u32,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum AllocationConfig {
    #[default]
    PriceTime,
    ProRata,
    TopShare,
}

impl InstrumentConfig {
    /// Whether the log would take the tick bands.
    fn has_legal_ticks(&self) -> bool {
        let ascend = self
            .tick_bands
            .windows(2)
            .all(|pair| pair[0].from_price < pair[1].from_price);
        let fits = |band: &TickBandConfig| {
            let divides = band.tick_size != 0 && band.tick_size.is_multiple_of(self.tick_size);
            divides && (1..=PRICE_MAX).contains(&band.from_price)
        };
        let few = self.tick_bands.len() <= lockstep_core::TICK_BANDS_MAX;
        few && ascend && self.tick_bands.iter().all(fits)
    }

    /// The schedule as the log has it.
    pub fn schedule(&self) -> Schedule {
        let none = ScheduleConfig::default();
        self.schedule.as_ref().unwrap_or(&none).schedule()
    }

    /// Collars and auctions as the log has them.
    pub fn auction_rules(&self) -> AuctionRules {
        AuctionRules {
            static_collar: self.static_collar,
            dynamic_collar: self.dynamic_collar,
            collar_action: match self.collar_action {
                CollarActionConfig::Reject => b'R',
                CollarActionConfig::Auction => b'V',
            },
            duration_ms: self.auction_duration_ms,
            random_end_ms: self.auction_random_end_ms,
            indication_interval_ms: self.indication_interval_ms,
        }
    }

    /// The allocation as the log has it; `None` if the values do not fit each other.
    pub fn allocation(&self) -> Option<Allocation> {
        let letter = match self.allocation {
            AllocationConfig::PriceTime => b'F',
            AllocationConfig::ProRata => b'P',
            AllocationConfig::TopShare => b'T',
        };
        Allocation::of(letter, self.allocation_minimum, self.top_share)
    }
}

mod defaults {
    pub fn connections_max() -> u32 {
        1024
    }
    pub fn send_buffer_bytes() -> u32 {
        128 << 10
    }
    pub fn login_timeout_ms() -> u64 {
        30_000
    }
    pub fn heartbeat_ms() -> u64 {
        1_000
    }
    pub fn peer_timeout_ms() -> u64 {
        15_000
    }
    pub fn ingress_ring_bytes() -> u32 {
        4 << 20
    }
    pub fn egress_ring_bytes() -> u32 {
        8 << 20
    }
    pub fn yes() -> bool {
        true
    }
    pub fn tick_size() -> u32 {
        100
    }
    pub fn lot_size() -> u32 {
        1
    }
}

impl Config {
    /// Reads, parses and checks a file. Relative paths in it are taken from the file's folder.
    pub fn load(path: &Path) -> Result<Self, Fatal> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let what = format!(
                "configuration {}: {e}; give a readable file",
                path.display()
            );
            Fatal::new(ExitCode::Configuration, what)
        })?;
        let mut config = Self::parse(&text).map_err(|e| {
            let what = format!("configuration {}: {e}", path.display());
            Fatal::new(ExitCode::Configuration, what)
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.data.directory = base.join(&config.data.directory);
        config.data.log_buffer = config.data.log_buffer.map(|p| base.join(p));
        config.seal.key_file = config.seal.key_file.map(|p| base.join(p));
        config.archive.directory = config.archive.directory.map(|p| base.join(p));
        config.admin.socket = config.admin.socket.map(|p| base.join(p));
        config.file = Some(path.to_owned());
        Ok(config)
    }

    /// Parses and checks text. The error names the key or entry and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        if config.threads.is_empty() {
            config.threads.push(ThreadConfig {
                core: None,
                idle: Idle::Backoff,
                agents: AgentName::ALL.to_vec(),
            });
        }
        let by_itself = config.snapshot.every_records != 0 || config.snapshot.every_seconds != 0;
        let placed = |thread: &ThreadConfig| thread.agents.contains(&AgentName::Snapshot);
        if by_itself && !config.threads.iter().any(placed) {
            config.threads.push(ThreadConfig {
                core: None,
                idle: Idle::Park,
                agents: vec![AgentName::Snapshot],
            });
        }
        config.check()?;
        Ok(config)
    }

    /// The effective configuration as TOML, defaults filled in, password hashes withheld.
    pub fn effective(&self) -> String {
        let mut shown = self.clone();
        for session in &mut shown.sessions {
            session.password_argon2id = "(withheld)".to_owned();
        }
        toml::to_string(&shown).unwrap_or_else(|e| format!("# cannot be printed: {e}\n"))
    }

    fn check(&self) -> Result<(), String> {
        self.check_layout()?;
        self.check_sizes()?;
        self.logins.check()?;
        self.check_definitions()
    }

    fn check_layout(&self) -> Result<(), String> {
        for name in AgentName::ALL {
            let n = self
                .threads
                .iter()
                .flat_map(|t| &t.agents)
                .filter(|a| **a == name)
                .count();
            if n != 1 {
                return Err(format!(
                    "[[thread]]: agent {name:?} is on {n} threads; each agent must be on exactly one"
                ));
            }
        }
        let snapshot = |thread: &&ThreadConfig| thread.agents.contains(&AgentName::Snapshot);
        let mut with_snapshot = self.threads.iter().filter(snapshot);
        let alone = with_snapshot
            .next()
            .is_none_or(|thread| thread.agents.len() == 1);
        if !alone || with_snapshot.next().is_some() {
            return Err(
                "[[thread]]: agent Snapshot may block on the disk; give it one thread of its own"
                    .to_owned(),
            );
        }
        for (i, thread) in self.threads.iter().enumerate() {
            let clash = self.threads[..i]
                .iter()
                .any(|t| t.core.is_some() && t.core == thread.core);
            if clash {
                return Err(format!(
                    "[[thread]] {}: core {:?} is taken twice",
                    i + 1,
                    thread.core
                ));
            }
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), String> {
        let powers = [
            (
                "network.ingress_ring_bytes",
                u64::from(self.network.ingress_ring_bytes),
                64 << 10,
            ),
            (
                "network.egress_ring_bytes",
                u64::from(self.network.egress_ring_bytes),
                64 << 10,
            ),
            ("journal.segment_bytes", self.journal.segment_bytes, 1 << 20),
            (
                "journal.log_buffer_bytes",
                self.journal.log_buffer_bytes,
                1 << 20,
            ),
        ];
        for (key, value, least) in powers {
            if !value.is_power_of_two() || value < least {
                return Err(format!(
                    "{key} = {value}: must be a power of two of at least {least}"
                ));
            }
        }
        let depth = self.journal.writes_in_flight;
        if !(1..=LANE_DEPTH_MAX as u32).contains(&depth) {
            return Err(format!(
                "journal.writes_in_flight = {depth}: must be 1 to {LANE_DEPTH_MAX}"
            ));
        }
        let batch = u64::from(self.journal.batch_bytes_max);
        // With its header: a quarter of the ring to the byte once passed here and failed at the first batch.
        let length = lockstep_journal::batch_length(batch);
        if batch < 8192
            || length > lockstep_journal::BATCH_LENGTH_MAX
            || length * 4 > self.journal.log_buffer_bytes
            || length * 4 > self.journal.segment_bytes
        {
            return Err(format!(
                "journal.batch_bytes_max = {batch}: must be at least 8192 and, with a batch's header, at \
                 most {} and a quarter of log_buffer_bytes and of segment_bytes",
                lockstep_journal::BATCH_LENGTH_MAX
            ));
        }
        // One stream file a session; id 0 is nobody's.
        if self.bounds.sessions_max as usize >= lockstep_journal::stream::STREAM_SESSIONS_MAX {
            return Err("bounds.sessions_max: must be below 4096".into());
        }
        if self.journal.batch_records_max == 0 {
            return Err("journal.batch_records_max = 0: must be at least 1".into());
        }
        if self.network.connections_max == 0 || self.network.connections_max > 65_536 {
            return Err("network.connections_max: must be 1..=65536".into());
        }
        if self.network.send_buffer_bytes < 16 << 10 {
            return Err("network.send_buffer_bytes: must be at least 16384".into());
        }
        if self.network.heartbeat_ms == 0 || self.network.peer_timeout_ms == 0 {
            return Err("network.heartbeat_ms and peer_timeout_ms must not be 0".into());
        }
        if let Some(at) = self.day.close_at_minutes
            && at >= 24 * 60
        {
            return Err(format!("day.close_at_minutes = {at}: must be below 1440"));
        }
        let seconds = self.day.close_at_seconds;
        if seconds >= 60 || (seconds > 0 && self.day.close_at_minutes.is_none()) {
            return Err(format!(
                "day.close_at_seconds = {seconds}: must be below 60, and only with close_at_minutes"
            ));
        }
        if !(-14 * 60..=14 * 60).contains(&self.day.utc_offset_minutes) {
            return Err("day.utc_offset_minutes: must be within 14 hours".into());
        }
        Ok(())
    }

    fn check_definitions(&self) -> Result<(), String> {
        unique("firm", "id", self.firms.iter().map(|f| f.id))?;
        unique("firm", "code", self.firms.iter().map(|f| f.code.as_str()))?;
        unique("session", "id", self.sessions.iter().map(|s| s.id))?;
        unique(
            "session",
            "user",
            self.sessions.iter().map(|s| s.user.to_ascii_uppercase()),
        )?;
        unique("instrument", "id", self.instruments.iter().map(|i| i.id))?;
        unique(
            "instrument",
            "symbol",
            self.instruments.iter().map(|i| i.symbol.as_str()),
        )?;
        for firm in &self.firms {
            in_bound("firm", firm.id, self.bounds.firms_max)?;
            let ok = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
            text("firm", "code", &firm.code, 4, ok)?;
        }
        for session in &self.sessions {
            in_bound("session", session.id, self.bounds.sessions_max)?;
            text("session", "user", &session.user, 6, |b| {
                b.is_ascii_alphanumeric()
            })?;
            for code in session.permitted_firms.iter().chain([&session.firm]) {
                if !self.firms.iter().any(|f| f.code == *code) {
                    return Err(format!(
                        "session {}: firm {code:?} is not defined",
                        session.id
                    ));
                }
            }
            crate::auth::parse_hash(&session.password_argon2id).map_err(|e| {
                format!(
                    "session {}: password_argon2id {e}; make one with `lockstep admin hash-password`",
                    session.id
                )
            })?;
        }
        for instrument in &self.instruments {
            in_bound(
                "instrument",
                instrument.id,
                self.bounds.instruments_max.min(65_535),
            )?;
            text("instrument", "symbol", &instrument.symbol, 8, |b| {
                b.is_ascii_graphic()
            })?;
            if instrument.allocation().is_none() {
                return Err(format!(
                    "instrument {}: allocation_minimum is for \"pro-rata\" alone, top_share (1 to 100) for \"top-share\" alone",
                    instrument.id
                ));
            }
            if instrument.tick_size == 0 || instrument.lot_size == 0 {
                return Err(format!(
                    "instrument {}: tick_size and lot_size must not be 0",
                    instrument.id
                ));
            }
            if !instrument.auction_rules().is_legal() || !instrument.schedule().is_legal() {
                return Err(format!(
                    "instrument {}: collars are at most 10000, random ends at most an hour, indications 10 ms apart or more, and the schedule's times ascend",
                    instrument.id
                ));
            }
            if !instrument.has_legal_ticks() {
                return Err(format!(
                    "instrument {}: tick_bands must ascend by from_price (1 to {PRICE_MAX}), at most {}, each tick_size a multiple of the instrument's",
                    instrument.id,
                    lockstep_core::TICK_BANDS_MAX
                ));
            }
        }
        Ok(())
    }
}

fn in_bound(entry: &str, id: u32, max: u32) -> Result<(), String> {
    if id == 0 || id > max {
        return Err(format!("{entry} id {id}: must be 1..={max}"));
    }
    Ok(())
}

fn text(entry: &str, key: &str, value: &str, max: usize, ok: fn(u8) -> bool) -> Result<(), String> {
    if value.is_empty() || value.len() > max || !value.bytes().all(ok) {
        return Err(format!(
            "{entry} {key} {value:?}: must be 1 to {max} of the allowed characters"
        ));
    }
    Ok(())
}

fn unique<T: PartialEq + std::fmt::Debug>(
    entry: &str,
    key: &str,
    values: impl Iterator<Item = T>,
) -> Result<(), String> {
    let values: Vec<T> = values.collect();
    for (i, value) in values.iter().enumerate() {
        if values[..i].contains(value) {
            return Err(format!("{entry} {key} {value:?} is defined twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
                &format!(
                    "{SMALL}\n[[instrument]]\nid = 1\nsymbol = \"A\"\nallocation = \"top-share\""
                ),
                "top_share",
            ),
            (
                &format!("{SMALL}\n[[thread]]\nidle = \"spin\"\nagents = [\"gateway\"]"),
                "exactly one",
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
}
