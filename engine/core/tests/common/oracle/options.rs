//! Options as the naive venue reads them.

use super::*;

/// Options by tag, or that they cannot be taken.
pub struct Read {
    pub values: BTreeMap<u16, Vec<u8>>,
    pub faulty: bool,
}

fn width(tag: u16) -> Option<usize> {
    Some(match tag {
        2 | 3 | 5 | 7 | 11 | 13 | 14 | 15 | 26 | 202 => 4,
        4 | 6 | 10 | 12 | 16 | 17 | 25 | 27 | 28 | 201 | 203 => 1,
        9 | 200 | 204 => 8,
        24 => 2,
        _ => return None,
    })
}

pub fn read(parts: &[(u16, Policy, Vec<u8>)]) -> Read {
    let mut options = Read {
        values: BTreeMap::new(),
        faulty: false,
    };
    for (tag, policy, value) in parts {
        match width(*tag) {
            Some(width) if width == value.len() && !options.values.contains_key(tag) => {
                options.values.insert(*tag, value.clone());
            }
            Some(_) => options.faulty = true,
            None => options.faulty |= *policy == Policy::Reject,
        }
    }
    options
}

impl Read {
    pub fn integer(&self, tag: u16) -> u64 {
        let mut value = self.values.get(&tag).cloned().unwrap_or_default();
        value.resize(8, 0);
        u64::from_le_bytes(value.try_into().unwrap())
    }

    pub fn letter(&self, tag: u16, default: u8) -> u8 {
        self.values.get(&tag).map_or(default, |value| value[0])
    }

    pub fn channel(&self) -> u8 {
        self.letter(28, 0)
    }

    pub fn echo(&self) -> Vec<(u16, Vec<u8>)> {
        let kept = self.values.iter().filter(|(tag, _)| **tag != 28);
        kept.map(|(tag, value)| (*tag, value.clone())).collect()
    }

    pub fn not_built(&self) -> bool {
        self.integer(9) != 0
            || self.letter(10, b'L') != b'L'
            || self.integer(11) != 0
            || ![b'P', b'N'].contains(&self.letter(12, b'N'))
            || self
                .values
                .get(&203)
                .is_some_and(|mode| !b"NOBD".contains(&mode[0]))
            || self.letter(17, b' ') != b' '
            || ![b'R', b'N', b' '].contains(&self.letter(4, b' '))
            || ![b'Y', b'N', b' '].contains(&self.letter(16, b' '))
            || ![b'Y', b'N'].contains(&self.letter(25, b'N'))
            || ![b'N', b'S', b'T'].contains(&self.letter(201, b'N'))
    }
}
