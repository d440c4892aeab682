//! The part of the state's image that protection writes.

use super::{Firm, Risk};
use crate::image::Image;
use crate::machine::StateMachine;

impl StateMachine {
    pub(crate) fn write_risk(&self, risk: &Risk, image: &mut Image<'_>) {
        let Risk {
            entry,
            firms: _, // written firm by firm
        } = risk;
        image.u8(*entry as u8);
    }
}

pub(crate) fn write_firm(firm: &Firm, image: &mut Image<'_>) {
    let Firm { entry } = firm;
    image.u8(*entry as u8);
}
