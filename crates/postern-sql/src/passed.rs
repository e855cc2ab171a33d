//! The rows that an OFFSET passes over where each of them tells of a record.
//!
//! `… WHERE id BETWEEN 1 AND 9 OFFSET 5` shows by the sixth row that there are five before it. So
//! these come too, are recorded, and only then left out: by the gateway, not by the server.

use crate::{Bound, Refusal};

/// How many rows come before those that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// So many.
    Constant(i64),
    /// As many as the client's parameter of that number says, counted from 1.
    Parameter(usize),
}

/// As many as may be passed over: each of them is recorded, and charged.
pub(crate) const PASSED_MAX: i64 = 10_000;

impl Passed {
    /// How many rows, given the client's parameters.
    ///
    /// # Errors
    /// The parameter is no number that may be: what the client is to be told.
    pub fn rows(self, parameters: &[Bound<'_>]) -> Result<u64, Refusal> {
        let rows = match self {
            Self::Constant(rows) => Some(rows),
            Self::Parameter(number) => {
                let index = number.checked_sub(1);
                let bound = index.and_then(|index| parameters.get(index));
                match bound {
                    None => None,
                    Some(Bound { value: None, .. }) => Some(0),
                    Some(Bound { value: Some(value), binary, .. }) => whole(value, *binary),
                }
            }
        };
        let rows = rows.filter(|rows| *rows <= PASSED_MAX);
        rows.and_then(|rows| u64::try_from(rows).ok()).ok_or_else(too_far)
    }

    /// The parameter that it hangs on.
    pub fn parameter(self) -> Option<usize> {
        match self {
            Self::Constant(_) => None,
            Self::Parameter(number) => Some(number),
        }
    }
}

pub(crate) fn too_far() -> Refusal {
    Refusal {
        sqlstate: "42501",
        rule: "folded_lookup",
        message: format!(
            "an OFFSET over rows that are narrowed down to records must be a whole number from 0 \
             to {PASSED_MAX}: what it skips is recorded"
        ),
        hint: "go on by the last key: WHERE id > last ORDER BY id LIMIT n".to_owned(),
        position: None,
    }
}

/// A whole number: whatever else the same bytes may mean, so many rows are passed over.
fn whole(value: &[u8], binary: bool) -> Option<i64> {
    if !binary {
        return std::str::from_utf8(value).ok()?.trim().parse().ok();
    }
    crate::asked::binary_int(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_passed_over_as_the_parameter_says() {
        let rows = |value: Option<&[u8]>, binary| {
            let bound = [Bound { value, binary, declared: 0 }];
            Passed::Parameter(1).rows(&bound).map_err(|refusal| refusal.rule)
        };
        assert_eq!(rows(None, false), Ok(0));
        assert_eq!(rows(Some(b" 25"), false), Ok(25));
        assert_eq!(rows(Some(&25_i64.to_be_bytes()), true), Ok(25));
        assert_eq!(rows(Some(&25_i32.to_be_bytes()), true), Ok(25));
        assert_eq!(rows(Some(b"10000"), false), Ok(10_000));
        for no in [&b"10001"[..], b"-1", b"", b"1e1", b"x"] {
            assert_eq!(rows(Some(no), false), Err("folded_lookup"));
        }
        assert_eq!(rows(Some(&[0; 3]), true), Err("folded_lookup"));
        assert!(Passed::Parameter(2).rows(&[]).is_err());
        assert_eq!(Passed::Constant(3).rows(&[]).ok(), Some(3));
    }
}
