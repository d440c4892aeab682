//! `lockstep journal …` as an operator runs it: the binary, on journals made here, whole, live and damaged.

mod damage;
mod diff;
mod fixture;
mod inspect;
mod replay;
mod trace;
mod verify;
