//! `lockstep journal …` as an operator runs it: the binary, on journals made here, whole, live and damaged.

mod busy;
mod damage;
mod diff;
mod export;
mod fixture;
mod inspect;
mod repair;
mod replay;
mod snapshots;
mod trace;
mod verify;
