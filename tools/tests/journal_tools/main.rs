//! `lockstep journal …` as an operator runs it: the binary, on journals made here, whole, live and damaged.

mod damage;
mod fixture;
mod inspect;
mod replay;
mod verify;
